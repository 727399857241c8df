"""Measures a generator: one pass of generated images through the extractor serves every metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from trials.errors import ConfigError
from trials.metrics.extractors import QUANTISATION, AnyExtractor, ExtractorConfig, build_extractor
from trials.metrics.frechet import TooFewImagesError
from trials.metrics.measures import MEASURES, Pass
from trials.metrics.protocol import Protocol
from trials.metrics.real import RealData, RealSide
from trials.problems import Problem, nearest

Sample = Callable[[int, Tensor | None], Tensor]
"""(count, labels or None) → images in [−1, 1] or points, one a label."""


class EvaluationConfig(BaseModel):
    """When and how a trial is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: int = Field(default=250, ge=1, description="Steps between evaluations")
    samples: int = Field(default=1024, ge=2, description="Generated images an evaluation measures")
    final_samples: int = Field(
        default=5000, ge=2, description="Generated images behind a winner's final score"
    )
    batch: int = Field(default=256, ge=1, description="Images generated at a time")
    metrics: Literal["auto"] | tuple[str, ...] = Field(
        default="auto", description="What is measured; auto is every metric the data allow"
    )
    extractor: AnyExtractor = ExtractorConfig()
    batch_statistics: Literal["running", "standing"] = Field(
        default="running", description="How normalisation layers are set when sampling"
    )
    standing_batches: int = Field(
        default=16, ge=1, description="Batches behind standing statistics"
    )
    grid: int = Field(default=64, ge=1, description="Images in the sample grid")

    @property
    def batch_statistics_rule(self) -> str:
        """``running``, or ``standing:BATCHESxSIZE``: the protocol's words for it."""
        if self.batch_statistics == "running":
            return "running"
        return f"standing:{self.standing_batches}x{self.batch}"


@dataclass(frozen=True)
class Measured:
    """The values of one evaluation and what they were measured with."""

    values: dict[str, float]
    protocol: Protocol
    features: Tensor


class Evaluator:
    """Holds the extractor and the real side; :meth:`measure` is called at every evaluation."""

    def __init__(
        self,
        config: EvaluationConfig,
        data: RealData,
        device: torch.device | str = "cpu",
        cache: Path | None = None,
    ) -> None:
        self.config = config
        self.data = data
        self.device = torch.device(device)
        self.extractor = build_extractor(config.extractor, data, self.device)
        # Float64 linear algebra exists on the CPU and on CUDA; elsewhere the CPU measures.
        measuring = self.device if self.device.type == "cuda" else torch.device("cpu")
        self.real = RealSide(data, self.extractor, measuring, cache)
        self.metrics = ("fid",) if config.metrics == "auto" else config.metrics
        unknown = [name for name in self.metrics if name not in MEASURES]
        if unknown:
            raise ConfigError(
                [
                    Problem("evaluation.metrics", f"unknown {n}", nearest=nearest(n, MEASURES))
                    for n in unknown
                ]
            )

    def measure(
        self, sample: Sample, *, weights: str, seed: int, count: int | None = None
    ) -> Measured:
        """Generate ``count`` images (default ``samples``) and measure them.

        ``sample`` draws its own noise; where the data are labelled it is given labels in the
        data's proportions, ordered by ``seed``. ``weights`` says which weights it samples,
        ``raw`` or ``averaged``. Images that are not finite give NaN for every metric.
        """
        count = self.config.samples if count is None else count
        if count < 2:
            raise TooFewImagesError(f"cannot measure {count} images, at least 2 are needed")
        labels = self._labels(count, seed)
        features, logits, finite = self._generate(sample, count, labels)
        seen = Pass(self.real, features, logits, labels)
        values: dict[str, float] = {}
        for name in self.metrics:
            values |= MEASURES[name].compute(seen) if finite else {name: float("nan")}
        return Measured(values, self.protocol(weights, count), features)

    def protocol(self, weights: str, count: int) -> Protocol:
        """What values of ``count`` generated images are measured with."""
        return Protocol(
            extractor=self.extractor.name,
            extractor_hash=self.extractor.fingerprint,
            data=self.data.name,
            data_hash=self.data.fingerprint,
            real_count=self.real.count,
            fake_count=count,
            resize=self.extractor.resize,
            quantisation=QUANTISATION if self.data.kind == "image" else "none",
            weights=weights,
            batch_statistics=self.config.batch_statistics_rule,
        )

    def _labels(self, count: int, seed: int) -> Tensor | None:
        """Labels in the data's own proportions, as near as ``count`` allows, shuffled."""
        if self.data.labels is None:
            return None
        ranked = self.data.labels.cpu().sort().values
        spread = ranked[torch.arange(count) * len(ranked) // count]
        return spread[torch.randperm(count, generator=torch.Generator().manual_seed(seed))]

    @torch.no_grad()
    def _generate(
        self, sample: Sample, count: int, labels: Tensor | None
    ) -> tuple[Tensor, Tensor | None, bool]:
        features, logits, finite = [], [], True
        for start in range(0, count, self.config.batch):
            size = min(self.config.batch, count - start)
            images = sample(size, None if labels is None else labels[start : start + size])
            finite = finite and bool(torch.isfinite(images).all())
            found = self.extractor(images)
            features.append(found.features.to(self.real.device))
            if found.logits is not None:
                logits.append(found.logits.to(self.real.device))
        return torch.cat(features), torch.cat(logits) if logits else None, finite
