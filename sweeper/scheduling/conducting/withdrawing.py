"""What was handed out, and has no place on Ray yet, is taken back where it is to have none.

On a cluster that grows, a trial waits for minutes until its machine has come, and longer where the
cloud has none to give. If the lease shrinks meanwhile, or the sweep is paused or comes to its end,
Ray must not be asked for that machine any more; and the worker of another trial, which makes room,
must not go to one that waits.
"""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.scheduling.conducting.course import Course
from sweeper.scheduling.conducting.errands import Errands
from sweeper.scheduling.conducting.hand_out import HandOut


class Withdrawing:
    """Takes back what one sweep has handed out."""

    def __init__(self, course: Course, trials: HandOut, errands: Errands) -> None:
        self._course = course
        self._trials = trials
        self._errands = errands

    def taken_back(self, waiting: Sequence[int]) -> list[int]:
        """Which of these, that wait for a place, are to have none: those that are over already,
        and of the others the latest trials where fewer may be at work, and errands last. Trials
        go on as soon as they may."""
        over = [one for one in waiting if one >= 0 and one not in self._trials.active]
        self._trials.leaving.difference_update(over)
        others = sorted(set(waiting).difference(over), reverse=True)
        beyond = self._trials.beyond(self._errands.active)
        back = others if self._course.stands else others[: max(0, beyond)]
        for number in back:
            if number < 0:
                self._errands.withdraw(number)
            else:
                self._trials.stand_aside(number)
        return [*over, *back]
