"""Density: how many real images have a generated one within their reach.

Naeem et al. 2020, arXiv:2002.09797; the mathematics is `trials.metrics.neighbours`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class Density(Measure):
    """≥ 0, and above 1 where samples crowd where the data are dense."""

    key = "density"
    summary = "how many real neighbourhoods a generated image lies in, over k"
    better = "higher"
    paper = "Naeem et al. 2020, arXiv:2002.09797"
    needs = frozenset({"neighbours"})
    order = 40
    brief = False

    def compute(self, seen: Pass) -> float:
        return seen.cross_pairs.density
