"""A regular fraction 2^(k−p) of all combinations of two levels (Box and Hunter 1961).

The mathematics, with what such a fraction confuses, is in `sweeper.ablation.fractional`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sweeper.ablation.design import Design, Factor, Feasible
from sweeper.ablation.design_kind import DesignKind
from sweeper.parts import DesignConfig, Fault
from trials.part import knob


class FractionalFactorial(DesignKind):
    """Asked for by its size, by its resolution, or by its generators."""

    key = "fractional_factorial"
    summary = "a regular fraction of all combinations"
    factorial = True

    class Config(DesignConfig):
        runs: int | None = knob(None, "cells to run", ge=4)
        resolution: int | None = knob(None, "least resolution", ge=3, le=7)
        generators: tuple[str, ...] | None = knob(
            None, "its generators, such as `ema = spectral_norm*self_attention`"
        )

    @classmethod
    def check(cls, config: Any) -> Iterable[Fault]:
        ways = sum(way is not None for way in (config.runs, config.resolution, config.generators))
        if ways != 1:
            message = f"a fraction is asked for in one way, and here are {ways}"
            yield Fault(("ablation",), message, "one of `resolution`, `runs` and `generators`")

    def arrange(self, factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
        from sweeper.ablation.fractional import fractional_factorial  # imports NumPy

        return fractional_factorial(
            factors,
            feasible,
            runs=self.config.runs,
            resolution=self.config.resolution,
            generators=self.config.generators,
        )

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"runs": 8}
