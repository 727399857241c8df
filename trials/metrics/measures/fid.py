"""Fréchet distance (FID): how far the generated features' Gaussian lies from the real ones'.

Heusel et al. 2017, arXiv:1706.08500; the mathematics is `trials.metrics.frechet`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class FrechetDistance(Measure):
    """≥ 0; against all real images."""

    key = "fid"
    summary = "the Fréchet distance between Gaussians fitted to real and generated features"
    better = "lower"
    paper = "Heusel et al. 2017, arXiv:1706.08500"
    kinds = frozenset({"image", "point"})
    order = 0
    label = "FID"
    method = "the Fréchet distance"

    def compute(self, seen: Pass) -> float:
        return seen.real.reference.distance(seen.moments)
