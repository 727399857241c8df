"""Class coverage: the share of the data's classes that occur among the generated images.

Metz et al. 2017, arXiv:1611.02163; the mathematics is `trials.metrics.classes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class ClassCoverage(Measure):
    """In [0, 1]."""

    key = "class_coverage"
    summary = "the share of the data's classes that the samples reach"
    better = "higher"
    paper = "Metz et al. 2017, arXiv:1611.02163"
    needs = frozenset({"logits"})
    order = 70
    brief = False

    def compute(self, seen: Pass) -> float:
        from trials.metrics.classes import class_coverage

        return class_coverage(*seen.class_counts)
