"""The knobs that families of networks share, each with its meaning and its limits.

A family's own knob class gives them their defaults::

    class GeneratorKnobs(PlayerKnobs):
        width: Channels = 16
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Channels = Annotated[
    int, Field(ge=1, le=4096, description="channels of the feature maps at the full image size")
]
"""Of a generator the narrowest place; of a discriminator what the first convolution makes."""

Units = Annotated[int, Field(ge=1, le=4096, description="units of each hidden layer")]
Layers = Annotated[int, Field(ge=1, le=16, description="hidden layers")]
Convolutions = Annotated[
    int, Field(ge=1, le=16, description="convolutions at each size, the resampling one included")
]
Blocks = Annotated[
    int, Field(ge=1, le=16, description="blocks at each size, the resampling one included")
]

DeepFrom = Annotated[
    int,
    Field(ge=0, le=256, description="the smallest size at which `depth` adds anything; 0: at all"),
]

GeneratorNorm = Annotated[
    Literal["none", "batch", "instance", "layer", "pixel", "switchable", "virtual_batch"],
    Field(description="normalisation of each hidden layer"),
]
DiscriminatorNorm = Annotated[
    Literal["none", "batch", "instance", "layer", "virtual_batch"],
    Field(description="normalisation of each hidden layer but the first"),
]
Activation = Annotated[
    Literal["relu", "leaky", "elu", "silu"], Field(description="`leaky` has slope 0.2")
]
Upsample = Annotated[
    Literal["transposed", "nearest_conv", "bilinear_conv", "pixel_shuffle"],
    Field(description="how feature maps double their size"),
]
Downsample = Annotated[
    Literal["strided", "average_pool", "max_pool"],
    Field(description="how feature maps halve their size"),
]
Init = Annotated[
    Literal["normal", "xavier", "he", "orthogonal", "residual"],
    Field(description="how weights start; biases start at 0"),
]
HeadKernel = Annotated[
    Literal[1, 3, 5, 7, 9], Field(description="kernel of the convolution that makes the image")
]
SkipZ = Annotated[
    Literal["none", "split", "whole"],
    Field(description="a share of z, or all of it, sets gains and biases in every block"),
]
Convolution = Annotated[
    Literal["plain", "gated"],
    Field(description="`gated`: half of each convolution's channels are gates on the other half"),
]
Bias = Annotated[
    Literal["auto", "all", "none", "unnormalised"],
    Field(
        description="`auto` leaves out the biases that a normalisation cancels; reference "
        "implementations have `all`, `none`, or `unnormalised`: where no normalisation follows at "
        "once"
    ),
]
Embedding = Annotated[
    int, Field(ge=0, le=1024, description="size of a learned class embedding; 0: one-hot")
]
