"""One factor with any number of levels, each compared with one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweeper.ablation.design import (
    Cell,
    Design,
    DesignError,
    Factor,
    Feasible,
    arranged,
    canonical,
)
from sweeper.ablation.design_kind import DesignKind
from sweeper.parts import DesignConfig, Scalar
from trials.part import knob

FIRST_LEVEL = object()
"""Not a level: None may be one."""


def one_factor(
    factor: Factor, feasible: Feasible | None = None, *, reference: Any = FIRST_LEVEL
) -> Design:
    """One cell a level; every other one is compared with the level `reference`."""
    chosen = factor.levels[0] if reference is FIRST_LEVEL else reference
    labels = {canonical(level): _level_label(factor, level) for level in factor.levels}
    if canonical(chosen) not in labels:
        raise DesignError(f"{factor.path}: {chosen!r} is not one of the levels {factor.levels}")
    cells = [Cell(_level_label(factor, level), {factor.path: level}) for level in factor.levels]
    return arranged("one_factor", [factor], cells, feasible, reference=labels[canonical(chosen)])


class OneFactor(DesignKind):
    """Compares the levels of a single factor."""

    key = "one_factor"
    summary = "the levels of a single factor"

    class Config(DesignConfig):
        reference: Scalar | None = knob(
            None, "the level that others are compared with; by default the first"
        )

    def arrange(self, factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
        if len(factors) != 1:
            raise DesignError(f"one_factor takes exactly one factor, not {len(factors)}")
        chosen = self.config.reference
        return one_factor(factors[0], feasible, reference=FIRST_LEVEL if chosen is None else chosen)


def _level_label(factor: Factor, level: Any) -> str:
    if factor.is_toggle:
        return f"{'with' if level else 'without'} {factor.name}"
    return factor.describe(level)
