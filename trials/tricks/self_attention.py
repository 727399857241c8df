"""Self-attention (Zhang et al. 2018, arXiv:1805.08318).

    β_ji = softmax_i f(x_i)ᵀ g(x_j),   o_j = v(Σ_i β_ji h(x_i)),   y = γ o + x,   γ starts at 0

stands after the block at one resolution, in one player or both. The layer, and where it follows
the authors' code instead of the paper's text, is in `networks/layers/self_attention.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from trials.game import Trial
from trials.networks import block_sizes
from trials.networks.build import plan_networks
from trials.networks.layers.self_attention import SelfAttention
from trials.networks.plan import BlockInsert, DiscriminatorPlan, GeneratorPlan, NetworkPlan
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


class Attention(Trick):
    """Sees relations that no stack of small kernels spans."""

    key = "self_attention"
    group = "judgement"
    summary = "lets distant places of a feature map see each other"
    formula = "y = γ v(Σ_i softmax_i(f(x_i)ᵀ g(x_j)) h(x_i)) + x"
    paper = "Zhang et al. 2018, arXiv:1805.08318"
    differences = (
        "As the authors' code, not the paper's text: keys and values of a quarter of the places.",
    )

    class Config(PartConfig):
        resolution: int = knob(
            0, "size of the feature maps; 0: half of the image, or the nearest below", ge=0, le=256
        )
        players: Literal["both", "generator", "discriminator"] = knob("both", "where it stands")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape = trial.shape()
        if shape is None or len(shape) != 3:
            return  # points have no feature maps, and the check of the networks says so
        plan = plan_networks(trial.networks, shape, trial.latent.dim, 0)
        for player, player_plan in (
            ("generator", plan.generator),
            ("discriminator", plan.discriminator),
        ):
            if config.players in (player, "both") and not standing(player_plan, config.resolution):
                sizes = ", ".join(map(str, sorted(block_sizes(player_plan))))
                yield Problem(
                    "tricks.self_attention.resolution",
                    f"the {player} has no feature maps of {config.resolution}×{config.resolution}",
                    expected=f"0, or one of {sizes}",
                )

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        if self.config.players != "discriminator":
            maker = plan.generator
            inserts = (*maker.after_block, insert_at(standing(maker, self.config.resolution)))
            plan = replace(plan, generator=replace(maker, after_block=inserts))
        if self.config.players != "generator":
            judge = plan.discriminator
            inserts = (*judge.after_block, insert_at(standing(judge, self.config.resolution)))
            plan = replace(plan, discriminator=replace(judge, after_block=inserts))
        return plan


def standing(plan: GeneratorPlan | DiscriminatorPlan, resolution: int) -> int:
    """The size of the feature maps where attention stands in this player; 0 where it cannot."""
    if len(plan.shape) != 3:
        return 0
    sizes = sorted(block_sizes(plan))
    if resolution:
        return resolution if resolution in sizes else 0
    below = [size for size in sizes if size <= plan.shape[-1] // 2]
    return max(below, default=min(sizes, default=0))


def insert_at(wanted: int) -> BlockInsert:
    """Attention after the block that makes feature maps of the wanted size."""
    return lambda resolution, channels: SelfAttention(channels) if resolution == wanted else None
