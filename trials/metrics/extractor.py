"""What a feature extractor is, how one is chosen and built, and the one map from images to bytes.

An extractor is a part (`trials.part`): one class in one file of
`trials/metrics/extractors`, which says what it is for, what can be wrong with its settings and
how it is built.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Protocol

import torch
from pydantic import AfterValidator
from torch import Tensor

from trials.errors import ConfigError, ExtractorError
from trials.fetching import FetchError, fetched
from trials.files import opened_regular
from trials.part import Part, PartConfig
from trials.paths import at_home
from trials.problems import Problem
from trials.urls import OrUrl, Url

Weights = Annotated[Path, AfterValidator(at_home), OrUrl]
"""A file of weights, `~` expanded, or an address."""

QUANTISATION = "round((x+1)*127.5) clamped to 0..255"


class Features(NamedTuple):
    """`features` (n, d) float32; `logits` (n, k) float32 where the network classifies."""

    features: Tensor
    logits: Tensor | None


class Measurable(Protocol):
    """What an extractor is chosen and built for; a trials.data Dataset is one."""

    @property
    def name(self) -> str:
        """The key of the source."""

    @property
    def kind(self) -> str:
        """`image` or `point`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one item: (C, H, W) or (D,)."""


class Extractor(Part, ABC):
    """A fixed map from images (or points) to features. Never trained, always in eval mode."""

    kind = "extractor"
    folders = ("trials.metrics.extractors",)

    takes: ClassVar[frozenset[str]] = frozenset({"image"})
    """The kinds of data it can look at: `image`, `point`."""

    suits_sources: ClassVar[frozenset[str]] = frozenset()
    """The sources of data for which `auto` takes it."""

    suits_kinds: ClassVar[frozenset[str]] = frozenset()
    """The kinds of data for which `auto` takes it, where none is made for the source."""

    order: ClassVar[int] = 1000
    """Its place in listings, and for `auto` among several that suit: our own come first."""

    classifies: ClassVar[bool] = False
    """Whether it gives logits, as far as is known before it is built."""

    classes_of: ClassVar[frozenset[str]] = frozenset()
    """The sources of data whose classes its own are. Only of those are measures over classes taken
    by themselves."""

    own_classes: ClassVar[bool] = False
    """Whether its classes are those of data that only its weights know."""

    has_layers: ClassVar[bool] = True
    """Whether `layers` answers."""

    dim: int
    """Number of features d."""
    classes: int
    """Number of classes k of the logits; 0 where there are none."""
    fingerprint: str
    """sha256 of the weights, or the key where there are none: part of every protocol and of the
    cache's key."""
    resize: str
    """The rule by which images are brought to the size the network wants."""

    class Config(PartConfig):
        """The settings of an extractor."""

        part: ClassVar[type[Extractor]]

        @classmethod
        def counted(cls, given: Mapping[str, Any]) -> dict[str, Any]:
            """All of it, but for the `weights: null` that version 0.1 wrote of extractors that have
            none, too."""
            empty = "weights" in given and given["weights"] is None
            return {
                name: value for name, value in given.items() if not (empty and name == "weights")
            }

    @classmethod
    def acts_unnamed(cls) -> bool:
        return bool(cls.suits_sources or cls.suits_kinds)

    @classmethod
    def rank(cls) -> tuple[int, str]:
        """By `order`, then by name."""
        return cls.order, cls.key

    @classmethod
    def decided(cls, config: Config, source: str, kind: str) -> Config:
        """The settings of the extractor itself; what stands for another one gives that one's.

        `source` is the key of the data's source, `kind` is `image` or `point`.

        Raises:
            ConfigError: there is none for these data; paths are those of `config`.
        """
        return config

    @classmethod
    def check(cls, config: Config, kind: str) -> Iterable[Problem]:
        """What is wrong and can be seen without the data: cheap enough for `validate`.

        Nothing is downloaded, nothing is run. Paths are those of `config`.
        """
        if kind not in cls.takes:
            others = [key for key, other in Extractor.all().items() if kind in other.takes]
            what = f"{cls.key} looks at {' and '.join(sorted(cls.takes))}s, the data are {kind}s"
            return [Problem("name", what, "one of " + ", ".join(others))]
        weights: Path | None = getattr(config, "weights", None)
        if weights is not None and not isinstance(weights, Url) and not weights.is_file():
            return [Problem("weights", f"there is no file {weights}", "a path")]
        return []

    @classmethod
    def misfit(cls, config: Any, shape: tuple[int, ...]) -> str:
        """Why it cannot look at items of this shape, (C, H, W) or (D,); empty where it can.

        `config` is one in which `check` finds nothing.
        """
        return ""

    @classmethod
    def out_of_reach(cls, config: Any) -> Iterable[Problem]:
        """What keeps the extractor from being there when a trial wants it: weights that are not on
        this machine and cannot be fetched. Paths are those of `config`.

        Asked once before a sweep, not for every configuration: it may ask another machine.
        """
        return ()

    @classmethod
    @abstractmethod
    def build(
        cls, config: Any, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> Extractor:
        """The extractor on `device`, for data of which one item has `shape`: (C, H, W), (D,).

        Raises:
            ExtractorError: its weights are missing, damaged or another network's.
        """

    @abstractmethod
    def __call__(self, images: Tensor) -> Features:
        """Features of images (n, C, H, W) or points (n, D), without gradients.

        Images are float in [−1, 1] and are quantised by `quantise`; uint8 images are
        taken as they are. Points are used as they are.
        """

    def layers(self, images: Tensor) -> list[Tensor]:
        """Activations of several depths for images in [−1, 1], differentiable, not quantised.

        Raises:
            ExtractorError: `has_layers` is false.
        """
        raise ExtractorError(
            f"the {self.key} extractor has no layers to compare; perceptual and style losses need"
            " another one"
        )

    def training_features(self) -> Tensor | None:
        """Features (m, d) of images that the network was trained on, where they are at hand: how
        far the real data are from these is tested. None where they are not."""
        return None

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any] | None:
        """Settings of a small example, for the conformance suite; its files are made in
        `folder`. None where its weights are too large to make or to fetch for a test."""
        return {"name": cls.key}


def decided(config: Extractor.Config, source: str, kind: str) -> Extractor.Config:
    """The settings of the extractor that measures data of this source and kind."""
    return config.part.decided(config, source, kind)


def check_extractor(
    config: Extractor.Config,
    source: str,
    kind: str,
    path: str = "evaluation.extractor",
    *,
    shape: tuple[int, ...] | None = None,
) -> list[Problem]:
    """Problems that can be seen without the data, of which one item has `shape` if that is known;
    `path` is where the extractor is chosen."""
    try:
        chosen = decided(config, source, kind)
    except ConfigError as error:
        problems = error.problems
    else:
        problems = list(chosen.part.check(chosen, kind))
        if not problems and shape is not None and (reason := chosen.part.misfit(chosen, shape)):
            return [Problem(path, reason)]
    return [replace(problem, path=f"{path}.{problem.path}") for problem in problems]


def extractor_out_of_reach(
    config: Extractor.Config, source: str, kind: str, path: str = "evaluation.extractor"
) -> list[Problem]:
    """What keeps the extractor for data of this source and kind from being there for a trial.

    `config` is one in which `check_extractor` finds nothing.
    """
    chosen = decided(config, source, kind)
    weights = getattr(chosen, "weights", None)
    if isinstance(weights, Url):
        try:
            fetched(weights)
        except FetchError as error:
            return [Problem(f"{path}.weights", str(error))]
    problems = chosen.part.out_of_reach(chosen)
    return [replace(problem, path=f"{path}.{problem.path}") for problem in problems]


def build_extractor(
    config: Extractor.Config, data: Measurable, device: torch.device | str | None = None
) -> Extractor:
    """The extractor for these data, loaded and in eval mode.

    Raises:
        ExtractorError: it cannot look at them, or its weights are missing or wrong.
    """
    try:
        chosen = decided(config, data.name, data.kind)
    except ConfigError as error:
        raise ExtractorError(str(error)) from error
    if data.kind not in chosen.part.takes:
        raise ExtractorError("; ".join(map(str, chosen.part.check(chosen, data.kind))))
    return chosen.part.build(chosen, data.shape, device)


def quantise(images: Tensor) -> Tensor:
    """Images in [−1, 1] as bytes: round((x + 1) · 127.5), clamped to 0…255; uint8 unchanged.

    The inverse of the data's x / 127.5 − 1, so real images come back exactly. NaN becomes 0.
    """
    if images.dtype == torch.uint8:
        return images
    levels = ((images.detach() + 1) * 127.5).round().nan_to_num(0.0).clamp(0, 255)
    return levels.to(torch.uint8)


def require_images(images: Tensor, name: str) -> None:
    """Refuse what is no batch of images.

    Raises:
        ExtractorError: `images` is not (n, 1 or 3, H, W).
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ExtractorError(
            f"the {name} extractor takes images (n, 1 or 3, H, W), got {tuple(images.shape)}"
        )


def as_rgb(images: Tensor) -> Tensor:
    """Three channels: a single channel is repeated."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


class Content(NamedTuple):
    """A file of weights: what it holds, and the sha256 of that, hex."""

    data: bytes
    fingerprint: str


def read_weights(path: Path) -> Content:
    """A file of weights, read once: what is hashed is what is loaded, whoever replaces the file.

    Raises:
        ExtractorError: it cannot be read.
    """
    try:
        with opened_regular(fetched(path) if isinstance(path, Url) else path) as file:
            data = file.read()
    except (OSError, FetchError) as error:
        raise ExtractorError(f"cannot read the extractor's weights: {error}") from error
    return Content(data, hashlib.sha256(data).hexdigest())


def require_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Refuse the weights of another network.

    Raises:
        ExtractorError: names or shapes are not those expected; it says which.
    """
    missing = sorted(set(expected) - set(state))
    foreign = sorted(set(state) - set(expected))
    shapes = [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(set(state) & set(expected))
        if state[name].shape != expected[name].shape
    ]
    complaints = [
        f"{label}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for label, names in (("missing", missing), ("unknown", foreign), ("shapes", shapes))
        if names
    ]
    if complaints:
        raise ExtractorError(f"these are not weights of {what}; {'; '.join(complaints)}")
