"""Spectral normalisation (Miyato et al. 2018, arXiv:1802.05957).

    W / σ(W),   σ(W) ≈ uᵀ W v by power iteration, one iteration a forward pass

so that every layer has Lipschitz constant 1. On the discriminator; `generator` puts it on both
players, as SAGAN does (arXiv:1805.08318, section 4.1). The generator's class tables stay plain, as
in SAGAN's and BigGAN's code, which says that normalising its embedding cripples G: an embedding of
classes, and gains and biases that are a row a class. Where these are linear in an embedding that
all blocks share, they are normalised, as BigGAN's are. `class_tables` normalises all of them. The
iteration is torch's parametrisation.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import register_parametrization

from trials.networks.layers.exact import exact
from trials.networks.plan import LayerInfo, NetworkPlan
from trials.part import PartConfig, knob
from trials.trick import Trick


class _ExactSpectralNorm(_SpectralNorm):
    """Iterates in float32 in whatever a network computes."""

    forward = exact(_SpectralNorm.forward)


def normalised(layer: nn.Module, iterations: int) -> nn.Module:
    """`layer` with its weight divided by its largest singular value."""
    outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0  # where the matrix has its rows
    norm = _ExactSpectralNorm(layer.weight, iterations, outputs)  # type: ignore[arg-type]
    return register_parametrization(layer, "weight", norm)


class SpectralNorm(Trick):
    """Divides each layer's weight by its largest singular value."""

    key = "spectral_norm"
    group = "penalties"
    summary = "divides every weight matrix by its largest singular value"
    formula = "W ← W / σ(W),  σ by power iteration"
    paper = "Miyato et al. 2018, arXiv:1802.05957"
    reread = (
        "a normalised generator's class tables stay plain, which class_tables: true takes in, and"
        " minibatch discrimination's T is normalised",
    )
    example = {"conditioning": {"name": "projection", "generator": "norm"}}

    class Config(PartConfig):
        generator: bool = knob(
            False, "normalise the generator too", search={"values": [True, False]}
        )
        iterations: int = knob(1, "power iterations a forward pass", ge=1, le=100)
        class_tables: bool = knob(
            False, "normalise the generator's embedding, gains and biases by class too"
        )

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        iterations: int = self.config.iterations

        def wrap(layer: nn.Module, info: LayerInfo) -> nn.Module:
            return normalised(layer, iterations)

        judge = plan.discriminator
        plan = replace(plan, discriminator=replace(judge, wrap_layer=(*judge.wrap_layer, wrap)))
        if self.config.generator:
            maker, tables = plan.generator, self.config.class_tables

            def wrap_maker(layer: nn.Module, info: LayerInfo) -> nn.Module:
                return layer if info.table and not tables else wrap(layer, info)

            wraps = (*maker.wrap_layer, wrap_maker)
            plan = replace(plan, generator=replace(maker, wrap_layer=wraps))
        return plan
