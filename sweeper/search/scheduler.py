"""What the sweep's scheduler decides of its trials, and what it has decided.

Decisions follow from the curves in the study, and are in the study before they are acted upon: a
trial whose last evaluation awaits its verdict when the driver is killed gets it from the next one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from heapq import nsmallest
from types import MappingProxyType
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from sweeper.errors import PartError
from sweeper.search import attributes
from sweeper.search.entries import Entries
from sweeper.search.measuring import Measuring
from sweeper.search.staying import Staying
from sweeper.search.stopping_rule import Curve, StoppingRule, TakeOver
from sweeper.sweepfile.model import Sweep


class Scheduler:
    """Judges the trials of one sweep by their curves, as far as these were measured by its present
    protocol; replicates have none."""

    def __init__(self, sweep: Sweep, study: Study, entries: Entries, measuring: Measuring) -> None:
        self._sweep = sweep
        self._entries = entries
        self._measuring = measuring
        self._rule = StoppingRule.of(sweep)
        self._staying = Staying(study)
        self._curves: dict[int, Curve] = {}

    def learn(self, entry: FrozenTrial) -> None:
        """Keep the curve of a trial as it is now, so that none is read twice."""
        attrs = entry.user_attrs
        if attrs.get("role") != "replicate":
            metric, protocol = self._sweep.objective[0].metric, self._measuring.protocol
            curve = attributes.curve_of(attrs, metric, protocol)
            self._curves[number := attributes.number_of(entry)] = MappingProxyType(curve)
            if self._rule.milestones is not None:
                self._staying.learn(number, attrs, self._rule.milestones.interval)

    def undecided(self, number: int) -> bool:
        """Whether the trial's last evaluation still awaits its verdict.

        That is so when it has just been reported, and where a kill came between it and the verdict.
        """
        curve = self._curves.get(number)
        if not curve or not self._rule.decides:
            return False
        attrs = self._entries.get(number).user_attrs
        return max(curve) > max((int(attrs.get("judged") or 0), *attributes.donors(attrs)))

    def decided(self, number: int) -> int:
        """The last step at which nothing is to be decided of the trial any more; 0 before any."""
        steps = sorted(self._curves.get(number, ()))
        if steps and self.undecided(number):
            steps.pop()
        return steps[-1] if steps else 0

    def went_on(self, number: int) -> None:
        """Write down that the trial goes on from its last evaluation."""
        self._entries.set(number, "judged", max(self._curves[number]))

    def verdict(self, number: int) -> str | None:
        """Why the trial is to stop at its last evaluation; None to let it go on.

        Raises:
            PartError: the rule gives something else.
        """
        if not self._curves.get(number):
            return None
        # A rule of somebody's own that wrote into them would decide on all that follows.
        reason = self._rule.verdict(number, MappingProxyType(self._curves))
        if reason is None or (isinstance(reason, str) and reason):
            return reason
        rule = f"the stopping rule '{self._rule.key}'"
        raise PartError(f"{rule} says {reason!r} (expected a reason in a clause, or None)")

    def take_over(self, number: int) -> TakeOver | None:
        """Under population based training: whose checkpoint the trial goes on from, if another's.

        The decision is in the study when this returns; from then on the trial has the new values.
        The base configuration takes nothing over, since others are measured by it, and is copied
        only where it is a point of the space.
        """
        if self._rule.milestones is None or not self._curves.get(number):
            return None
        if self._entries.get(number).user_attrs.get("role") == "base":
            return None
        sound = self._sound()
        curves = {other: self._curves[other] for other in sound}
        kept = self._staying.there(self._milestone(max(self._curves[number])))
        there = {one: values for one, values in sound.items() if kept is None or one in kept}
        taken = self._rule.take_over(number, curves, there)
        if taken is not None:
            entry = {
                "number": taken.donor,
                "step": taken.donor_step,
                "values": taken.draw.values,
                "config": taken.draw.config,
            }
            self._entries.set(number, f"{attributes.DONOR}{max(self._curves[number])}", entry)
        return taken

    def donor(self, number: int) -> tuple[int, int] | None:
        """(trial, its step) of the checkpoint that the trial was to take over last."""
        donors = attributes.donors(self._entries.get(number).user_attrs)
        if not donors:
            return None
        last = donors[max(donors)]
        number, step = last.get("instead_of", (last["number"], last["step"]))
        return number, step

    def took(self, number: int, *, own: bool) -> None:
        """Write down what the trial really goes on from: what it was to take over, or its `own`
        checkpoint of that step, with the settings that it was to have."""
        donors = attributes.donors(self._entries.get(number).user_attrs)
        step = max(donors, default=0)
        if not step or own == ("instead_of" in donors[step]):
            return
        last = dict(donors[step])
        if own:
            last |= {"instead_of": [last["number"], last["step"]], "number": number, "step": step}
        else:
            last["number"], last["step"] = last.pop("instead_of")
        self._entries.set(number, f"{attributes.DONOR}{step}", last)

    def settled(self, entry: FrozenTrial, step: int) -> int:
        """How many times it was settled what stays of the milestone that the trial has come to at
        this step; 0 where nothing is kept of it."""
        if self._rule.milestones is None or entry.user_attrs.get("role") == "replicate":
            return 0
        return self._staying.times(self._milestone(step))

    def settle(self, steps: Collection[int], stay: int) -> dict[int, set[int]]:
        """By step, the trials whose checkpoint of the milestone at it stays for whoever comes
        later: of those that are there, the best `stay` at the milestone.

        They are in the study when this returns, and no decision chooses another from then on.
        """
        marks = {number: sorted(self._curves[number]) for number in self._sound()}
        milestones = {self._milestone(step) for step in steps}
        best = {milestone: self._best(milestone, marks, stay) for milestone in milestones}
        for milestone, numbers in best.items():
            self._staying.settle(milestone, numbers)
        return {step: best[self._milestone(step)] for step in steps}

    @property
    def kept(self) -> tuple[int, int] | None:
        """(interval, grace) of the milestones at which checkpoints are kept for others, if any."""
        marks = self._rule.milestones
        return None if marks is None else (marks.interval, marks.grace)

    def _sound(self) -> dict[int, Any]:
        """The searched settings of the trials that may be compared with and copied, by number."""
        return {
            attributes.number_of(other): values
            for other in self._entries.all()
            if attributes.number_of(other) in self._curves
            and not attributes.broken(other)
            and (values := attributes.current(other.user_attrs, "values"))
        }

    def _best(self, milestone: int, marks: Mapping[int, list[int]], count: int) -> set[int]:
        """The best so many at a milestone of the trials whose checkpoint of it is there; `marks`
        are the steps, in order, of those that may be copied."""
        kept = self._staying.there(milestone)
        values = {
            one: self._curves[one][steps[at]]
            for one in (marks.keys() if kept is None else marks.keys() & kept)
            if (at := bisect_left(steps := marks[one], milestone)) < len(steps)
        }
        sign = -1 if self._rule.maximize else 1
        return set(nsmallest(count, values, key=lambda one: (sign * values[one], one)))

    def _milestone(self, step: int) -> int:
        assert self._rule.milestones is not None
        return step // self._rule.milestones.interval * self._rule.milestones.interval
