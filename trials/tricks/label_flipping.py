"""Label flipping: real images are given the false label now and then.

    target of a real image: 0 with probability p(t), else 1;   p falls from p₀ to 0

Impairs a discriminator that wins too easily ("randomly giving false labels to real images",
in seri's "All About Training GAN"; Chintala's ganhacks, 2016).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from trials.game import Game, Round, Trial
from trials.losses.base import needs_targets
from trials.optimization import Decay
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def flips(count: int, probability: float | Tensor, stream: torch.Generator) -> Tensor:
    """True where a label is flipped, shape (count,)."""
    return torch.rand(count, generator=stream, device=stream.device) < probability


class LabelFlipping(Trick):
    """Lies to the discriminator about real images."""

    key = "label_flipping"
    group = "judgement"
    summary = "gives real images the false label with a falling probability"
    formula = "target of x: 0 with probability p(t), else 1"
    paper = "Chintala et al. 2016, ganhacks"
    order = 60
    example = {"tricks": {"label_flipping": {"probability": 0.5}}}  # seen within few steps

    class Config(PartConfig):
        probability: float = knob(0.05, "p₀", gt=0, le=0.5, search={"min": 0.01, "max": 0.3})
        schedule: Literal["linear", "cosine", "constant"] = knob("linear", "how p falls")
        until: float = knob(1.0, "share of the training after which none is flipped", gt=0, le=1)

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        yield from needs_targets(cls.key, trial)

    def judged(self, game: Game, round: Round) -> None:
        if round.player == "generator":
            return
        probability = game.host.number(lambda: self._probability(game))
        flipped = flips(len(round.r), probability, game.streams.augmentation)
        truth = round.real_target
        if not isinstance(truth, Tensor):
            truth = torch.full_like(round.r, truth)
        round.real_target = torch.where(flipped, torch.zeros_like(truth), truth)

    def _probability(self, game: Game) -> float:
        probability: float = self.config.probability
        if self.config.schedule != "constant":
            share = game.progress / self.config.until
            fade = Decay.named(self.config.schedule)
            probability *= fade.left(share, 0.0) if share < 1 else 0.0
        return probability
