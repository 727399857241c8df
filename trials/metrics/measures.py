"""The registry of measures: what each is called, needs and computes.

Every measure is a function of one :class:`Pass`: the features of one set of generated images and
the real side. What several of them need is a cached property of the pass, so it is computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from trials.metrics.frechet import Moments
from trials.metrics.real import RealSide

Need = Literal["logits", "modes", "held_out", "labels"]


class Pass:
    """Features (n, d) and logits (n, k) of one set of generated images, beside the real data.

    ``labels`` (n,) are the classes the generator was asked for, None where it has none.
    """

    def __init__(
        self, real: RealSide, features: Tensor, logits: Tensor | None, labels: Tensor | None
    ) -> None:
        self.real = real
        self.features = features
        self.logits = logits
        self.labels = labels

    @cached_property
    def moments(self) -> Moments:
        return Moments.of(self.features)


@dataclass(frozen=True)
class Measure:
    """One metric: ``better`` is the direction of improvement, ``paper`` its source."""

    name: str
    compute: Callable[[Pass], dict[str, float]]
    better: Literal["lower", "higher"]
    paper: str
    needs: frozenset[Need] = frozenset()


def _fid(seen: Pass) -> dict[str, float]:
    return {"fid": seen.real.reference.distance(seen.moments)}


MEASURES = {
    measure.name: measure
    for measure in (Measure("fid", _fid, "lower", "Heusel et al. 2017, arXiv:1706.08500"),)
}
