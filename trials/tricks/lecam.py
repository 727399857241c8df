"""LeCam regularisation (Tseng et al. 2021, arXiv:2104.03310).

    λ ( E ‖D(x) − α_F‖² + E ‖D(G(z)) − α_R‖² )

α_R and α_F are moving averages of the scores of real and generated images in the steps before.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Round, Terms
from trials.part import PartConfig, knob
from trials.toolkit.memory import written
from trials.trick import Trick


def penalty(r: Tensor, f: Tensor, anchor_real: Tensor, anchor_fake: Tensor) -> Tensor:
    """E ‖r − α_F‖² + E ‖f − α_R‖² of scores (N,) and scalar anchors, or (S, N) and (S, 1) of
    several judges; a scalar."""
    return (r - anchor_fake).square().mean() + (f - anchor_real).square().mean()


class LeCam(Trick):
    """Holds scores near the other side's average, for small data sets."""

    key = "lecam"
    group = "penalties"
    summary = "holds each side's scores near the other side's moving average"
    formula = "λ (E ‖D(x) - α_F‖² + E ‖D(G(z)) - α_R‖²)"
    paper = "Tseng et al. 2021, arXiv:2104.03310"

    class Config(PartConfig):
        weight: float = knob(
            0.3, "λ", gt=0, search={"min": 0.001, "max": 1.0, "distribution": "log_uniform"}
        )
        decay: float = knob(0.99, "of the moving averages", ge=0, lt=1)
        start: float = knob(0.0, "share of the training before the penalty starts", ge=0, lt=1)

    def prepare(self, game: Game) -> None:
        self.anchors = torch.zeros(2, 1, 1, device=game.device)  # α_R and α_F of each judge
        self.parts: list[Tensor] = []  # mean scores (2, S, 1) of a step's parts

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        r, f = round.by_judge(round.r), round.by_judge(round.f)
        self.parts.append(torch.stack([side.detach().mean(1, keepdim=True) for side in (r, f)]))
        if game.host.choice(lambda: game.progress < self.config.start):
            return terms
        term = self.config.weight * round.judges * penalty(r, f, self.anchors[0], self.anchors[1])
        return {**terms, "lecam": term}

    def after_discriminator_step(self, game: Game, round: Round) -> None:
        now = torch.stack(self.parts).mean(0)
        self.anchors = written(self.anchors, torch.lerp(now, self.anchors, self.config.decay))
        self.parts = []

    def state(self) -> dict[str, Any]:
        return {"anchors": self.anchors, "parts": list(self.parts)}

    def load_state(self, state: dict[str, Any]) -> None:
        self.anchors = written(self.anchors, state["anchors"])
        self.parts = list(state["parts"])
