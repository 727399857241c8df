"""How much of a search is luck, and what its best trials share."""

from __future__ import annotations

from sweeper.ablation.search_statistics import (
    LastHalf,
    NoiseShare,
    ToggleShare,
    last_half,
    noise_share,
    toggle_shares,
)
from sweeper.standings.one_setting import of_one_setting
from sweeper.standings.standings import Standings
from sweeper.sweepfile.domains import Toggle

ENOUGH_FOR_SHARES = 20
"""Scored trials below which a best tenth is one trial or two, and says nothing."""
ENOUGH_FOR_HALVES = 10
"""Trials that are over, and half as many scored, below which no half of them says anything."""


def noise_of(standings: Standings) -> NoiseShare | None:
    """How much of the spread between the search's trials is luck; None while nothing tells."""
    groups = [
        [value for value in values.values() if value is not None]
        for values in standings.replicates.values()
    ]
    scores = list(standings.scores.values())
    if not any(len(group) > 1 for group in groups) or len(set(scores)) < 2:
        return None
    return noise_share(scores, groups)


def values_of_search(standings: Standings) -> list[float | None]:
    """What the search's trials that are over came to, in their order; None for one without a final
    value."""
    over = [trial for trial in standings.search if trial.over and standings.comparable(trial)]
    return [standings.scores.get(trial.number) for trial in over]


def last_half_of(standings: Standings) -> LastHalf | None:
    """What the later half of a search gained; None where that says nothing: of too few trials, of
    two objectives, of an ablation."""
    values = values_of_search(standings)
    scored = sum(value is not None for value in values)
    few = len(values) < ENOUGH_FOR_HALVES or scored < ENOUGH_FOR_HALVES // 2
    if few or len(standings.goals) > 1 or standings.sweep.is_ablation:
        return None
    return last_half(values, standings.goal)


def shares_of(standings: Standings) -> tuple[ToggleShare, ...]:
    """Which toggles the best tenth of the trials has in common; none for too few trials.

    One that took weights over is left out: it shares value and toggles with whom it copied, and
    many copies of one lucky trial would pass for many that agree.
    """
    toggles = [p.path for p in standings.sweep.parameters if isinstance(p.domain, Toggle)]
    trials = [
        trial
        for trial in standings.search
        if trial.over and standings.comparable(trial) and not trial.donors
    ]
    few = len(of_one_setting(standings)) < ENOUGH_FOR_SHARES
    if not toggles or few or standings.sweep.is_ablation:
        return ()
    return toggle_shares(
        {path: [_on(trial.values.get(path)) for trial in trials] for path in toggles},
        [standings.scores.get(trial.number) for trial in trials],
        standings.goal,
    )


def _on(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
