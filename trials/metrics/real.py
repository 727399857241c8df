"""The real data's side of every measure: each part computed when first asked for, then cached.

The cache's key names extractor and weights, the data's fingerprint, the resize and quantisation
rules and the constants below, so all trials of a sweep, and all sweeps of a home, share the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trials.data.intake import Intake
from trials.metrics.cache import Arrays, cached
from trials.metrics.diversity import MOST, Spread, spread
from trials.metrics.extractor import QUANTISATION, Features
from trials.metrics.frechet import Moments, Reference, RunningMoments, symmetric_root
from trials.metrics.needs import NEIGHBOURS
from trials.metrics.neighbours import (
    SelfPairs,
    nearest_distances,
    self_pairs,
    working_precision,
)
from trials.metrics.progress import Tell, quiet
from trials.metrics.seeing import Lens
from trials.origins import foreign_in_words

LAYOUT = 1
"""Raised whenever the content of the cached files changes its meaning."""

BATCH = 256


class RealData(Protocol):
    """What is measured against; a trials.data Dataset is one."""

    @property
    def name(self) -> str:
        """The key of the source."""

    @property
    def kind(self) -> str:
        """`image` or `point`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one item: (C, H, W) or (D,)."""

    @property
    def fingerprint(self) -> str:
        """Hash of the content."""

    @property
    def intake(self) -> Intake:
        """What was left out, and how the rest became what it is."""

    @property
    def images(self) -> Tensor:
        """uint8 (N, C, H, W), or float points (N, D)."""

    @property
    def labels(self) -> Tensor | None:
        """Class of each item, int64 (N,)."""

    @property
    def held_out(self) -> Tensor | None:
        """Items that are not trained on."""

    @property
    def modes(self) -> Tensor | None:
        """The true modes (M, D) of points."""

    @property
    def mode_std(self) -> float | None:
        """Standard deviation of each mode."""

    @property
    def classes(self) -> int:
        """Number of classes; 0 without labels."""


class RealSide:
    """Statistics of real data under one extractor, on the measuring `device`.

    Of `sampled` real images, drawn once by a fixed seed, single features are kept. `tell` hears how
    far is what takes long.
    """

    def __init__(
        self,
        data: RealData,
        lens: Lens,
        device: torch.device,
        cache: Path | None,
        *,
        sampled: int,
        tell: Tell = quiet,
    ) -> None:
        self._sampled = sampled
        self._tell = tell
        self.data = data
        self.extractor = lens.extractor
        self._lens = lens
        self.device = device
        self.cache = cache
        self.count = len(data.images)
        self._spreads: dict[int, Spread] = {}

    @cached_property
    def reference(self) -> Reference:
        """Moments of all real images and the square root of their covariance."""
        part = self._base
        moments = Moments(part["mean"], part["cov"], self.count)
        return Reference(moments, part["root"])

    @property
    def features(self) -> Tensor:
        """Features (m, d) float32 of the drawn images, in random order."""
        return self._base["features"]

    @property
    def class_counts(self) -> Tensor | None:
        """How many real images the extractor takes for each of its classes: (k,) int64."""
        return self._base["class_counts"] if self.extractor.classes else None

    @cached_property
    def self_pairs(self) -> SelfPairs:
        """The sampled features among themselves, for measures over neighbours and pairs."""

        def compute() -> Arrays:
            what = f"pairs of {len(self.features):,} real images"
            pairs = self_pairs(
                self.features, heard=lambda share: self._tell(f"{what}: {share:.0%}")
            )
            return {"radii": pairs.radii.cpu().numpy(), "kernel": np.array(pairs.kernel)}

        part = self._part("pairs", compute, sampled=self._sampled, k=NEIGHBOURS)
        return SelfPairs(working_precision(self.features), part["radii"], float(part["kernel"]))

    @cached_property
    def by_class(self) -> dict[int, Reference]:
        """The reference of each label's images; a label with fewer than two has none."""
        labels = self.data.labels
        assert labels is not None
        counts = {
            label: count
            for label, count in enumerate(
                torch.bincount(labels, minlength=self.data.classes).tolist()
            )
            if count > 1
        }

        def compute() -> Arrays:
            arrays = {}
            for label in counts:
                running = RunningMoments()
                for features, _ in self._extract(self.data.images[labels == label]):
                    running.update(features)
                reference = Reference.of(running.moments())
                arrays[f"mean_{label}"] = reference.moments.mean.cpu().numpy()
                arrays[f"cov_{label}"] = reference.moments.cov.cpu().numpy()
                arrays[f"root_{label}"] = reference.root.cpu().numpy()
            return arrays

        part = self._part("classes", compute)
        return {
            label: Reference(
                Moments(part[f"mean_{label}"], part[f"cov_{label}"], count), part[f"root_{label}"]
            )
            for label, count in counts.items()
        }

    @cached_property
    def training_features(self) -> Tensor:
        """Features (N, d) float32 of every training image: four bytes a feature in memory."""
        return self._part("training", lambda: self._all(self.data.images))["features"]

    @cached_property
    def held_out_distances(self) -> Tensor:
        """Distance (m,) of each held-out image to its nearest training image."""
        assert self.data.held_out is not None
        held_out = self._all(self.data.held_out)["features"]
        return nearest_distances(torch.from_numpy(held_out).to(self.device), self.training_features)

    def spread(self, count: int) -> Spread:
        """Spread of `count` real images, or of `trials.metrics.diversity.MOST`."""
        count = min(count, MOST)
        if count not in self._spreads:
            self._spreads[count] = spread(self.features[:count])
        return self._spreads[count]

    def _all(self, images: Tensor) -> Arrays:
        batches = [features.cpu() for features, _ in self._extract(images)]
        return {"features": torch.cat(batches).numpy()}

    @cached_property
    def _base(self) -> dict[str, Tensor]:
        return self._part("moments", self._compute_base, sampled=self._sampled)

    def _compute_base(self) -> Arrays:
        running = RunningMoments()
        counts = torch.zeros(max(1, self.extractor.classes), dtype=torch.int64)
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(0))
        chosen = order[: self._sampled]
        sampled = torch.zeros(len(chosen), self.extractor.dim)
        place = torch.full((self.count,), -1)
        place[chosen] = torch.arange(len(chosen))
        start = 0
        for batch in self._extract(self.data.images):
            running.update(batch.features)
            if batch.logits is not None:
                predicted = batch.logits.argmax(dim=1).cpu()
                counts += torch.bincount(predicted, minlength=len(counts))
            places = place[start : start + len(batch.features)]
            sampled[places[places >= 0]] = batch.features.cpu()[places >= 0]
            start += len(batch.features)
        moments = running.moments()
        return {
            "mean": moments.mean.cpu().numpy(),
            "cov": moments.cov.cpu().numpy(),
            "root": symmetric_root(moments.cov).cpu().numpy(),
            "features": sampled.numpy(),
            "class_counts": counts.numpy(),
        }

    def _extract(self, images: Tensor) -> Iterator[Features]:
        for start in range(0, len(images), BATCH):
            yield self._lens(images[start : start + BATCH])
            done = min(start + BATCH, len(images))
            self._tell(f"the statistics of the data: {done:,} of {len(images):,} images")

    def _part(
        self, part: str, compute: Callable[[], Arrays], **constants: object
    ) -> dict[str, Tensor]:
        facts: dict[str, object] = {
            "part": part,
            "layout": LAYOUT,
            "extractor": self.extractor.key,
            "weights": self.extractor.fingerprint,
            "resize": self.extractor.resize,
            "quantisation": QUANTISATION,
            "data": self.data.fingerprint,
            **constants,
        }
        if precision := self._lens.precision.in_words():
            facts["precision"] = precision
        # Of one that is not ours, another version may see other features with the same weights.
        if origin := foreign_in_words([type(self.extractor)]):
            facts["origin"] = origin
        arrays = cached(self.cache, facts, compute)
        return {
            name: torch.from_numpy(np.asarray(array)).to(self.device)
            for name, array in arrays.items()
        }
