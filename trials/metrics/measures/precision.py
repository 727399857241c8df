"""Precision: the share of generated images that lie among the real ones.

Kynkäänniemi et al. 2019, arXiv:1904.06991; the mathematics is `trials.metrics.neighbours`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class Precision(Measure):
    """In [0, 1]."""

    key = "precision"
    summary = "the share of generated images within the reach of a real one"
    better = "higher"
    paper = "Kynkäänniemi et al. 2019, arXiv:1904.06991"
    needs = frozenset({"neighbours"})
    order = 20
    method = "precision (k-nearest neighbours)"

    def compute(self, seen: Pass) -> float:
        return seen.cross_pairs.precision
