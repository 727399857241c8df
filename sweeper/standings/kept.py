"""Which trials keep their files: what a sweep's `keep` means for the trials that it has.

A trial that may still go on keeps everything. Of those that have ended for good, the best keep
theirs, by the places of the standings: an ablation's are those of its cells, each by the run that
stands for it. Until a sweep has come to its end, as many stay as its confirmation may choose from.
"""

from __future__ import annotations

from typing import NamedTuple

from sweeper.causes import STOPPED_BY_HAND, cause
from sweeper.standings import confirming
from sweeper.standings.standings import Standings
from sweeper.sweepfile.sections import Keep
from sweeper.trial import Trial


class Kept(NamedTuple):
    """Numbers of the trials whose checkpoint and whose generator stay; None: those of all."""

    checkpoints: frozenset[int] | None
    generators: frozenset[int] | None


def may_go_on(trial: Trial) -> bool:
    """Whether the trial may be trained further under its number: it has not ended, or it failed by
    something that can be mended, or somebody stopped it."""
    if not trial.over or trial.cause is None:
        return not trial.over
    return trial.cause == STOPPED_BY_HAND or (
        trial.state == "failed" and cause(trial.cause).curable
    )


def to_be_scored(standings: Standings) -> list[Trial]:
    """Winners of a search without a final score: by its own values, and by fresh seeds where that
    is another one. None of an ablation, whose tables compare cells."""
    if standings.sweep.is_ablation:
        return []
    chosen = list(standings.by_search[:1])
    if standings.best is not None and standings.best.trial not in chosen:
        chosen.append(standings.best.trial)
    return [trial for trial in chosen if trial.final is None]


def scored_as(standings: Standings, number: int) -> str:
    """What a trial has, or will have, its final score as: two have one where fresh seeds have
    decided otherwise than the search."""
    if standings.best is not None and standings.best.trial.number == number:
        return "the winner"
    first = standings.by_search[:1]
    return "the best of the search" if first and first[0].number == number else "an earlier winner"


def kept_in(standings: Standings, keep: Keep, *, settled: bool) -> Kept:
    """Which trials keep their files now; `settled` says that the sweep has come to its end."""
    undecided = frozenset[int]() if settled else _undecided(standings)
    checkpoints, generators = keep.best(keep.checkpoints), keep.best(keep.generators)
    scored = {trial.number for trial in to_be_scored(standings)}
    return Kept(
        _best(standings, checkpoints, undecided) if checkpoints != 0 else frozenset(),
        _best(standings, generators, undecided | scored),
    )


def _undecided(standings: Standings) -> frozenset[int]:
    """The numbers of those one of which will have won."""
    racing = confirming.contenders(standings) or [one.trial for one in standings.winners]
    return frozenset(trial.number for trial in racing)


def _best(standings: Standings, count: int | None, beside: frozenset[int]) -> frozenset[int] | None:
    """The numbers of the best so many trials, and of those `beside` them; None: of all."""
    if count is None:
        return None
    order = standings.order if standings.sweep.is_ablation else standings.ranked
    placed = [one.trial.number for one in order if one.rank is not None]
    return frozenset(placed[:count]) | beside
