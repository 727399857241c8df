"""What R1 and R2 share (Mescheder et al. 2018, arXiv:1801.04406): a zero-centred penalty.

    γ/2 · E ‖∇D(x)‖²

of real images (R1) or of generated ones (R2). With `every` > 1 it is taken lazily, every so many
discriminator steps with its weight multiplied by that number (Karras et al. 2020,
arXiv:1912.04958, appendix B).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.part import PartConfig, knob
from trials.toolkit.gradients import advice_on_batch_norm, score_gradients, watched
from trials.trick import Trick


def penalty(gradients: Tensor) -> Tensor:
    """½ E ‖∇D(x)‖² of per-sample gradients (M, …); a scalar."""
    return gradients.flatten(1).square().sum(dim=1).mean() / 2


class ZeroCentredPenalty(Trick):
    """Pulls the discriminator's gradient on one side of the table to zero."""

    group = "penalties"
    paper = "Mescheder et al. 2018, arXiv:1801.04406"

    class Config(PartConfig):
        gamma: float = knob(
            10.0, "γ", gt=0, search={"min": 0.01, "max": 100.0, "distribution": "log_uniform"}
        )
        every: int = knob(1, "discriminator steps from one penalty to the next", ge=1, le=64)

    @classmethod
    def advise(cls, config: Any, trial: Trial) -> Iterable[str]:
        return advice_on_batch_norm(cls.key, trial)

    @abstractmethod
    def side(self, round: Round) -> tuple[Tensor | None, Tensor | None]:
        """The penalised images, as the discriminator sees them (M, …), and their labels (M,)."""

    def prepare(self, game: Game) -> None:
        self.count = 0

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        # A step counts once, in however many parts its batch is computed.
        due = self.count // self.trial.accumulate % self.config.every == 0
        self.count += 1
        if not due:
            return terms
        seen, labels = self.side(round)
        assert seen is not None
        images = watched(seen)
        gradients = score_gradients(game.score(images, labels).score, images, round.judges)
        weight = self.config.gamma * self.config.every * round.judges
        return {**terms, self.key: weight * penalty(gradients)}

    def state(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
