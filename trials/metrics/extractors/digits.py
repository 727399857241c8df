"""The embedded extractor: a small convolutional network trained on UCI digits.

64 features after the last convolution, ten logits. The weights and `digits.json`, which
states their test accuracy and the distance between two halves of the real data, are written by
`benchmarks/train_digits_extractor.py`; nothing is ever downloaded.

Rule for images that are not 8×8 and grey: channels are averaged, then the image is averaged
over equal areas down to 8×8, so any multiple of 8 pixels is accepted and nothing smaller.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from trials.data import open_data
from trials.data.sources.digits import Digits
from trials.errors import ExtractorError
from trials.metrics.extractor import (
    Extractor,
    Features,
    Weights,
    quantise,
    read_weights,
    require_state,
)
from trials.metrics.feature_network import convolved, fault_of_form, to_form
from trials.part import knob
from trials.problems import Problem

SIZE = 8
FEATURES = 64
CLASSES = 10
WEIGHTS = Path(__file__).with_name("digits.safetensors")
FACTS = Path(__file__).with_name("digits.json")


class DigitsNetwork(nn.Module):
    """(n, 1, 8, 8) in [−1, 1] → features (n, 64) and logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = convolved(1, 32)
        self.strokes = convolved(32, 64)
        self.shapes = convolved(64, FEATURES)
        self.head = nn.Linear(FEATURES, CLASSES)

    def activations(self, x: Tensor) -> list[Tensor]:
        """The three feature maps: (n, 32, 8, 8), (n, 64, 8, 8) and (n, 64, 4, 4)."""
        edges = self.edges(x)
        strokes = self.strokes(edges)
        return [edges, strokes, self.shapes(F.max_pool2d(strokes, 2))]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, 64) and logits (n, 10)."""
        features = self.activations(x)[-1].mean(dim=(2, 3))
        return features, self.head(features)


class DigitsExtractor(Extractor):
    """The shipped network with its weights; see the module docstring."""

    key = "digits"
    summary = "the shipped network, trained on UCI digits"
    order = 10
    suits_sources = frozenset({"digits"})
    classifies = True
    classes_of = frozenset({"digits"})
    dim = FEATURES
    classes = CLASSES
    resize = "channels averaged; area-averaged to 8x8"

    class Config(Extractor.Config):
        weights: Weights | None = knob(None, "safetensors file; the shipped weights if none")

    def __init__(
        self, weights: Path | None = None, device: torch.device | str | None = None
    ) -> None:
        path = weights or WEIGHTS
        data, self.fingerprint = read_weights(path)
        network = DigitsNetwork()
        try:
            state = load(data)
        except SafetensorError as error:
            raise ExtractorError(f"{path} is not a safetensors file: {error}") from error
        require_state(state, network.state_dict(), "the digits extractor")
        network.load_state_dict(state)
        self.network = network.eval().requires_grad_(False).to(device or "cpu")

    @classmethod
    def check(cls, config: Any, kind: str) -> list[Problem]:
        problems = list(super().check(config, kind))
        if problems or config.weights is None:
            return problems
        try:
            cls(config.weights)
        except ExtractorError as error:
            return [Problem("weights", str(error))]
        return []

    @classmethod
    def misfit(cls, config: Any, shape: tuple[int, ...]) -> str:
        height, width = shape[-2:]
        return fault_of_form(height, width, SIZE, cls.key)

    @classmethod
    def build(
        cls, config: Any, shape: tuple[int, ...], device: torch.device | str | None = None
    ) -> DigitsExtractor:
        return cls(config.weights, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        levels = quantise(images).to(self._device(), torch.float32)
        return Features(*self.network(self._seen(levels / 127.5 - 1)))

    def layers(self, images: Tensor) -> list[Tensor]:
        return self.network.activations(self._seen(images.to(self._device())))

    def training_features(self) -> Tensor | None:
        shipped = self.fingerprint == digits_facts()["sha256"]
        return self(open_data(Digits.Config()).images).features if shipped else None

    def _seen(self, images: Tensor) -> Tensor:
        return to_form(images, 1, SIZE, self.key)

    def _device(self) -> torch.device:
        return self.network.head.weight.device


@cache
def digits_facts() -> dict[str, Any]:
    """What is known of the shipped weights: test accuracy, floor, and how both were taken."""
    facts: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    return facts
