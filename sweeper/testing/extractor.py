"""What every extractor promises: features of the stated shape, fixed, each image's its own.

One whose weights are too large to make for a test, and which therefore has no `example`, is held
to nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from sweeper.testing.promises import Broken, promise, require
from trials.errors import ExtractorError
from trials.metrics.extractor import Extractor, build_extractor, decided, quantise
from trials.metrics.seeing import ExtractorPrecision, Lens

ITEMS = 5

NEAR = 0.02
"""How far features in half the bits may be from the others, as a share of their size."""


class Data(NamedTuple):
    """What an extractor is built for."""

    name: str
    kind: str
    shape: tuple[int, ...]


DATA = (
    Data("digits", "image", (1, 8, 8)),
    Data("npz", "image", (3, 16, 16)),
    Data("ring", "point", (2,)),
)
"""Small grey images, small coloured ones, and points in the plane."""


@promise("extractor")
def gives_features_of_the_stated_shape(extractor: type[Extractor], folder: Path) -> None:
    """Float32 (n, d), finite, without gradients; logits (n, k) just where it classifies."""
    for network, items in _built(extractor, folder):
        features, logits = network(items.clone().requires_grad_())
        shape, wanted = tuple(features.shape), (ITEMS, network.dim)
        require(shape == wanted, f"gives features {shape} where `dim` makes them {wanted}")
        require(features.dtype == torch.float32, f"gives features of {features.dtype}")
        require(torch.isfinite(features).all(), "gives features that are not finite")
        require(not features.requires_grad, "its features carry a gradient")
        require((logits is None) == (network.classes == 0), "has logits, or `classes`, alone")
        if logits is not None:
            shape, wanted = tuple(logits.shape), (ITEMS, network.classes)
            require(shape == wanted, f"gives logits {shape} where `classes` makes them {wanted}")
            require(not logits.requires_grad, "its logits carry a gradient")
            require(network.classifies, "gives logits, and `classifies` says no")


@promise("extractor")
def gives_the_same_features_for_the_same_items(extractor: type[Extractor], folder: Path) -> None:
    """Bit for bit when asked or built again, and whatever else is in the batch; bytes, too."""
    networks = zip(_built(extractor, folder), _built(extractor, folder), strict=True)
    for (network, items), (again, _) in networks:
        features = network(items).features
        require(torch.equal(network(items).features, features), "gives others when asked again")
        require(torch.equal(again(items).features, features), "gives others when built again")
        require(again.fingerprint == network.fingerprint, "has another fingerprint built again")
        alone = network(items[2:]).features
        near = torch.allclose(alone, features[2:], rtol=1e-4, atol=1e-5)
        require(near, "an item's features depend on the others of its batch")
        if items.ndim == 4:
            levels = network(quantise(items)).features
            require(torch.equal(levels, features), "sees floats otherwise than their bytes")


@promise("extractor")
def names_its_weights_and_its_resizing(extractor: type[Extractor], folder: Path) -> None:
    """Both stand in every protocol, which says what may be compared."""
    require(extractor.takes, "`takes` no kind of data")
    require(extractor.takes <= {"image", "point"}, f"`takes` {set(extractor.takes)}")
    require(extractor.suits_kinds <= extractor.takes, "suits a kind that it does not take")
    for network, _ in _built(extractor, folder):
        named = len(network.fingerprint) == 64 or network.fingerprint == network.key
        require(named, "its `fingerprint` is neither a sha256 nor its key")
        require(network.resize, "does not say how it resizes")


@promise("extractor")
def looks_in_half_the_bits(extractor: type[Extractor], folder: Path) -> None:
    """Through `evaluation.extractor_precision` its features are those of float32 as far as 8 bits
    go."""
    half = ExtractorPrecision(dtype="bfloat16", channels_last=True)
    for network, items in _built(extractor, folder):
        if items.ndim != 4:
            continue  # points are not looked at
        exact = network(items)
        if not torch.equal(network(items).features, exact.features):
            continue  # it draws, as another promise says: nothing can be told of bits
        seen = Lens(network, half, torch.device("cpu"))(items)
        for name, value, truth in zip(("features", "logits"), seen, exact, strict=True):
            if value is None or truth is None:
                continue
            require(value.dtype == torch.float32, f"gives {name} of {value.dtype}")
            apart = float((value - truth).norm() / truth.norm())
            require(apart < NEAR, f"its {name} are {apart:.2f} of their size away in bfloat16")


@promise("extractor")
def lets_gradients_through_its_layers(extractor: type[Extractor], folder: Path) -> None:
    """Where it `has_layers`; elsewhere it says that it has none."""
    for network, items in _built(extractor, folder):
        items = items.clone().requires_grad_()
        try:
            layers = network.layers(items)
        except ExtractorError:
            require(not network.has_layers, "`has_layers`, and gives none")
            continue
        require(network.has_layers, "gives layers, and `has_layers` says no")
        require(all(len(layer) == ITEMS for layer in layers), "a layer has not one row an item")
        total = torch.stack([layer.sum() for layer in layers]).sum()
        (gradient,) = torch.autograd.grad(total, items)
        require(gradient.abs().sum() > 0, "its layers do not depend on the images")


def _built(extractor: type[Extractor], folder: Path) -> Iterator[tuple[Extractor, Tensor]]:
    """The extractor on all small data that it takes, with a few items of each."""
    example = extractor.example(folder)
    if example is None:
        return
    config = extractor.Config.model_validate({k: v for k, v in example.items() if k != "name"})
    chance = torch.Generator().manual_seed(0)
    for data in DATA:
        chosen = decided(config, data.name, data.kind).part
        if data.kind not in chosen.takes or chosen.example(folder) is None:
            continue
        try:
            network = build_extractor(config, data)
        except ExtractorError as error:
            raise Broken(f"cannot be built for {data.kind}s {data.shape}: {error}") from error
        yield network, torch.rand(ITEMS, *data.shape, generator=chance) * 2 - 1
