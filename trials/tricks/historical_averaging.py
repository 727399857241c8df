"""Historical averaging (Salimans et al. 2016, arXiv:1606.03498, section 3.3).

    c ‖θ − (1/t) Σ θ[i]‖²

added to the loss of a player; θ[i] are its weights after its i-th step. The mean runs over all
steps, or over the last `window` of them, the present weights among them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trials.game import Game, Round, Terms, Trial
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def distance(weights: list[Tensor], means: list[Tensor]) -> Tensor:
    """‖θ − θ̄‖², summed over all weights; a scalar."""
    return torch.stack([(w - m).square().sum() for w, m in zip(weights, means, strict=True)]).sum()


class History:
    """The mean of a network's past weights."""

    def __init__(self, network: nn.Module, window: int) -> None:
        self.window = window
        self.count = 0
        self.means = [torch.zeros_like(p) for p in network.parameters()]
        self.past: deque[list[Tensor]] = deque()

    @torch.no_grad()
    def add(self, network: nn.Module) -> None:
        """Take in the weights as they are now."""
        weights = [p.detach().clone() for p in network.parameters()]
        if self.window:
            self.past.append(weights)
            if len(self.past) > self.window:
                self.past.popleft()
            self.count = len(self.past)
            self.means = [
                torch.stack(list(values)).mean(0) for values in zip(*self.past, strict=True)
            ]
        else:
            self.count += 1
            # θ̄_t = θ̄_{t−1} + (θ[t] − θ̄_{t−1}) / t
            torch._foreach_lerp_(self.means, weights, 1 / self.count)

    def state(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {"count": self.count, "means": self.means, "past": list(self.past)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        device = self.means[0].device
        self.count = state["count"]
        self.means = [mean.to(device) for mean in state["means"]]
        self.past = deque([w.to(device) for w in weights] for weights in state["past"])


class HistoricalAveraging(Trick):
    """Damps orbits around the equilibrium."""

    key = "historical_averaging"
    group = "penalties"
    summary = "pulls a player's weights towards the mean of its past weights"
    formula = "c ‖θ - (1/t) Σ θ[i]‖²"
    paper = "Salimans et al. 2016, arXiv:1606.03498"
    not_capturable = "the host counts the steps that its mean runs over"

    class Config(PartConfig):
        weight: float = knob(
            0.01, "c", gt=0, search={"min": 1e-4, "max": 1.0, "distribution": "log_uniform"}
        )
        window: int = knob(0, "steps that the mean runs over, 2 or more; 0: all", ge=0, le=1000)
        players: Literal["both", "generator", "discriminator"] = knob("both", "whose weights")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        if config.window == 1:
            message = "the mean of the present weights alone is these weights, so the term is 0"
            yield Problem(f"tricks.{cls.key}.window", message, "0, or 2 and more")

    def prepare(self, game: Game) -> None:
        named = {"generator": game.generator, "discriminator": game.discriminator}
        self.histories = {
            name: History(network, self.config.window)
            for name, network in named.items()
            if self.config.players in (name, "both")
        }

    def _with_term(self, player: str, network: nn.Module, terms: Terms) -> Terms:
        history = self.histories.get(player)
        if history is None or history.count == 0:
            return terms
        # What is frozen, a stage that has been trained, is pulled nowhere.
        pairs = [
            (weight, mean)
            for weight, mean in zip(network.parameters(), history.means, strict=True)
            if weight.requires_grad
        ]
        weights, means = map(list, zip(*pairs, strict=True))
        term = self.config.weight * distance(weights, means)
        return {**terms, "historical_averaging": term}

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return self._with_term("discriminator", game.discriminator, terms)

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return self._with_term("generator", game.generator, terms)

    def after_discriminator_step(self, game: Game, round: Round) -> None:
        if "discriminator" in self.histories:
            self.histories["discriminator"].add(game.discriminator)

    def after_generator_step(self, game: Game, round: Round) -> None:
        if "generator" in self.histories:
            self.histories["generator"].add(game.generator)

    def state(self) -> dict[str, Any]:
        return {name: history.state() for name, history in self.histories.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name, history in self.histories.items():
            history.load_state(state[name])
