"""The real data's side of every measure: each part computed when first asked for, then cached.

The cache's key names extractor and weights, the data's fingerprint, the resize and quantisation
rules and the constants below, so all trials of a sweep, and all sweeps of a home, share the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trials.metrics.cache import Arrays, cached
from trials.metrics.extractors import QUANTISATION, Extractor, Features
from trials.metrics.frechet import Moments, Reference, RunningMoments, symmetric_root

LAYOUT = 1
"""Raised whenever the content of the cached files changes its meaning."""

MOST_SAMPLED = 10_000
"""Real images, drawn once by a fixed seed, of which single features are kept."""

BATCH = 256


class RealData(Protocol):
    """What is measured against; a trials.data Dataset is one."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def images(self) -> Tensor: ...
    @property
    def labels(self) -> Tensor | None: ...
    @property
    def held_out(self) -> Tensor | None: ...
    @property
    def modes(self) -> Tensor | None: ...
    @property
    def mode_std(self) -> float | None: ...
    @property
    def classes(self) -> int: ...


class RealSide:
    """Statistics of real data under one extractor, on the measuring ``device``."""

    def __init__(
        self, data: RealData, extractor: Extractor, device: torch.device, cache: Path | None
    ) -> None:
        self.data = data
        self.extractor = extractor
        self.device = device
        self.cache = cache
        self.count = len(data.images)

    @cached_property
    def reference(self) -> Reference:
        """Moments of all real images and the square root of their covariance."""
        part = self._base
        moments = Moments(part["mean"], part["cov"], self.count)
        return Reference(moments, part["root"])

    @property
    def features(self) -> Tensor:
        """Features (m, d) float32 of the ``MOST_SAMPLED`` drawn images, in random order."""
        return self._base["features"]

    @property
    def class_counts(self) -> Tensor | None:
        """How many real images the extractor takes for each of its classes: (k,) int64."""
        return self._base["class_counts"] if self.extractor.classes else None

    @cached_property
    def _base(self) -> dict[str, Tensor]:
        return self._part("moments", self._compute_base, sampled=MOST_SAMPLED)

    def _compute_base(self) -> Arrays:
        running = RunningMoments()
        counts = torch.zeros(max(1, self.extractor.classes), dtype=torch.int64)
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(0))
        chosen = order[:MOST_SAMPLED]
        sampled = torch.zeros(len(chosen), self.extractor.dim)
        place = torch.full((self.count,), -1)
        place[chosen] = torch.arange(len(chosen))
        start = 0
        for found in self._extract(self.data.images):
            running.update(found.features)
            if found.logits is not None:
                predicted = found.logits.argmax(dim=1).cpu()
                counts += torch.bincount(predicted, minlength=len(counts))
            places = place[start : start + len(found.features)]
            sampled[places[places >= 0]] = found.features.cpu()[places >= 0]
            start += len(found.features)
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
            yield self.extractor(images[start : start + BATCH])

    def _part(
        self, part: str, compute: Callable[[], Arrays], **constants: object
    ) -> dict[str, Tensor]:
        facts: Mapping[str, object] = {
            "part": part,
            "layout": LAYOUT,
            "extractor": self.extractor.name,
            "weights": self.extractor.fingerprint,
            "resize": self.extractor.resize,
            "quantisation": QUANTISATION,
            "data": self.data.fingerprint,
            **constants,
        }
        arrays = cached(self.cache, facts, compute)
        return {
            name: torch.from_numpy(np.asarray(array)).to(self.device)
            for name, array in arrays.items()
        }
