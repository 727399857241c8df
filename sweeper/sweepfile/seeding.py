"""The fresh seeds on which the best configurations of a search are confirmed."""

from __future__ import annotations

import math

from sweeper.sweepfile.document import Document
from sweeper.sweepfile.domains import Domain, Range
from sweeper.sweepfile.model import Sweep

FIRST_SEED = 1000
"""Fresh seeds count from here, leaving out any that the search itself may use."""

BEYOND = 2**62
"""The trainer takes every seed below this one."""


def replicate_seeds(sweep: Sweep) -> list[int]:
    """The seeds of the replicates, the same for every configuration, none used by the search."""
    searched = [item.domain for item in sweep.parameters if item.path == "seed"]
    base = sweep.base.get("seed", 0)
    seeds: list[int] = []
    seed = FIRST_SEED
    while len(seeds) < sweep.seeds.replicates:
        taken = [domain for domain in searched if domain.contains(seed)]
        if seed != base and not taken:
            seeds.append(seed)
        seed = max([seed + 1, *(_end_of(domain) for domain in taken)])
    return seeds


def _end_of(domain: Domain) -> int:
    """The first seed behind a range that leaves none out; 0 of any other domain."""
    if not isinstance(domain, Range) or domain.step != 1:
        return 0
    return math.floor(domain.high) + 1


def check_fresh_seeds(document: Document, sweep: Sweep) -> None:
    """Report a search of so many seeds that too few are left to confirm on."""
    if sweep.replicates(sweep.limits.trials) and replicate_seeds(sweep)[-1] >= BEYOND:
        document.add(
            ("parameters", "seed"),
            f"leaves fewer than {sweep.seeds.replicates} seeds from {FIRST_SEED} to 2^62 - 1 for "
            "the confirmation (`seeds.confirm_top`), which uses no seed of the search",
            "a range that ends earlier",
        )
