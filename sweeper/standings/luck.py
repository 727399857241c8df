"""How much of a search is luck, and what its best trials share."""

from __future__ import annotations

from sweeper.ablation.search_statistics import NoiseShare, ToggleShare, noise_share, toggle_shares
from sweeper.standings.standings import Standings
from sweeper.sweepfile.domains import Toggle

ENOUGH_FOR_SHARES = 20
"""Scored trials below which a best tenth is one trial or two, and says nothing."""


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


def shares_of(standings: Standings) -> tuple[ToggleShare, ...]:
    """Which toggles the best tenth of the trials has in common; none for too few trials."""
    toggles = [p.path for p in standings.sweep.parameters if isinstance(p.domain, Toggle)]
    trials = [trial for trial in standings.search if trial.over and standings.comparable(trial)]
    if not toggles or len(standings.scores) < ENOUGH_FOR_SHARES or standings.sweep.is_ablation:
        return ()
    return toggle_shares(
        {path: [_on(trial.values.get(path)) for trial in trials] for path in toggles},
        [standings.scores.get(trial.number) for trial in trials],
        standings.goal,
    )


def _on(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
