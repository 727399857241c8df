"""Self-attention (Zhang et al. 2018, arXiv:1805.08318). Source: 003.

    β_ji = softmax_i f(x_i)ᵀ g(x_j),   o_j = v(Σ_i β_ji h(x_i)),   y = γ o + x,   γ starts at 0

stands after the block at one resolution, in one player or both. The layer, and where it follows
the authors' code instead of the paper's text, is in ``networks/layers/self_attention.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from torch import nn

from trials.config import TrialConfig
from trials.networks.layers.self_attention import SelfAttention
from trials.networks.plan import NetworkPlan
from trials.problems import Problem
from trials.trick import Trick, TrickConfig, knob


class Attention(Trick):
    """Sees relations that no stack of small kernels spans."""

    key = "self_attention"
    group = "judgement"
    summary = "lets distant places of a feature map see each other"
    formula = "y = γ v(Σ_i softmax_i(f(x_i)ᵀ g(x_j)) h(x_i)) + x"
    paper = "Zhang et al. 2018, arXiv:1805.08318"
    source = "003"

    class Config(TrickConfig):
        resolution: int = knob(0, "size of the feature maps; 0: half of the image", ge=0, le=256)
        players: Literal["both", "generator", "discriminator"] = knob("both", "where it stands")

    @classmethod
    def check(cls, config: Any, trial: TrialConfig) -> Iterable[Problem]:
        chosen, shape = config.resolution, trial.shape()
        if shape is None or len(shape) != 3:
            return  # points have no feature maps, and the check of the networks says so
        sizes = [2**i for i in range(2, 9) if 2**i <= shape[-1]]
        if chosen and chosen not in sizes:
            yield Problem(
                "tricks.self_attention.resolution",
                f"there are no feature maps of {chosen}×{chosen}",
                expected="0, or one of " + ", ".join(map(str, sizes)),
            )

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        if len(plan.generator.shape) != 3:
            wanted = 0  # the check of the plan says that points have no feature maps
        else:
            wanted = self.config.resolution or plan.generator.shape[-1] // 2

        def insert(resolution: int, channels: int) -> nn.Module | None:
            return SelfAttention(channels) if resolution == wanted else None

        if self.config.players != "discriminator":
            maker = plan.generator
            plan = replace(plan, generator=replace(maker, after_block=(*maker.after_block, insert)))
        if self.config.players != "generator":
            judge = plan.discriminator
            plan = replace(
                plan, discriminator=replace(judge, after_block=(*judge.after_block, insert))
            )
        return plan
