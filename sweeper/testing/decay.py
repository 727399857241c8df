"""What every decay promises: from 1 to its end, never outside them."""

from __future__ import annotations

import math
from pathlib import Path

from sweeper.testing.promises import promise, require
from trials.optimization.decay import NEARLY_NOTHING, ROUNDING, Decay

FLOORS = (0.0, 0.1, 0.5, 1.0)
PROGRESS = tuple(step / 64 for step in range(65))


@promise("decay")
def stays_between_one_and_its_end(decay: type[Decay], folder: Path) -> None:
    """Python floats from `floor` to 1, the same when asked again."""
    for floor in FLOORS:
        factors = [decay.factor(progress, floor) for progress in PROGRESS]
        for progress, factor in zip(PROGRESS, factors, strict=True):
            told = f"factor({progress}, {floor}) is {factor!r}"
            require(isinstance(factor, float) and math.isfinite(factor), told)
            require(floor - ROUNDING <= factor <= 1 + ROUNDING, told)
        again = [decay.factor(progress, floor) for progress in PROGRESS]
        require(again == factors, "gives other factors when asked again")


@promise("decay")
def falls_from_one_to_its_end(decay: type[Decay], folder: Path) -> None:
    """To `floor`, or nearly to 0 where that is 0; what never falls is 1 throughout."""
    for floor in FLOORS:
        factors = [decay.factor(progress, floor) for progress in PROGRESS]
        require(math.isclose(factors[0], 1.0), f"begins at {factors[0]}")
        if set(factors) == {1.0}:
            continue
        slack = ROUNDING if floor else NEARLY_NOTHING
        require(abs(factors[-1] - floor) <= slack, f"ends at {factors[-1]}, not at {floor}")
