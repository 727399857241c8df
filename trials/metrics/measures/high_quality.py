"""High quality: the share of samples within three standard deviations of a mode.

Lin et al. 2018, arXiv:1712.04086; the mathematics is `trials.metrics.mixture`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class HighQuality(Measure):
    """In [0, 1]."""

    key = "high_quality"
    summary = "the share of samples near a mode of the mixture"
    better = "higher"
    paper = "Lin et al. 2018, arXiv:1712.04086"
    kinds = frozenset({"point"})
    needs = frozenset({"modes"})
    order = 100

    def compute(self, seen: Pass) -> float:
        return seen.mode_count.high_quality
