"""Coverage: the share of real images that have a generated one within their reach.

Naeem et al. 2020, arXiv:2002.09797; the mathematics is `trials.metrics.neighbours`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class Coverage(Measure):
    """In [0, 1]."""

    key = "coverage"
    summary = "the share of real images with a generated one in their neighbourhood"
    better = "higher"
    paper = "Naeem et al. 2020, arXiv:2002.09797"
    needs = frozenset({"neighbours"})
    order = 50
    brief = False

    def compute(self, seen: Pass) -> float:
        return seen.cross_pairs.coverage
