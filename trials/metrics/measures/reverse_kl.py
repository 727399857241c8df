"""Reverse KL divergence: how unevenly the good samples are spread over a mixture's modes.

Lin et al. 2018, arXiv:1712.04086; the mathematics is `trials.metrics.mixture`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class ReverseDivergence(Measure):
    """≥ 0, in nats."""

    key = "reverse_kl"
    summary = (
        "the KL divergence of the good samples' distribution over the modes from the uniform one"
    )
    better = "lower"
    paper = "Lin et al. 2018, arXiv:1712.04086"
    kinds = frozenset({"point"})
    needs = frozenset({"modes"})
    order = 110
    label = "reverse KL divergence"

    def compute(self, seen: Pass) -> float:
        return seen.mode_count.reverse_kl
