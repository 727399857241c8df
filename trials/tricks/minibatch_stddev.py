"""Minibatch standard deviation (Karras et al. 2017, arXiv:1710.10196, section 3).

the standard deviation of each feature over a group of samples, averaged over features and
places to one number, is appended as a constant feature map before the last block
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from trials.networks.layers.minibatch_stddev import MinibatchStddev
from trials.networks.plan import NetworkPlan
from trials.part import PartConfig, knob
from trials.trick import Trick


class Stddev(Trick):
    """One map that says how much the samples of a group differ."""

    key = "minibatch_stddev"
    group = "judgement"
    summary = "shows the discriminator the spread of a group of samples as a feature map"
    formula = "mean over features and places of std over a group, as one more map"
    paper = "Karras et al. 2017, arXiv:1710.10196"
    differences = (
        "A batch that the group does not divide is dealt to groups of that size and more.",
    )
    compares = True

    class Config(PartConfig):
        group: int = knob(4, "samples compared with each other, at least", ge=2, le=256)

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        def insert(resolution: int, channels: int) -> nn.Module | None:
            return MinibatchStddev(self.config.group)

        judge = plan.discriminator
        inserts = (*judge.append_maps, insert)
        return replace(plan, discriminator=replace(judge, append_maps=inserts))
