"""What a user may say about the networks; ``None`` means the family's own default.

:func:`trials.networks.build.plan_networks` turns this into a plan. Which names a family
understands, and with which defaults, stands in the family's file.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FamilyName = Literal["auto", "dcgan", "resnet", "biggan", "mlp"]
Activation = Literal["relu", "leaky", "elu", "silu", "maxout"]
Init = Literal["normal", "xavier", "he", "orthogonal"]
Upsample = Literal["transposed", "nearest_conv", "bilinear_conv", "pixel_shuffle"]
Downsample = Literal["strided", "average_pool", "max_pool"]
GeneratorNorm = Literal[
    "none", "batch", "instance", "layer", "pixel", "switchable", "virtual_batch"
]
DiscriminatorNorm = Literal["none", "batch", "instance", "layer", "virtual_batch"]
Bias = Literal["auto", "all", "none"]

Width = Annotated[int, Field(ge=1, le=4096)]
Depth = Annotated[int, Field(ge=1, le=16)]
Pieces = Annotated[int, Field(ge=2, le=32)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class GeneratorConfig(_Section):
    """The generator."""

    family: FamilyName = "auto"
    """``auto``: that of :class:`NetworksConfig`."""

    width: Width | None = None
    """Channels at the full image size, the narrowest place; units of a hidden layer in an mlp."""

    depth: Depth | None = None
    """Blocks at each size, the resampling one included; hidden layers in an mlp."""

    norm: GeneratorNorm | None = None
    """Normalisation after (residual families: before) each hidden layer."""

    upsample: Upsample | None = None
    """How feature maps double their size."""

    activation: Activation | None = None
    """``leaky`` has slope 0.2; ``maxout`` is for the mlp."""

    init: Init | None = None
    """How weights start; biases start at 0."""

    head_kernel: Literal[0, 1, 3, 5, 7, 9] | None = None
    """Kernel of the convolution that makes the image; 0 (dcgan only): the last upsampling does."""

    skip_z: Literal["none", "split", "whole"] | None = None
    """A share of z, or all of it, sets gains and biases in every block."""

    convolution: Literal["plain", "gated"] = "plain"
    """``gated``: half of each convolution's channels are gates on the other half."""

    bias: Bias = "auto"
    """``auto`` leaves out the biases that a normalisation cancels. Reference implementations have
    ``all`` or ``none``; the choice makes a parameter count agree with theirs."""

    pieces: Pieces | None = None
    """Linear pieces of one maxout unit (mlp with ``activation: maxout`` only)."""

    embedding: Annotated[int, Field(ge=0, le=1024)] | None = None
    """Size of a learned class embedding; 0: one-hot."""


class DiscriminatorConfig(_Section):
    """The discriminator."""

    family: Literal["auto", "dcgan", "resnet", "biggan", "mlp", "autoencoder"] = "auto"
    """``autoencoder`` judges by how well it reconstructs (EBGAN, BEGAN)."""

    width: Width | None = None
    """Channels after the first convolution; units of a hidden layer in an mlp."""

    depth: Depth | None = None
    """dcgan: convolutions at each size; residual families: blocks at each size; mlp: layers."""

    norm: DiscriminatorNorm | None = None
    """Normalisation of each hidden layer but the first."""

    downsample: Downsample | None = None
    """How feature maps halve their size."""

    activation: Activation | None = None
    """``leaky`` has slope 0.2; ``maxout`` is for the mlp."""

    init: Init | None = None
    """How weights start; biases start at 0."""

    bias: Bias = "auto"
    """As the generator's."""

    pieces: Pieces | None = None
    """Linear pieces of one maxout unit (mlp with ``activation: maxout`` only)."""

    embedding: Annotated[int, Field(ge=0, le=1024)] | None = None
    """Size of a learned class embedding joined to the input; 0: one-hot maps."""

    code: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Numbers between encoder and decoder (autoencoder only)."""

    upsample: Upsample | None = None
    """How the decoder doubles its size (autoencoder only)."""


class NetworksConfig(_Section):
    """Both networks. ``auto`` is dcgan for images and mlp for points."""

    family: FamilyName = "auto"
    """Of both players, unless one names its own."""

    generator: GeneratorConfig = GeneratorConfig()
    """The generator's knobs."""

    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    """The discriminator's knobs."""
