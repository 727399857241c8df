"""How far a sweep is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sweeper.causes import is_lost, says_nothing
from sweeper.home import Request
from sweeper.standings.confirming import replicates_due, rounds_of
from sweeper.standings.standings import Standings
from sweeper.wording import plural

State = Literal[
    "running", "paused", "draining", "ending", "interrupted", "finished", "incomplete", "failed"
]

OVER = ("finished", "incomplete", "failed")
"""States of a sweep that has nothing more to run."""

_ASKED: dict[Request, State] = {
    Request.PAUSE: "paused",
    Request.STOP: "draining",
    Request.CANCEL: "ending",
}


@dataclass(frozen=True)
class Progress:
    """`over` of `budget` trials before any confirmation have ended; a budget of None is unknown."""

    state: State
    over: int
    budget: int | None

    def in_words(self) -> str:
        """`finished`, or `interrupted, 12 of 20 trials`."""
        if self.state == "finished":
            return self.state
        if self.budget and self.over <= self.budget:
            return f"{self.state}, {self.over:,} of {self.budget:,} trials"
        return f"{self.state}, {plural(self.over, 'trial')}"


def progress_of(
    standings: Standings, *, driven: bool = False, asked: Request | None = None
) -> Progress:
    """How far the sweep is; `driven` says whether a process is at it, `asked` what that was told to
    do next."""
    over, budget = _over(standings), budget_of(standings)
    return Progress(_state(standings, over, budget, driven, asked), over, budget)


def budget_of(standings: Standings) -> int | None:
    """How many trials there will be before any confirmation; None where that is not known.

    A grid may have fewer cells than the limit allows, and which cells of an ablation are possible
    only its driver can say.
    """
    sweep = standings.sweep
    if sweep.is_ablation:
        return standings.planned
    if sweep.search.part.ends:
        return standings.planned or sweep.limits.trials
    return sweep.limits.trials


def _over(standings: Standings) -> int:
    if standings.sweep.is_ablation:
        # Former versions held a run whose worker died again under another number; and one that was
        # measured by another protocol is due again.
        runs = (t for t in standings.trials if t.over and standings.comparable(t))
        return len({(trial.cell, trial.values.get("seed")) for trial in runs})
    over = sum(trial.over for trial in standings.search)
    if standings.sweep.search.part.ends:  # the base is measured again under another protocol
        over -= max(0, sum(trial.over and trial.role == "base" for trial in standings.search) - 1)
    return over


def _state(
    standings: Standings, over: int, budget: int | None, driven: bool, asked: Request | None
) -> State:
    if driven:
        return "running" if asked is None else _ASKED.get(asked, "running")
    unfinished = any(not trial.over for trial in standings.trials)
    if unfinished or budget is None or over < budget or _confirmation_is_due(standings):
        return "interrupted"
    if standings.trials and not standings.counts.get("completed"):
        return "failed"
    return "incomplete" if any(is_lost(trial.cause) for trial in standings.trials) else "finished"


def _confirmation_is_due(standings: Standings) -> bool:
    """Whether replicates are missing; not those of rounds that lost a worker, which the next run
    holds again, or in which somebody stopped one."""
    return bool(replicates_due(standings, without=rounds_of(standings, says_nothing)))
