"""Wasserstein GAN (Arjovsky et al. 2017, arXiv:1701.07875).

    critic     E f − E r
    generator  −E f

E r − E f estimates the Wasserstein-1 distance if the critic is Lipschitz, so one of
`weight_clipping`, `gradient_penalty`, `dragan` or `spectral_norm` belongs with it. The
estimate is logged as `wasserstein`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from trials.game import Game, Round, Trial
from trials.losses.base import UncentredLoss
from trials.toolkit.memory import remembered

LIPSCHITZ = ("weight_clipping", "gradient_penalty", "dragan", "spectral_norm")


class Wasserstein(UncentredLoss):
    """The critic's score has no meaning of its own, only differences do."""

    key = "wgan"
    summary = "a critic that estimates the earth mover's distance; needs a Lipschitz control"
    formula = "D: E f - E r    G: -E f    with D 1-Lipschitz"
    paper = "Arjovsky et al. 2017, arXiv:1701.07875"

    _estimate: Tensor | None = None

    @classmethod
    def advise(cls, config: Any, trial: Trial) -> Iterable[str]:
        if not set(LIPSCHITZ) & set(trial.tricks):
            yield (
                "loss: wgan is a distance only for a Lipschitz critic; switch on one of "
                + ", ".join(LIPSCHITZ)
                + " (arXiv:1701.07875, section 3)"
            )
        critic = trial.optimizer.discriminator
        momentum = max(getattr(critic, name, 0.0) for name in ("beta1", "momentum"))
        if momentum > 0 and "gradient_penalty" not in trial.tricks:
            yield (
                f"loss: wgan with momentum ({critic.name} at {momentum:g}) in the critic becomes "
                "unstable; use rmsprop, or beta1 0 (arXiv:1701.07875, section 4.3)"
            )

    def prepare(self, game: Game) -> None:
        self._device, self._estimate = game.device, None

    def discriminator(self, round: Round) -> Tensor:
        loss = round.f.mean() - round.r.mean()
        self._estimate = remembered(self._estimate, -loss.detach(), loss.device)
        return loss

    def generator(self, round: Round) -> Tensor:
        return -round.f.mean()

    def signals(self, game: Game) -> dict[str, float]:
        return {} if self._estimate is None else {"wasserstein": float(self._estimate)}

    def state(self) -> dict[str, Any]:
        return {"estimate": self._estimate}

    def load_state(self, state: dict[str, Any]) -> None:
        self._estimate = remembered(self._estimate, state["estimate"], self._device)
