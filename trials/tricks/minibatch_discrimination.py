"""Minibatch discrimination (Salimans et al. 2016, arXiv:1606.03498, section 3.2).

    M_i = f(x_i) T,   T ∈ R^{A×B×C}
    o(x_i)_b = Σ_j exp(−‖M_ib − M_jb‖₁)

joined to the features that the discriminator's last layer reads, so that it can tell a batch
without variety.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from trials.networks.layers.minibatch_discrimination import MinibatchDiscrimination
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig, knob
from trials.trick import Trick


class Minibatch(Trick):
    """The judge compares the samples of a batch."""

    key = "minibatch_discrimination"
    group = "judgement"
    summary = "the discriminator sees how close each sample is to the others of its batch"
    formula = "o(x_i)_b = Σ_j exp(-‖M_ib - M_jb‖₁),  M_i = f(x_i) T"
    paper = "Salimans et al. 2016, arXiv:1606.03498"
    compares = True

    class Config(PartConfig):
        kernels: int = knob(50, "B, numbers added to the features", ge=1, le=1000)
        dimensions: int = knob(5, "C, numbers compared for each", ge=1, le=100)

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        def insert(features: int) -> tuple[nn.Module, int]:
            kernels = self.config.kernels
            layer = MinibatchDiscrimination(features, kernels, self.config.dimensions)
            return layer, features + kernels

        judge = plan.discriminator
        inserts = (*judge.after_features, insert)
        return replace(plan, discriminator=replace(judge, after_features=inserts))
