"""Measures a generator: one pass of generated images through the extractor serves every metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trials.errors import ConfigError
from trials.metrics.config import EvaluationConfig, check_metrics, choose_measures
from trials.metrics.diversity import duplicate_share, relative_diversity
from trials.metrics.extractor import QUANTISATION, build_extractor
from trials.metrics.familiarity import IN_THE_PROTOCOL, far_from_its_training
from trials.metrics.frechet import TooFewImagesError
from trials.metrics.measure import knobs_in_words, require_part
from trials.metrics.needs import NEIGHBOURS, REAL_SAMPLES, Need
from trials.metrics.one_pass import SETTINGS, Pass, relative_coverage
from trials.metrics.progress import Tell, quiet
from trials.metrics.protocol import Protocol
from trials.metrics.real import RealData, RealSide
from trials.metrics.seeing import Lens
from trials.origins import foreign_in_words

Draw = Callable[[int, Tensor | None], Tensor]
"""(count, labels or None) → images in [−1, 1] or points, one per label; without labels these are
drawn too."""


@dataclass(frozen=True)
class SampleSignals:
    """What the samples tell the watcher of a trial's health; plain numbers.

    `diversity`: their mean pairwise feature distance over the real data's. `duplicates`:
    share with a near duplicate. `class_coverage`: share of the data's classes or modes
    reached, None without either. `position`: their mean feature, in units of the real data's
    mean pairwise distance. `fid_scale`: the total variance of the real features, which is the
    FID of a generator that always returns the mean image.
    """

    diversity: float
    duplicates: float
    class_coverage: float | None
    position: tuple[float, ...]
    fid_scale: float


@dataclass(frozen=True)
class Sampled:
    """Generated images of one evaluation as the extractor sees them: all that is left to do needs
    neither the generator nor its noise.

    `labels` (n,) are those that were asked for; `finite` whether every image is.
    """

    features: Tensor
    logits: Tensor | None
    labels: Tensor | None
    finite: bool
    protocol: Protocol


@dataclass(frozen=True)
class Measured:
    """One evaluation: `values` by metric, what they were measured with, what they reveal.

    `signals` is None, and every value NaN, where the samples were not finite.
    """

    values: dict[str, float]
    protocol: Protocol
    signals: SampleSignals | None
    features: Tensor


class Evaluator:
    """Holds the extractor and the real side; `measure` is called at every evaluation.

    It is `look`, which runs the networks, and `judge`, which runs none and may be called from
    another thread. `conditional` says that the generator takes labels, `asked` what it is asked to
    do where that is not to make images from noise; `tell` hears how far a measurement is.

    Raises:
        ExtractorError: the extractor cannot be built for these data.
        ConfigError: with every metric that these data cannot give.
        DataError: they have not the class by which the best generator is to be kept.
    """

    def __init__(
        self,
        config: EvaluationConfig,
        data: RealData,
        device: torch.device | str = "cpu",
        cache: Path | None = None,
        *,
        conditional: bool = False,
        asked: str = "",
        tell: Tell = quiet,
    ) -> None:
        self.config = config
        self.tell = tell
        self.data = data
        self.extractor = build_extractor(config.extractor, data, device)
        self.lens = Lens(self.extractor, config.extractor_precision, torch.device(device))
        # Float64 linear algebra exists on the CPU and on CUDA; elsewhere the CPU measures.
        device = torch.device(device)
        measuring = device if device.type == "cuda" else torch.device("cpu")
        self.real = RealSide(
            data, self.lens, measuring, cache, sampled=config.real_samples, tell=tell
        )
        met = self._met_needs(conditional)
        problems = check_metrics(config, met)
        if problems:
            raise ConfigError(problems)
        require_part(config.keep_by, data)
        chosen = choose_measures(config, data.kind, met)
        self.measures = [knobs.part(knobs) for knobs in chosen]
        used = (type(self.extractor), *(knobs.part for knobs in chosen))
        self.settings = _settings(config) + knobs_in_words(chosen) + foreign_in_words(used) + asked
        if far_from_its_training(self.extractor, data, self.real.features):
            self.settings += IN_THE_PROTOCOL

    def measure(
        self, sample: Draw, *, weights: str, seed: int, count: int | None = None
    ) -> Measured:
        """Generate `count` images (default `samples`) and measure them: `look`, then `judge`."""
        return self.judge(self.look(sample, weights=weights, seed=seed, count=count))

    def look(self, sample: Draw, *, weights: str, seed: int, count: int | None = None) -> Sampled:
        """Generate `count` images (default `samples`), and look at them through the extractor.

        `sample` draws its own noise; where the data are labelled it is given labels in the
        data's proportions, ordered by `seed`. `weights` says which weights it samples,
        `raw` or `averaged`. Images that are not finite give NaN for every metric.

        Raises:
            TooFewImagesError: there are fewer than two.
        """
        count = self.config.samples if count is None else count
        if count < 2:
            raise TooFewImagesError(f"cannot measure {count} images, at least 2 are needed")
        labels = self._labels(count, seed)
        features, logits, finite = self._generate(sample, count, labels)
        return Sampled(features, logits, labels, finite, self.protocol(weights, count))

    def judge(self, sampled: Sampled) -> Measured:
        """Every measure of what was sampled."""
        features, protocol = sampled.features, sampled.protocol
        if not sampled.finite:
            nothing = {measure.key: math.nan for measure in self.measures}
            return Measured(nothing, protocol, None, features)
        seen = Pass(self.real, features, sampled.logits, sampled.labels, self.tell)
        values: dict[str, float] = {}
        for measure in self.measures:
            values |= measure.values(seen)
        return Measured(values, protocol, self._signals(seen), features)

    def protocol(self, weights: str, count: int) -> Protocol:
        """What values of `count` generated images are measured with."""
        return Protocol(
            extractor=self.extractor.key,
            extractor_hash=self.extractor.fingerprint,
            data=self.data.name,
            data_hash=self.data.fingerprint,
            real_count=self.real.count,
            fake_count=count,
            resize=self.extractor.resize,
            quantisation=QUANTISATION if self.data.kind == "image" else "none",
            weights=weights,
            batch_statistics=self.config.batch_statistics_rule,
            settings=self.settings,
            intake=self.data.intake.in_words(),
        )

    def _met_needs(self, conditional: bool) -> frozenset[Need]:
        rules = self.config
        enough = min(rules.samples, rules.final_samples, self.real.count) > NEIGHBOURS
        met: dict[Need, bool] = {
            "logits": self.extractor.classes > 0,
            "classes": self.data.name in self.extractor.classes_of,
            "modes": self.data.modes is not None,
            "held_out": self.data.held_out is not None and len(self.data.held_out) > 0,
            "conditional": conditional and self.data.labels is not None,
            "neighbours": enough,
        }
        return frozenset(need for need, holds in met.items() if holds)

    def _signals(self, seen: Pass) -> SampleSignals:
        fake, real = seen.spreads
        unit = real.pairwise or 1.0
        return SampleSignals(
            diversity=relative_diversity(fake, real),
            duplicates=duplicate_share(fake, real),
            class_coverage=relative_coverage(seen),
            position=tuple((seen.moments.mean / unit).tolist()),
            fid_scale=float(self.real.reference.moments.cov.trace()),
        )

    def _labels(self, count: int, seed: int) -> Tensor | None:
        """Labels in the data's own proportions, as near as `count` allows, shuffled."""
        if self.data.labels is None:
            return None
        ranked = self.data.labels.cpu().sort().values
        spread = ranked[torch.arange(count) * len(ranked) // count]
        return spread[torch.randperm(count, generator=torch.Generator().manual_seed(seed))]

    @torch.no_grad()
    def _generate(
        self, sample: Draw, count: int, labels: Tensor | None
    ) -> tuple[Tensor, Tensor | None, bool]:
        """Features and logits of `count` samples, and whether all samples were finite."""
        features, logits, finite = [], [], []
        for start in range(0, count, self.config.batch):
            size = min(self.config.batch, count - start)
            images = sample(size, None if labels is None else labels[start : start + size])
            finite.append(torch.isfinite(images).all())  # read once, after the last batch
            seen = self.lens(images)
            features.append(seen.features.to(self.real.device))
            if seen.logits is not None:
                logits.append(seen.logits.to(self.real.device))
            self.tell(f"{start + size:,} of {count:,} images")
        whole = bool(torch.stack(finite).all())
        return torch.cat(features), torch.cat(logits) if logits else None, whole


def _settings(config: EvaluationConfig) -> str:
    """What the protocol says of all measures: their constants, and what a file makes otherwise."""
    told = SETTINGS + config.extractor_precision.in_words()
    if config.real_samples == REAL_SAMPLES:
        return told
    return f"{told}; pairs with {config.real_samples} real images at most"
