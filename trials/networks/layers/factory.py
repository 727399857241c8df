"""Every weight layer of a network is made here, so that the plan reaches all of them.

A layer is built, its weights are drawn by the plan's rule, its biases set to 0, and then each of
the plan's `wrap_layer` functions may replace it (spectral normalisation, equalised rates).
"""

from __future__ import annotations

from typing import cast

from torch import nn

from trials.networks.layers.activations import ACTIVATIONS, Maxout
from trials.networks.layers.gated import Gated
from trials.networks.layers.init import INITIALISERS
from trials.networks.layers.norms import CENTRING, NORMS, ConditionalNorm
from trials.networks.plan import DiscriminatorPlan, LayerInfo, LayerKind, PlayerPlan

_KINDS: dict[type[nn.Module], LayerKind] = {
    nn.Conv2d: "conv",
    nn.ConvTranspose2d: "transposed",
    nn.Linear: "linear",
    nn.Embedding: "embedding",
}


class LayerFactory:
    """Layers for one player. `code` is the width of the code its norms read; 0: they read none.

    `spatial` says whether the player works on feature maps (N, C, H, W) or vectors (N, C).
    """

    def __init__(self, plan: PlayerPlan, *, code: int = 0, spatial: bool = True) -> None:
        self.plan = plan
        self.code = code
        self.spatial = spatial
        self.pieces = plan.pieces if plan.activation == "maxout" else 1
        self.gated = getattr(plan, "convolution", "plain") == "gated"
        self._initialise = INITIALISERS[plan.init]
        self._biases = plan.bias

    # Weight layers

    def conv(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        resolution: int,
        stride: int = 1,
        bias: bool = True,
        last: bool = False,
    ) -> nn.Module:
        """A convolution that keeps the size, or divides it by `stride`."""
        padding = (kernel - stride + 1) // 2
        layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias)
        return self.finish(layer, LayerInfo("conv", resolution, last))

    def transposed(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 4,
        *,
        resolution: int,
        bias: bool = True,
        last: bool = False,
    ) -> nn.Module:
        """A transposed convolution that doubles the size."""
        layer = nn.ConvTranspose2d(inputs, outputs, kernel, 2, (kernel - 2) // 2, bias=bias)
        return self.finish(layer, LayerInfo("transposed", resolution, last))

    def linear(
        self,
        inputs: int,
        outputs: int,
        *,
        resolution: int = 1,
        bias: bool = True,
        last: bool = False,
    ) -> nn.Module:
        """(N, inputs) → (N, outputs)."""
        layer = nn.Linear(inputs, outputs, bias=bias)
        return self.finish(layer, LayerInfo("linear", resolution, last))

    def embedding(self, entries: int, outputs: int, *, last: bool = False) -> nn.Module:
        """(N,) of class numbers → (N, outputs)."""
        return self.finish(nn.Embedding(entries, outputs), LayerInfo("embedding", 1, last))

    def finish(self, layer: nn.Module, info: LayerInfo) -> nn.Module:
        """Draw the weights of a new weight layer, then let the plan wrap it."""
        made = cast("nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding", layer)
        self._initialise(made.weight)
        if not isinstance(made, nn.Embedding) and made.bias is not None:
            nn.init.zeros_(made.bias)
        for wrap in self.plan.wrap_layer:
            layer = wrap(layer, info)
        return layer

    def adopt(self, module: nn.Module, resolution: int) -> nn.Module:
        """Treat the weight layers inside a module that a trick inserted like the network's own."""
        kind = _KINDS.get(type(module))
        if kind is not None:
            return self.finish(module, LayerInfo(kind, resolution))
        for name, child in list(module.named_children()):
            module.add_module(name, self.adopt(child, resolution))
        return module

    # What stands between them

    def activation(self) -> nn.Module:
        """The player's activation; maxout divides the channels by `pieces`."""
        if self.plan.activation == "maxout":
            return Maxout(self.pieces)
        return ACTIVATIONS[self.plan.activation]()

    def norm(self, channels: int, *, coded: bool = True) -> list[nn.Module]:
        """The player's normalisation as a list of no or one module."""
        kind = self.plan.norm
        if not (coded and self.code):
            return [] if kind == "none" else [NORMS[kind](channels, True, self.spatial)]
        base = None if kind == "none" else NORMS[kind](channels, False, self.spatial)
        gain, bias = (self.linear(self.code, channels, bias=False) for _ in range(2))
        return [ConditionalNorm(base, gain, bias)]

    def biased(self, *, normalised: bool = True) -> bool:
        """Whether a layer gets a bias: by default not where a centring norm would cancel it."""
        cancelled = normalised and not self.gated and self.plan.norm in CENTRING
        return {"auto": not cancelled, "all": True, "none": False}[self._biases]

    def unit(
        self, convolution: list[nn.Module], channels: int, *, normalised: bool = True
    ) -> list[nn.Module]:
        """Convolution, normalisation, activation; gated: convolution, gate, normalisation.

        `convolution` ends with `channels·fan` channels, where `fan` is
        `outputs_per_channel`.
        """
        norm = self.norm(channels) if normalised else []
        if self.gated:
            return [*convolution, Gated(self.activation()), *norm]
        return [*convolution, *norm, self.activation()]

    @property
    def outputs_per_channel(self) -> int:
        """Channels a hidden convolution has to make for one that the next layer reads."""
        return 2 if self.gated else 1

    def inserted(self, resolution: int, channels: int) -> list[nn.Module]:
        """What the plan's `after_block` functions put at this place."""
        layers = [insert(resolution, channels) for insert in self.plan.after_block]
        return [self.adopt(module, resolution) for module in layers if module is not None]

    def appended(self, resolution: int, channels: int) -> list[nn.Module]:
        """The modules of the plan's `append_maps` at this place; each adds one map."""
        layers: list[nn.Module] = []
        for append in cast("DiscriminatorPlan", self.plan).append_maps:
            module = append(resolution, channels + len(layers))
            if module is not None:
                layers.append(self.adopt(module, resolution))
        return layers


def halvings(size: int, smallest: int) -> int:
    """How many times `size` halves before it is `smallest`; both powers of two."""
    return (size // smallest).bit_length() - 1
