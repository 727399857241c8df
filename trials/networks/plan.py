"""The plan of both networks, made before either is built, so that tricks can change it.

A trick never edits a built network. It returns a changed plan::

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        wrap = (*plan.discriminator.wrap_layer, spectral_normalise)
        return replace(plan, discriminator=replace(plan.discriminator, wrap_layer=wrap))

and `trials.networks.build.build` makes the two modules from the final plan. A family of
networks reads every field that it can honour and refuses, with a `ConfigError`, one that it
cannot, so that no knob is silently dead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from trials.part import PartConfig


class Judgement(NamedTuple):
    """What a discriminator says of a batch.

    `score`: (N,) raw scores, no sigmoid. `features`: (N, F) the activations that the last
    layer reads. `heads`: further outputs by name, each (N, k): class logits, codes.
    `reconstruction`: what an autoencoder discriminator made of its input, else `None`.
    Where several `judges` judge, `score` is (S·N,), one judge's scores after the other's.
    """

    score: Tensor
    features: Tensor
    heads: Mapping[str, Tensor]
    reconstruction: Tensor | None = None
    judges: int = 1


def label_a_pack(labels: Tensor | None, packs: int) -> Tensor | None:
    """One label for each of `packs` packs, (P,), of labels (m·P,) of which m in a row are equal."""
    return labels if labels is None else labels[:: len(labels) // packs]


LayerKind = Literal["conv", "transposed", "linear", "embedding"]


@dataclass(frozen=True)
class LayerInfo:
    """Where a weight layer stands: its kind, the height of its output, whether it is last, and
    whether it is a table of what each class has of its own."""

    kind: LayerKind
    resolution: int
    last: bool = False
    table: bool = False


LayerWrap = Callable[[nn.Module, LayerInfo], nn.Module]
BlockInsert = Callable[[int, int], nn.Module | None]
"""(resolution, channels) → a module that keeps that shape and stands after the block, or None.

Asked once at each size that the network has, after the first block that reaches it; the sizes are
those of `trials.networks.build.block_sizes`. Weight layers inside the module are initialised
and wrapped like the network's own.
"""

FeatureInsert = Callable[[int], tuple[nn.Module, int]]
"""(features in) → (module from (N, in) to (N, out), features out)."""


@dataclass(frozen=True)
class PlayerPlan:
    """What both players have. `shape` is (C, H, W) of an image or (D,) of a point."""

    family: str
    shape: tuple[int, ...]
    knobs: PartConfig
    """The family's own knobs as the file gives them. Those that are fields of the plan too, tricks
    may have changed there."""

    width: int = 16
    depth: int = 1
    deep_from: int = 0
    """The smallest size at which `depth` adds anything."""

    norm: str = "none"
    activation: str = "relu"
    init: str = "xavier"
    bias: Literal["auto", "all", "none", "unnormalised"] = "auto"
    pieces: int = 1
    """Linear pieces of one maxout unit."""

    embedding: int = 0
    """Size of a learned class embedding; 0: one-hot."""

    classes: int = 0
    wrap_layer: tuple[LayerWrap, ...] = ()
    after_block: tuple[BlockInsert, ...] = ()
    builder: Callable[[Any], nn.Module] | None = None
    """Replaces the family's own constructor: several discriminators, growing networks."""

    def extra_at(self, size: int) -> int:
        """Blocks, or convolutions, that `depth` adds at a size."""
        return self.depth - 1 if size >= self.deep_from else 0


@dataclass(frozen=True)
class GeneratorPlan(PlayerPlan):
    """(N, latent) and labels (N,) → images (N, C, H, W) in [−1, 1], or points (N, D)."""

    latent: int = 64
    upsample: str = "transposed"
    head_kernel: int = 3
    bare_entry: bool = False
    """No normalisation and no activation between z's first layer and the first upsampling."""

    conditioning: Literal["none", "concat", "norm"] = "none"
    skip_z: Literal["none", "split", "whole"] = "none"
    convolution: Literal["plain", "gated"] = "plain"
    condition_channels: int = 0
    """Channels of an image that the generator completes or enlarges; 0: it works from z alone."""

    enlarge: int = 1
    """The output is this many times higher and wider than the condition image."""


@dataclass(frozen=True)
class DiscriminatorPlan(PlayerPlan):
    """Images and labels → `Judgement`."""

    downsample: str = "strided"
    doubles_at: Literal["halving", "keeping"] = "halving"
    """Which convolution doubles the channels: that which halves the size, or the next, which keeps
    it."""

    conditioning: Literal["none", "concat", "projection"] = "none"
    pack: int = 1
    """Samples judged together; the first layer reads `pack` times the channels."""

    append_maps: tuple[BlockInsert, ...] = ()
    """(resolution, channels) → module that adds one feature map before the last block."""

    after_features: tuple[FeatureInsert, ...] = ()
    heads: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkPlan:
    """Both players."""

    generator: GeneratorPlan
    discriminator: DiscriminatorPlan
