"""Kernel distance (KID): the unbiased squared MMD under a cubic polynomial kernel.

Bińkowski et al. 2018, arXiv:1801.01401; the mathematics is `trials.metrics.kernel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class KernelDistance(Measure):
    """0 for equal distributions; being unbiased it can be slightly negative."""

    key = "kid"
    summary = "the unbiased squared MMD under a cubic kernel over all pairs"
    better = "lower"
    paper = "Bińkowski et al. 2018, arXiv:1801.01401"
    needs = frozenset({"neighbours"})
    order = 10
    label = "KID"
    method = "the kernel distance"

    def compute(self, seen: Pass) -> float:
        from trials.metrics.kernel import kernel_distance

        return kernel_distance(
            seen.real.self_pairs.kernel, seen.self_pairs.kernel, seen.cross_pairs.kernel
        )
