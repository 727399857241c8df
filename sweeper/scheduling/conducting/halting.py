"""Whether a sweep goes on, stands still or comes to its end, and what there is to say of it."""

from __future__ import annotations

from typing import Literal

from sweeper.scheduling.recording.announcer import Announcer

Halt = Literal["", "no_new", "at_evaluation"]
"""How the sweep is coming to its end: not; when the running trials end; when they next report."""


class Halting:
    """How one sweep goes on or comes to its end.

    `message` says why it comes to its end and `again` how it goes on, `limited` that a limit was
    reached, `too_many_failed` that it was `limits.failed`.
    """

    def __init__(self, announcer: Announcer) -> None:
        self.paused = False
        self.halt: Halt = ""
        self.message = ""
        self.again = "run the sweep again"
        self.limited = False
        self.too_many_failed = False
        self._announcer = announcer

    @property
    def stands(self) -> bool:
        """Whether no trial is handed out."""
        return self.paused or bool(self.halt)

    def stop(self, how: Halt, message: str, *, limit: bool = False) -> None:
        """Hand out no more trials; those at work end as `how` says. Saying it again may hasten.

        `limit` says that a limit has been reached, which the next run would reach at once.
        """
        if self.halt == "at_evaluation" or self.halt == how:
            return
        self.halt, self.message, self.limited = how, message, limit
        self.again = f"{'raise it and ' if limit else ''}run the sweep again"
        self._announcer.enter("draining", message)

    def lift(self) -> None:
        """No limit ends the sweep any more, until one does again."""
        if not self.limited:
            return
        self.halt, self.message, self.limited, self.too_many_failed = "", "", False, False
        self.again = "run the sweep again"
        self._announcer.enter("searching")

    def pause(self, paused: bool) -> None:
        """Hand out no trials until further notice, or again."""
        if paused == self.paused:
            return
        self.paused = paused
        if not self.halt:
            self._announcer.paused(paused)
