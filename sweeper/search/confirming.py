"""The seeds phase: which configurations are confirmed, and which replicates are still to be run.

After the search, the best configurations run again on fresh seeds, the same for each of them, so
that they can be compared in pairs. What is due follows from the ledger alone: a sweep that was
killed in the middle of it goes on with what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sweeper.search.modelled import INNOCENT
from sweeper.search.records import TrialRecord
from sweeper.spec.domains import canonical
from sweeper.spec.model import Sweep

FIRST_SEED = 1000
"""Fresh seeds count from here, leaving out any that the search itself may use."""


def replicate_seeds(sweep: Sweep) -> list[int]:
    """The seeds of the replicates, the same for every configuration, none used by the search."""
    searched = [item.domain for item in sweep.parameters if item.path == "seed"]
    base = sweep.base.get("seed", 0)

    def fresh() -> Iterator[int]:
        seed = FIRST_SEED
        while True:
            if seed != base and not any(domain.contains(seed) for domain in searched):
                yield seed
            seed += 1

    seeds = fresh()
    return [next(seeds) for _ in range(sweep.seeds.replicates)]


def best_first(records: Sequence[TrialRecord], sweep: Sweep) -> list[TrialRecord]:
    """Completed trials of the search from the best on.

    With two objectives: by how many others dominate a trial, then by the first objective.
    """
    signs = [1 if one.goal == "minimize" else -1 for one in sweep.objective]
    complete = [one for one in records if one.state == "completed" and one.role != "replicate"]
    losses = {
        one.number: tuple(
            sign * value for sign, value in zip(signs, one.objective or (), strict=True)
        )
        for one in complete
    }

    def rank(one: TrialRecord) -> tuple[Any, ...]:
        mine = losses[one.number]
        better = 0
        if len(signs) > 1:
            better = sum(
                other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
                for other in losses.values()
            )
        return better, mine[0], one.number

    return sorted(complete, key=rank)


def replicates_due(records: Sequence[TrialRecord], sweep: Sweep) -> list[tuple[int, int]]:
    """(trial to repeat, seed) of every replicate that has not been asked for yet, in order.

    A configuration that the search has tried with several seeds is confirmed once, as its best
    trial. A replicate that failed stays failed: that is a result. One whose worker died is not,
    and is due again.
    """
    chosen: dict[str, int] = {}
    for one in best_first(records, sweep):
        if len(chosen) == sweep.seeds.confirm_top:
            break
        chosen.setdefault(_apart_from_seed(one.config), one.number)
    done = {
        (one.of, one.config.get("seed"))
        for one in records
        if one.role == "replicate" and one.symptom not in INNOCENT
    }
    seeds = replicate_seeds(sweep)
    # Seed by seed, so that whenever it ends all configurations have been tried equally often.
    return [(of, seed) for seed in seeds for of in chosen.values() if (of, seed) not in done]


def _apart_from_seed(config: Mapping[str, Any]) -> str:
    return canonical({key: value for key, value in config.items() if key != "seed"})
