"""The fresh seeds on which the best configurations of a search are confirmed."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper.sweepfile.model import Sweep

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
