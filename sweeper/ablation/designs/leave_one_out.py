"""What is lost without each factor: everything on, then another level of one of them at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.ablation.design import Cell, Design, Factor, Feasible, arranged, check_factors
from sweeper.ablation.design_kind import DesignKind


def leave_one_out(factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
    """Everything on (each factor at its last level), then each other level on its own."""
    check_factors(factors)
    full = {factor.path: factor.levels[-1] for factor in factors}
    cells = [Cell("full", full)]
    for factor in factors:
        for level in factor.levels[:-1]:
            label = f"without {factor.name}" if factor.is_toggle else factor.describe(level)
            cells.append(Cell(label, {**full, factor.path: level}))
    return arranged("leave_one_out", factors, cells, feasible, reference="full")


class LeaveOneOut(DesignKind):
    """Compares with the cell in which everything is on."""

    key = "leave_one_out"
    summary = (
        "everything on (each factor at the last of its values), then one factor off at a time: "
        "each of its other values in turn"
    )

    def arrange(self, factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
        return leave_one_out(factors, feasible)
