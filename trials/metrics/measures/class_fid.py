"""The Fréchet distance of each class: of the images generated for a label to the real ones with it.

Heusel et al. 2017, arXiv:1706.08500; the mathematics is `trials.metrics.frechet`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.metrics.measure import Measure

if TYPE_CHECKING:
    from trials.metrics.one_pass import Pass
    from trials.metrics.real import RealData


class ClassFrechetDistance(Measure):
    """≥ 0, one value a label; a label with fewer than two images has none."""

    key = "class_fid"
    summary = "the Fréchet distance of each class"
    better = "lower"
    paper = "Heusel et al. 2017, arXiv:1706.08500"
    kinds = frozenset()
    needs = frozenset({"conditional"})
    order = 130
    of_parts = True

    @classmethod
    def parts(cls, data: RealData) -> list[str]:
        counts = [] if data.labels is None else data.labels.bincount().tolist()
        return [str(label) for label, count in enumerate(counts) if count > 1]

    def compute(self, seen: Pass) -> dict[str, float]:
        from trials.metrics.frechet import Moments

        assert seen.labels is not None
        labels = seen.labels.to(seen.features.device)
        generated = {label: seen.features[labels == label] for label in seen.real.by_class}
        return {
            str(label): seen.real.by_class[label].distance(Moments.of(features))
            for label, features in generated.items()
            if len(features) > 1
        }
