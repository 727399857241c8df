"""Every weight layer of a network is made here, so that the plan reaches all of them.

A layer is built, its weights are drawn by the plan's rule, its biases set to 0, and then each of
the plan's `wrap_layer` functions may replace it (spectral normalisation, equalised rates).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from trials.networks.layers.activations import ACTIVATIONS, Maxout
from trials.networks.layers.exact import made_exact
from trials.networks.layers.gated import Gated
from trials.networks.layers.init import INITIALISERS, LAST
from trials.networks.layers.norms import (
    CENTRING,
    FOLLOWS_ACTIVATION,
    NORMS,
    ConditionalNorm,
)
from trials.networks.plan import (
    DiscriminatorPlan,
    GeneratorPlan,
    LayerInfo,
    LayerKind,
    PlayerPlan,
)

_KINDS: dict[type[nn.Module], LayerKind] = {
    nn.Conv2d: "conv",
    nn.ConvTranspose2d: "transposed",
    nn.Linear: "linear",
    nn.Embedding: "embedding",
}


Initialise = Callable[[Tensor], object]
"""Draws the weights of a layer, in place."""


class StartedLinear(nn.Linear):
    """A linear map whose weights have started by a rule of its own, and keep it when adopted."""


class LayerFactory:
    """Layers for one player. `code` is the width of the code its norms read; 0: they read none.

    `spatial` says whether the player works on feature maps (N, C, H, W) or vectors (N, C).
    `linear` starts linear maps, where a family has a rule of its own for them.
    """

    def __init__(
        self,
        plan: PlayerPlan,
        *,
        code: int = 0,
        spatial: bool = True,
        linear: Initialise | None = None,
    ) -> None:
        self.plan = plan
        self._linear = linear
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
        return self.finish(layer, LayerInfo("linear", resolution, last), self._linear)

    def embedding(self, entries: int, outputs: int, *, last: bool = False) -> nn.Module:
        """(N,) of class numbers → (N, outputs)."""
        info = LayerInfo("embedding", 1, last, table=True)
        return self.finish(nn.Embedding(entries, outputs), info)

    def finish(
        self,
        layer: nn.Module,
        info: LayerInfo,
        initialise: Initialise | None = None,
    ) -> nn.Module:
        """Draw the weights of a new weight layer, by default by the plan's rule, then let the plan
        wrap it."""
        made = cast("nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding", layer)
        usual = LAST.get(self.plan.init, self._initialise) if info.last else self._initialise
        (initialise or usual)(made.weight)
        if not isinstance(made, nn.Embedding) and made.bias is not None:
            nn.init.zeros_(made.bias)
        return self._wrapped(layer, info)

    def _wrapped(self, layer: nn.Module, info: LayerInfo) -> nn.Module:
        if info.last:
            layer = made_exact(layer)
        for wrap in self.plan.wrap_layer:
            layer = wrap(layer, info)
        return layer

    def adopt(self, module: nn.Module, resolution: int) -> nn.Module:
        """Treat the weight layers inside a module that a trick inserted like the network's own."""
        if isinstance(module, StartedLinear):
            return self._wrapped(module, LayerInfo("linear", resolution))
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
        gain, bias = (self._map_of_code(channels) for _ in range(2))
        return [ConditionalNorm(base, gain, bias)]

    def _map_of_code(self, channels: int) -> nn.Module:
        """(N, code) → (N, channels): a table, where the code is the class and nothing else."""
        maker = cast("GeneratorPlan", self.plan)
        table = maker.conditioning == "norm" and not maker.embedding and maker.skip_z == "none"
        layer = nn.Linear(self.code, channels, bias=False)
        return self.finish(layer, LayerInfo("linear", 1, table=table))

    def biased(self, *, normalised: bool = True, at_once: bool = True) -> bool:
        """Whether a layer gets a bias: by default not where a centring norm would cancel it.

        `normalised`: the player's normalisation follows, `at_once` with nothing in between.
        """
        normalised = normalised and not self.gated and self.plan.norm != "none"
        if self._biases == "auto":
            return not (normalised and self.plan.norm in CENTRING)
        return self._biases == "all" or (
            self._biases == "unnormalised" and not (normalised and at_once)
        )

    def unit(
        self, convolution: list[nn.Module], channels: int, *, normalised: bool = True
    ) -> list[nn.Module]:
        """Convolution, normalisation, activation; gated: convolution, gate, normalisation; with
        pixel norm: convolution, activation, normalisation.

        `convolution` ends with `channels·fan` channels, where `fan` is
        `outputs_per_channel`.
        """
        if not self.gated:
            return [*convolution, *self.activated(channels, normalised=normalised)]
        norm = self.norm(channels) if normalised else []
        return [*convolution, Gated(self.activation()), *norm]

    def activated(self, channels: int, *, normalised: bool = True) -> list[nn.Module]:
        """Normalisation and activation, in the order in which this normalisation has them."""
        norm = self.norm(channels) if normalised else []
        activation = self.activation()
        if self.plan.norm in FOLLOWS_ACTIVATION:
            return [activation, *norm]
        return [*norm, activation]

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
