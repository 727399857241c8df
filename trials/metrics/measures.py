"""The registry of measures: what each is called, needs and computes.

Every measure is a function of one :class:`Pass`: the features of one set of generated images and
the real side. What several of them need is a cached property of the pass, so it is computed once.
Adding a measure is one decorated function here, or in a file that this one imports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from trials.metrics import classes, diversity, kernel, neighbours
from trials.metrics.frechet import Moments
from trials.metrics.memorisation import memorisation
from trials.metrics.mixture import DEVIATIONS, ModeCount, count_modes, reached
from trials.metrics.real import RealSide

Need = Literal["logits", "modes", "held_out", "conditional", "neighbours"]
Compute = Callable[["Pass"], float | Mapping[str, float]]

SETTINGS = (
    f"neighbours k={neighbours.NEIGHBOURS}; kernel cubic over all pairs;"
    f" inception score in {classes.SPLITS} splits; modes within {DEVIATIONS:g} deviations"
)
"""The constants of the measures, for the protocol."""


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

    @cached_property
    def self_pairs(self) -> neighbours.SelfPairs:
        return neighbours.self_pairs(self.features)

    @cached_property
    def cross_pairs(self) -> neighbours.CrossPairs:
        return neighbours.cross_pairs(self.real.self_pairs, self.self_pairs)

    @cached_property
    def class_counts(self) -> tuple[Tensor, Tensor]:
        """Counts of predicted classes (k,), real and generated."""
        assert self.logits is not None
        assert self.real.class_counts is not None
        return self.real.class_counts, classes.class_counts(self.logits)

    @cached_property
    def mode_count(self) -> ModeCount:
        data = self.real.data
        assert data.modes is not None
        assert data.mode_std is not None
        return count_modes(self.features, data.modes, data.mode_std)

    @cached_property
    def spreads(self) -> tuple[diversity.Spread, diversity.Spread]:
        """Spread of equally many generated and real images."""
        count = min(len(self.features), len(self.real.features))
        return diversity.spread(self.features[:count]), self.real.spread(count)


@dataclass(frozen=True)
class Measure:
    """One metric: ``better`` is the direction of improvement, ``kinds`` the kinds of data for
    which it is measured unless the user chooses."""

    name: str
    compute: Compute
    better: Literal["lower", "higher"]
    paper: str
    needs: frozenset[Need]
    kinds: frozenset[str]

    def values(self, seen: Pass) -> dict[str, float]:
        """The metric's value by name; a measure of several values names them ``name/part``."""
        value = self.compute(seen)
        if isinstance(value, Mapping):
            return {f"{self.name}/{part}": number for part, number in value.items()}
        return {self.name: value}


MEASURES: dict[str, Measure] = {}


def _measure(
    name: str,
    better: Literal["lower", "higher"],
    paper: str,
    *needs: Need,
    kinds: tuple[str, ...] = ("image",),
) -> Callable[[Compute], Compute]:
    def register(compute: Compute) -> Compute:
        MEASURES[name] = Measure(name, compute, better, paper, frozenset(needs), frozenset(kinds))
        return compute

    return register


@_measure("fid", "lower", "Heusel et al. 2017, arXiv:1706.08500", kinds=("image", "point"))
def fid(seen: Pass) -> float:
    return seen.real.reference.distance(seen.moments)


@_measure("kid", "lower", "Bińkowski et al. 2018, arXiv:1801.01401", "neighbours")
def kid(seen: Pass) -> float:
    return kernel.kernel_distance(
        seen.real.self_pairs.kernel, seen.self_pairs.kernel, seen.cross_pairs.kernel
    )


@_measure("precision", "higher", "Kynkäänniemi et al. 2019, arXiv:1904.06991", "neighbours")
def precision(seen: Pass) -> float:
    return seen.cross_pairs.precision


@_measure("recall", "higher", "Kynkäänniemi et al. 2019, arXiv:1904.06991", "neighbours")
def recall(seen: Pass) -> float:
    return seen.cross_pairs.recall


@_measure("density", "higher", "Naeem et al. 2020, arXiv:2002.09797", "neighbours")
def density(seen: Pass) -> float:
    return seen.cross_pairs.density


@_measure("coverage", "higher", "Naeem et al. 2020, arXiv:2002.09797", "neighbours")
def coverage(seen: Pass) -> float:
    return seen.cross_pairs.coverage


@_measure("inception_score", "higher", "Salimans et al. 2016, arXiv:1606.03498", "logits")
def inception_score(seen: Pass) -> float:
    assert seen.logits is not None
    return classes.inception_score(seen.logits)


@_measure("class_coverage", "higher", "Metz et al. 2017, arXiv:1611.02163", "logits")
def class_coverage(seen: Pass) -> float:
    return classes.class_coverage(*seen.class_counts)


@_measure("class_kl", "lower", "Srivastava et al. 2017, arXiv:1705.07761", "logits")
def class_kl(seen: Pass) -> float:
    return classes.class_divergence(*seen.class_counts)


@_measure("modes", "higher", "Lin et al. 2018, arXiv:1712.04086", "modes", kinds=("point",))
def modes(seen: Pass) -> float:
    return float(seen.mode_count.modes)


@_measure("high_quality", "higher", "Lin et al. 2018, arXiv:1712.04086", "modes", kinds=("point",))
def high_quality(seen: Pass) -> float:
    return seen.mode_count.high_quality


@_measure("reverse_kl", "lower", "Lin et al. 2018, arXiv:1712.04086", "modes", kinds=("point",))
def reverse_kl(seen: Pass) -> float:
    return seen.mode_count.reverse_kl


@_measure("memorisation", "lower", "Meehan et al. 2020, arXiv:2004.05675", "held_out", kinds=())
def memorised(seen: Pass) -> float:
    distances = neighbours.nearest_distances(seen.features, seen.real.training_features)
    return memorisation(distances, seen.real.held_out_distances)


@_measure("class_fid", "lower", "Heusel et al. 2017, arXiv:1706.08500", "conditional", kinds=())
def class_fid(seen: Pass) -> dict[str, float]:
    assert seen.labels is not None
    labels = seen.labels.to(seen.features.device)
    generated = {label: seen.features[labels == label] for label in seen.real.by_class}
    return {
        str(label): seen.real.by_class[label].distance(Moments.of(features))
        for label, features in generated.items()
        if len(features) > 1
    }


def relative_coverage(seen: Pass) -> float | None:
    """Share in (0, 1] of the data's classes or modes that the samples reach; None without either.

    For classes it is :func:`trials.metrics.classes.balance`: 1 for the data's own balance, about
    m/k where m of k equally frequent classes are left. Unlike ``class_coverage`` it is not fooled
    by one stray sample a class. For modes see :func:`trials.metrics.mixture.reached`.
    """
    if seen.real.data.modes is not None:
        return reached(seen.features, seen.real.data.modes)
    if seen.logits is None:
        return None
    return classes.balance(*seen.class_counts)
