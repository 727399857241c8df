"""Recall: the share of real images that lie among the generated ones.

Kynkäänniemi et al. 2019, arXiv:1904.06991; the mathematics is `trials.metrics.neighbours`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class Recall(Measure):
    """In [0, 1]."""

    key = "recall"
    summary = "the share of real images within the reach of a generated one"
    better = "higher"
    paper = "Kynkäänniemi et al. 2019, arXiv:1904.06991"
    needs = frozenset({"neighbours"})
    order = 30
    method = "recall (k-nearest neighbours)"

    def compute(self, seen: Pass) -> float:
        return seen.cross_pairs.recall
