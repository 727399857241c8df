"""Label smoothing (Salimans et al. 2016, arXiv:1606.03498, section 3.4).

One-sided: the target of real images is α < 1 (0.9), or random in U(low, high), one a sample; that
of generated images stays 0. `two_sided` also raises the target of generated images to 1 − α,
which the paper warns against: where p_data is near 0 the optimal discriminator
(α p_data + β p_model) / (p_data + p_model) then leaves wrong samples where they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from trials.game import Game, Round, Trial
from trials.losses.base import needs_targets
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick

CROSS_ENTROPY = ("minimax", "non_saturating")
"""Losses that are bounded below only for targets from 0 to 1."""


def smoothed(
    count: int, low: float, high: float, stream: torch.Generator, dtype: torch.dtype
) -> Tensor:
    """Targets from U(low, high), one a sample, shape (count,)."""
    draw = torch.rand(count, generator=stream, device=stream.device, dtype=dtype)
    return low + (high - low) * draw


class LabelSmoothing(Trick):
    """Teaches the discriminator to be less than certain of real images."""

    key = "label_smoothing"
    group = "judgement"
    summary = "real images are taught as 0.9, or as U(0.9, 1.1), instead of 1"
    formula = "real target α (fixed) or U(low, high); generated target 0"
    paper = "Salimans et al. 2016, arXiv:1606.03498"

    class Config(PartConfig):
        kind: Literal["fixed", "uniform"] = knob("fixed", "one α, or a random target a sample")
        alpha: float = knob(
            0.9, "fixed: the real target", gt=0.5, le=1, search={"min": 0.7, "max": 0.99}
        )
        low: float = knob(0.9, "uniform: lowest target", gt=0, le=1.5)
        high: float = knob(1.1, "uniform: highest target", gt=0, le=1.5)
        two_sided: bool = knob(False, "also raise the generated target to 1 - α")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        yield from needs_targets(cls.key, trial)
        if config.kind == "uniform" and config.low >= config.high:
            yield Problem(
                "tricks.label_smoothing.low", f"{config.low} is not below high {config.high}"
            )

    @classmethod
    def advise(cls, config: Any, trial: Trial) -> Iterable[str]:
        if config.two_sided:
            yield (
                "tricks.label_smoothing.two_sided: where the data are scarce the discriminator no "
                "longer corrects the generator (arXiv:1606.03498, section 3.4)"
            )
        if config.kind == "uniform" and config.high > 1 and trial.loss.name in CROSS_ENTROPY:
            yield (
                f"tricks.label_smoothing.high: with targets above 1 (up to {config.high}) cross "
                "entropy has no lower bound: the surer the discriminator is of a real image, the "
                "lower its loss, without end"
            )

    def judged(self, game: Game, round: Round) -> None:
        if round.player == "generator":
            return
        if self.config.kind == "fixed":
            round.real_target = round.real_target * self.config.alpha
        else:
            draw = smoothed(
                len(round.r),
                self.config.low,
                self.config.high,
                game.streams.augmentation,
                round.r.dtype,
            )
            round.real_target = round.real_target * draw
        if self.config.two_sided:
            floor = 1 - self.config.alpha
            round.fake_target = floor + (1 - floor) * round.fake_target
