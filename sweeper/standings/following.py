"""Standings of a study that goes on: what still holds of the ones before is not worked out again.

Of the thousands of trials of a long search a few are at work, and most of what its standings tell
follows from the others. An evaluation that arrives leaves that as it was.
"""

from __future__ import annotations

from sweeper.standings.standings import Standings
from sweeper.trial import Trial

_OF_TRIALS_OVER = (
    "finished",
    "scores",
    "by_search",
    "replicates",
    "on_seeds",
    "as_searched",
    "race",
    "ranks",
    "ranked",
    "winners",
)
"""What the standings of a search make of the trials that are over and of the base alone."""


def following(before: Standings | None, now: Standings) -> Standings:
    """`now`, which knows what `before` has worked out and what holds of both."""
    if before is None or before is now:
        return now
    if (before.sweep, before.planned, before.protocol) != (now.sweep, now.planned, now.protocol):
        return now
    kept = ["reached"]  # by trial, and asks whether that is the same
    if not now.sweep.is_ablation and _same_over(before, now):
        kept += _OF_TRIALS_OVER
    for name in kept:
        if name in vars(before):  # where `cached_property` keeps what it has worked out
            vars(now)[name] = vars(before)[name]
    return now


def _same_over(before: Standings, now: Standings) -> bool:
    """Whether nothing but trials of the search or replicates have gone on, or begun."""
    known = len(before.trials)
    pairs = zip(before.trials, now.trials, strict=False)
    return (
        len(now.trials) >= known
        and all(one is other or _only_goes_on(one, other, now) for one, other in pairs)
        and not any(trial.over or trial.role == "base" for trial in now.trials[known:])
    )


def _only_goes_on(one: Trial, other: Trial, standings: Standings) -> bool:
    return (
        one.number == other.number
        and not (one.over or other.over)
        and one.role == other.role != "base"
        and one.of == other.of
        and one.config == other.config
        and standings.comparable(one) == standings.comparable(other)
    )
