"""One set of generated images beside the real data: what every measure is computed from.

What several measures need is a cached property of the pass, so it is computed once.
"""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from trials.metrics import classes, diversity, neighbours
from trials.metrics.frechet import Moments
from trials.metrics.mixture import DEVIATIONS, ModeCount, count_modes, reached
from trials.metrics.needs import NEIGHBOURS
from trials.metrics.progress import Tell, quiet
from trials.metrics.real import RealSide

SETTINGS = (
    f"neighbours k={NEIGHBOURS}; kernel cubic over all pairs;"
    f" inception score in {classes.SPLITS} splits; modes within {DEVIATIONS:g} deviations"
)
"""The constants of our own measures, for the protocol, whichever of them are measured."""


class Pass:
    """Features (n, d) and logits (n, k) of one set of generated images, beside the real data.

    `labels` (n,) are the classes the generator was asked for, None where it has none. `tell` hears
    how far is what takes long.
    """

    def __init__(
        self,
        real: RealSide,
        features: Tensor,
        logits: Tensor | None,
        labels: Tensor | None,
        tell: Tell = quiet,
    ) -> None:
        self._tell = tell
        self.real = real
        self.features = features
        self.logits = logits
        self.labels = labels

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance of the generated features."""
        return Moments.of(self.features)

    @cached_property
    def self_pairs(self) -> neighbours.SelfPairs:
        """The generated features among themselves."""
        what = f"pairs of {len(self.features):,} generated images"
        return neighbours.self_pairs(
            self.features, heard=lambda share: self._tell(f"{what}: {share:.0%}")
        )

    @cached_property
    def cross_pairs(self) -> neighbours.CrossPairs:
        """The generated features against the sampled real ones."""
        real, fake = self.real.self_pairs, self.self_pairs
        what = f"pairs of {len(fake.features):,} generated and {len(real.features):,} real images"
        return neighbours.cross_pairs(
            real, fake, heard=lambda share: self._tell(f"{what}: {share:.0%}")
        )

    @cached_property
    def class_counts(self) -> tuple[Tensor, Tensor]:
        """Counts of predicted classes (k,), real and generated."""
        assert self.logits is not None
        assert self.real.class_counts is not None
        return self.real.class_counts, classes.class_counts(self.logits)

    @cached_property
    def mode_count(self) -> ModeCount:
        """How the samples lie around the data's known modes."""
        data = self.real.data
        assert data.modes is not None
        assert data.mode_std is not None
        return count_modes(self.features, data.modes, data.mode_std)

    @cached_property
    def spreads(self) -> tuple[diversity.Spread, diversity.Spread]:
        """Spread of equally many generated and real images."""
        count = min(len(self.features), len(self.real.features))
        return diversity.spread(self.features[:count]), self.real.spread(count)


def relative_coverage(seen: Pass) -> float | None:
    """Share in (0, 1] of the data's classes or modes that the samples reach; None without either.

    For classes it is `trials.metrics.classes.balance`: 1 for the data's own balance, about
    m/k where m of k equally frequent classes are left. Unlike `class_coverage` it is not fooled
    by one stray sample a class. For modes see `trials.metrics.mixture.reached`.
    """
    if seen.real.data.modes is not None:
        return reached(seen.features, seen.real.data.modes)
    if seen.logits is None:
        return None
    return classes.balance(*seen.class_counts)
