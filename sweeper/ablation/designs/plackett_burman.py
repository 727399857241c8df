"""Main effects in the fewest runs (Plackett and Burman 1946).

The mathematics, with what such a design confuses, is in `sweeper.ablation.fractional`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.ablation.design import Design, Factor, Feasible
from sweeper.ablation.design_kind import DesignKind


class PlackettBurman(DesignKind):
    """Each main effect holds a part of every interaction of two others."""

    key = "plackett_burman"
    summary = "main effects in the fewest runs"
    factorial = True

    def arrange(self, factors: Sequence[Factor], feasible: Feasible | None = None) -> Design:
        from sweeper.ablation.fractional import plackett_burman  # imports NumPy

        return plackett_burman(factors, feasible)
