"""What each factor brings by itself: everything off, then one level on at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.ablation.design import Cell, Design, Factor, Feasible, arranged, check_factors
from sweeper.ablation.design_kind import DesignKind


def add_one_in(factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
    """Everything off (each factor at its first level), then each other level on its own."""
    check_factors(factors)
    base = {factor.path: factor.levels[0] for factor in factors}
    cells = [Cell("base", base)]
    for factor in factors:
        for level in factor.levels[1:]:
            label = f"with {factor.name}" if factor.is_toggle else factor.describe(level)
            cells.append(Cell(label, {**base, factor.path: level}))
    return arranged("add_one_in", factors, cells, feasible, reference="base")


class AddOneIn(DesignKind):
    """Compares with the cell in which everything is off."""

    key = "add_one_in"
    summary = (
        "everything off (each factor at the first of its values), then one at a time each of the "
        "others on"
    )

    def arrange(self, factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
        return add_one_in(factors, feasible)
