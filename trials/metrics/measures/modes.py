"""Modes: how many modes of a mixture of Gaussians the samples capture.

Lin et al. 2018, arXiv:1712.04086; the mathematics is `trials.metrics.mixture`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class Modes(Measure):
    """From 0 to the number of modes."""

    key = "modes"
    summary = "how many modes of the mixture are captured"
    better = "higher"
    paper = "Lin et al. 2018, arXiv:1712.04086"
    kinds = frozenset({"point"})
    needs = frozenset({"modes"})
    order = 90

    def compute(self, seen: Pass) -> float:
        return float(seen.mode_count.modes)
