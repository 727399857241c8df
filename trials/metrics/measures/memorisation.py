"""Memorisation: whether generated images lie nearer to the training set than unseen real ones.

Meehan et al. 2020, arXiv:2004.05675; the mathematics is `trials.metrics.memorisation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass


class Memorisation(Measure):
    """In [0, 1]; 0.5 is as unseen real images, towards 1 are copies."""

    key = "memorisation"
    summary = "whether samples are nearer to the training images than held-out ones are; 0.5 is no"
    better = "lower"
    paper = "Meehan et al. 2020, arXiv:2004.05675"
    kinds = frozenset()
    needs = frozenset({"held_out"})
    order = 120

    def compute(self, seen: Pass) -> float:
        from trials.metrics.memorisation import memorisation
        from trials.metrics.neighbours import nearest_distances

        distances = nearest_distances(seen.features, seen.real.training_features)
        return memorisation(distances, seen.real.held_out_distances)
