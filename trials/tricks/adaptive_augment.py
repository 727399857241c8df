"""Adaptive discriminator augmentation (Karras et al. 2020, arXiv:2006.06676).

    every `interval` discriminator steps   r_t = E[sign(D(x) − b)];   p ← p ± Δ, towards target
    D sees T_p(x) and T_p(G(z)):  each transformation is applied to an image with probability p

b is the score above which the loss takes an image for real: the paper's 0, or the middle between
both sides for losses that are not centred there. Δ is such that p can go from 0 to 1 in `ramp`
images. The paper's 18 transformations are reduced to those that its ablation (figure 4) found to
matter and that need no filter banks: pixel blitting (mirror, quarter turns, whole-pixel moves by up
to 1/8) and colour (brightness and contrast).

With `rise_to` p does not follow the scores: it rises from `initial` to that along half a cosine, as
R3GAN's does (Huang et al. 2025, arXiv:2501.05441).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Round, Steps, Terms, Trial
from trials.optimization import Decay
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.toolkit.shifts import mirrored, shifted
from trials.trick import Trick


def next_p(p: float, sign: float, target: float, images: int, ramp: int) -> float:
    """p after `images` images judged with mean sign `sign`, within [0, 1]."""
    if sign == target:
        return p
    return min(1.0, max(0.0, p + math.copysign(images / ramp, sign - target)))


def transformed(images: Tensor, p: float, stream: torch.Generator, turn: bool) -> Tensor:
    """Images (N, C, H, W), each transformation applied to each with probability p."""
    count, device = len(images), images.device

    def uniform() -> Tensor:
        return torch.rand(count, generator=stream, device=device)

    def chosen() -> Tensor:
        return uniform() < p

    if turn:
        images = mirrored(images, chosen() & (uniform() < 0.5))
        turned = chosen()
        quarters = (uniform() * 4).floor()
        for k in (1, 2, 3):
            hit = (turned & (quarters == k))[:, None, None, None]
            images = torch.where(hit, images.rot90(k, (2, 3)), images)
    reach = max(1, images.shape[-1] // 8)
    down, right = ((uniform() * (2 * reach + 1)).floor().long() - reach for _ in range(2))
    moved = chosen()
    images = shifted(images, down * moved, right * moved)
    # The paper's spreads: brightness N(0, 0.2²), contrast exp₂ N(0, 0.5²); here from U(−½, ½) of
    # the same deviation, so that one stream of uniform numbers serves all.
    spread = math.sqrt(12)
    brightness = (uniform() - 0.5) * spread * 0.2 * chosen()
    contrast = torch.exp2((uniform() - 0.5) * spread * 0.5 * chosen())
    return (images + brightness[:, None, None, None]) * contrast[:, None, None, None]


class AdaptiveAugment(Trick):
    """As much augmentation as overfitting asks for."""

    key = "adaptive_augment"
    group = "judgement"
    slot = "augmentation"
    summary = "augments with a probability that follows the discriminator's overfitting"
    formula = "p ← p ± Δ towards E[sign(D(x) − b)] = target;  D(T_p(x)), D(T_p(G(z)))"
    paper = "Karras et al. 2020, arXiv:2006.06676"
    not_capturable = "the host reads the scores, and decides p"
    order = 40
    differences = (
        "Of 18 transformations moves, brightness and contrast, with `turn` mirror and turns too.",
        "Brightness and contrast are uniform with the paper's deviations, not normal.",
    )
    example = {"tricks": {"adaptive_augment": {"initial": 0.5, "interval": 1, "ramp": 100}}}

    class Config(PartConfig):
        target: float = knob(
            0.6, "E[sign(D(x) − b)] aimed at", gt=-1, lt=1, search={"min": 0.3, "max": 0.8}
        )
        initial: float = knob(0.0, "p at the start", ge=0, le=1)
        interval: int = knob(4, "discriminator steps between two changes of p", ge=1)
        ramp: int = knob(500_000, "images in which p may go from 0 to 1", ge=1)
        rise_to: float | None = knob(
            None, "p rises to this along half a cosine; null: it follows the scores", ge=0, le=1
        )
        turn: bool = knob(False, "mirror and turn too (wrong for digits and letters)")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape = trial.shape()
        if shape is not None and len(shape) != 3:
            yield Problem("tricks.adaptive_augment", "augments images, and these data are points")

    def __init__(self, config: Any, trial: Trial) -> None:
        super().__init__(config, trial)
        self._begin()  # a reference batch is seen before anything is prepared

    def prepare(self, game: Game) -> None:
        self.device = game.device
        self._begin()

    def _begin(self) -> None:
        self.p: float = self.config.initial
        self.signs: list[Tensor] = []  # of the steps since p was changed, scalars
        self.parts: list[Tensor] = []  # of the parts of the step that is being taken

    def steps(self, game: Game, steps: Steps) -> Steps:
        if self.config.rise_to is not None:
            left = Decay.named("cosine").left(game.progress, 0.0)
            self.p = self.config.initial * left + self.config.rise_to * (1 - left)
        return steps

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        if self.p == 0:
            return images
        return transformed(images, self.p, game.streams.augmentation, self.config.turn)

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        if self.config.rise_to is not None:
            return terms
        self.parts.append((round.r.detach() - game.border(round)).sign().mean())
        return terms

    def after_discriminator_step(self, game: Game, round: Round) -> None:
        if self.config.rise_to is not None:
            return
        self.signs.append(torch.stack(self.parts).mean())
        self.parts = []
        if len(self.signs) == self.config.interval:
            # p decides what is drawn at all, so the host has to know it.
            sign = sum(torch.stack(self.signs).tolist()) / len(self.signs)
            images = self.config.interval * self.trial.batch_size
            self.p = next_p(self.p, sign, self.config.target, images, self.config.ramp)
            self.signs = []

    def signals(self, game: Game) -> dict[str, float]:
        return {"probability": self.p}

    def state(self) -> dict[str, Any]:
        return {"p": self.p, "signs": list(self.signs), "parts": list(self.parts)}

    def load_state(self, state: dict[str, Any]) -> None:
        self.p = state["p"]
        self.signs = [torch.as_tensor(sign, device=self.device) for sign in state["signs"]]
        self.parts = list(state["parts"])
