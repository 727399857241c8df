"""A small network that was trained on labelled images of one's own: `sweeper extractor train`.

Its 64 features tell the classes of those images apart, so they see what makes them what they are,
and are blind to what all classes share. A distance in them compares with others in the same
weights, and with nothing else: the sha256 of the file stands in every protocol.

The file is safetensors: tensors, and in its header what was measured when it was made. Nothing in
it is executed. With the weights lie features of the images, so that data far from these are noticed
(`trials.metrics.familiarity`).

Rule for other forms of images: channels are averaged or repeated, pixels averaged over equal areas,
so that any multiple of the network's own side is accepted and nothing smaller.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from trials.errors import ExtractorError
from trials.files import atomic_write
from trials.metrics.extractor import (
    Extractor,
    Features,
    Weights,
    quantise,
    read_weights,
    require_state,
)
from trials.metrics.feature_network import FEATURES, FeatureNetwork, fault_of_form, to_form
from trials.part import knob
from trials.problems import Problem

HEADER, TRAINED_ON = "extractor", "trained_on"
MADE_BY = "a file that `sweeper extractor train` has written"


class TrainedFacts(BaseModel):
    """What is known of a network: what it looks at, and what was measured when it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: int = Field(ge=2, le=2**14)
    channels: Literal[1, 3]
    class_names: tuple[str, ...] = Field(min_length=2)
    data: str
    data_hash: str
    images: int
    test_images: int
    test_accuracy: float
    largest_class: float
    """Share of the images that the largest class has: what always naming it is right in."""
    floor: float
    floor_deviation: float
    """Of the Fréchet distance between two random halves of the real images."""
    uniform_noise: float
    """The distance of uniform noise."""
    seed: int

    @property
    def form(self) -> str:
        """The images that it looks at: `3x32x32`."""
        return f"{self.channels}x{self.side}x{self.side}"


class TrainedExtractor(Extractor):
    """A network with the weights of a file; see the module docstring."""

    key = "trained"
    summary = "a small network trained on images of your own by `sweeper extractor train`"
    order = 25
    classifies = True
    own_classes = True
    dim = FEATURES

    class Config(Extractor.Config):
        weights: Weights = knob(..., MADE_BY)

    def __init__(self, weights: Path, device: torch.device | str | None = None) -> None:
        data, self.fingerprint = read_weights(weights)
        try:
            tensors = load(data)
        except SafetensorError as error:
            raise ExtractorError(f"{weights} is not a safetensors file: {error}") from error
        self.facts = facts = _facts(data, weights)
        self._trained_on = tensors.pop(TRAINED_ON, torch.zeros(0, FEATURES)).float()
        if self._trained_on.shape[1:] != (FEATURES,):
            raise ExtractorError(f"{weights}: '{TRAINED_ON}' is {tuple(self._trained_on.shape)}")
        # Without memory until it is known that the file holds weights of this very form.
        with torch.device("meta"):
            network = FeatureNetwork(facts.side, facts.channels, len(facts.class_names))
        require_state(tensors, network.state_dict(), f"a network of {facts.form}")
        network.load_state_dict(tensors, assign=True)
        self.classes = len(facts.class_names)
        self.resize = f"averaged to {facts.form}"
        self.device = torch.device(device or "cpu")
        self.network = network.float().eval().requires_grad_(False).to(self.device)

    @classmethod
    def check(cls, config: Any, kind: str) -> list[Problem]:
        problems = list(super().check(config, kind))
        if problems:
            return problems
        try:
            cls(config.weights)
        except ExtractorError as error:
            return [Problem("weights", str(error), MADE_BY)]
        return []

    @classmethod
    def misfit(cls, config: Any, shape: tuple[int, ...]) -> str:
        side = _facts(read_weights(config.weights).data, config.weights).side
        height, width = shape[-2:]
        return fault_of_form(height, width, side, cls.key)

    @classmethod
    def build(
        cls, config: Any, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> TrainedExtractor:
        extractor = cls(config.weights, device)
        extractor.layers(torch.zeros(1, *shape))  # images of another form are refused now
        return extractor

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        levels = quantise(images).to(self.device, torch.float32)
        return Features(*self.network(self._formed(levels / 127.5 - 1)))

    def layers(self, images: Tensor) -> list[Tensor]:
        return self.network.activations(self._formed(images.to(self.device)))

    def training_features(self) -> Tensor | None:
        return self._trained_on if len(self._trained_on) > FEATURES else None

    def _formed(self, images: Tensor) -> Tensor:
        return to_form(images, self.facts.channels, self.facts.side, self.key)

    @classmethod
    def example(cls, folder: Path) -> dict[str, Any]:
        file = folder / "features.safetensors"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = FeatureNetwork(8, 1, 2)
        measured = dict.fromkeys(("test_accuracy", "largest_class", "floor"), 0.5)
        facts = TrainedFacts(
            side=8,
            channels=1,
            class_names=("a", "b"),
            data="digits",
            data_hash="",
            images=200,
            test_images=66,
            floor_deviation=0.1,
            uniform_noise=9.0,
            seed=0,
            **measured,
        )
        write_weights(file, network, facts, torch.zeros(0, FEATURES))
        return {"name": cls.key, "weights": str(file)}


def write_weights(
    file: Path, network: FeatureNetwork, facts: TrainedFacts, trained_on: Tensor
) -> None:
    """Write a network to `file`, whole or not at all; the same content gives the same bytes.

    `trained_on`: features (m, 64) of images that it was trained on.
    """
    tensors = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    tensors[TRAINED_ON] = trained_on.contiguous()
    atomic_write(file, save(tensors, {HEADER: facts.model_dump_json()}))


def _facts(data: bytes, file: Path) -> TrainedFacts:
    """What the header of a safetensors file, which was found to be one, says of a network."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    try:
        return TrainedFacts.model_validate_json(header[HEADER])
    except KeyError as error:
        raise ExtractorError(f"{file} is not of `sweeper extractor train`") from error
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, wrong["loc"]))
        raise ExtractorError(f"{file} tells no network: {place}: {wrong['msg']}") from error
