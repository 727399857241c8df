"""Class KL divergence: how far the generated classes' distribution is from the real one's.

Srivastava et al. 2017, arXiv:1705.07761; the mathematics is `trials.metrics.classes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class ClassDivergence(Measure):
    """≥ 0, in nats."""

    key = "class_kl"
    summary = (
        "the KL divergence of the generated classes' distribution from the real one's, in nats"
    )
    better = "lower"
    paper = "Srivastava et al. 2017, arXiv:1705.07761"
    needs = frozenset({"logits"})
    order = 80
    brief = False
    label = "class KL divergence"

    def compute(self, seen: Pass) -> float:
        from trials.metrics.classes import class_divergence

        return class_divergence(*seen.class_counts)
