"""Every combination of levels, so that every effect can be told from every other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from sweeper.ablation.design import (
    Design,
    Factor,
    Feasible,
    arranged,
    check_factors,
    factorial_cell,
)
from sweeper.ablation.design_kind import DesignKind


def full_factorial(factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
    """Every combination of levels; every effect can be told from every other."""
    check_factors(factors)
    levels = itertools.product(*(factor.levels for factor in factors))
    cells = [factorial_cell(factors, combination) for combination in levels]
    return replace(arranged("full_factorial", factors, cells, feasible), complete=True)


class FullFactorial(DesignKind):
    """Aliases nothing; its cells are the product of all levels."""

    key = "full_factorial"
    summary = "every combination of levels"
    factorial = True

    def arrange(self, factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
        return full_factorial(factors, feasible)
