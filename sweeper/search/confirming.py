"""The seeds phase: which configurations are confirmed, and which replicates are to be run now.

After the search, the best configurations run again on fresh seeds, the same for each of them, so
that they can be compared in pairs. A configuration that can no longer win gets no more of them
(`sweeper.ablation.confirmation` has the rule). What is due follows from the ledger alone: a sweep
that was killed in the middle of it goes on with what is missing, and decides the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sweeper.ablation import racing
from sweeper.ablation.confirmation import Confirmation
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.seeding import replicate_seeds
from sweeper.trial import Trial


def best_first(records: Sequence[Trial], sweep: Sweep) -> list[Trial]:
    """Completed trials of the search from the best on (`sweeper.ablation.racing`)."""
    return racing.best_first(records, _goals(sweep))


def race(records: Sequence[Trial], sweep: Sweep, *, without: Collection[int] = ()) -> Confirmation:
    """Where the confirmation of a sweep stands: who is still in it, who was given up and why."""
    given = sweep.seeds
    return racing.race(
        records,
        _goals(sweep),
        given.confirm_top,
        replicate_seeds(sweep),
        screen=given.screen,
        without=without,
    )


def replicates_due(
    records: Sequence[Trial], sweep: Sweep, *, without: Collection[int] = ()
) -> list[tuple[int, int]]:
    """(trial to repeat, seed) of every replicate to start now, in order.

    Seed by seed, so that whenever it ends all configurations have been tried equally often. A
    replicate that is running is not due, and what may follow it is not known until it has ended.
    `without` are seeds to leave aside for now.
    """
    asked = {
        (one.of, one.config.get("seed"))
        for one in records
        if one.role == "replicate" and not one.over
    }
    needed = [(int(name), seed) for name, seed in race(records, sweep, without=without).needed]
    return [pair for pair in needed if pair not in asked]


def _goals(sweep: Sweep) -> list[str]:
    return [one.goal for one in sweep.objective]
