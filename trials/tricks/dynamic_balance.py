"""Dynamic balance of the two players (Hui 2018, "GAN: Ways to Improve GAN Performance").

    accuracy  D's accuracy on its last batches, a moving average ā, counted from the score where
              the loss parts real from generated
              ā > high: one more generator step;   ā < low: one more discriminator step
    loss      the ratio of moving averages |L_D| / |L_G|
              below 1/band: one more generator step;   above band: one more discriminator step

A player that leads waits: the other's steps go up by one, the leader's down to one, within
`most`. Logged: `discriminator_steps` and `generator_steps`, the mean of a round since the
last evaluation. The source is sceptical of balancing, so it is off by default.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from trials.game import Game, Round, Steps, Terms, Trial
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def balanced(steps: Steps, leader: Literal["discriminator", "generator", ""], most: int) -> Steps:
    """The next round's steps when one player leads: fewer for it, or more for the other."""
    if leader == "discriminator":
        if steps.discriminator > 1:
            return Steps(steps.discriminator - 1, steps.generator)
        return Steps(1, min(most, steps.generator + 1))
    if leader == "generator":
        if steps.generator > 1:
            return Steps(steps.discriminator, steps.generator - 1)
        return Steps(min(most, steps.discriminator + 1), 1)
    return steps


class DynamicBalance(Trick):
    """Gives the loser more steps."""

    key = "dynamic_balance"
    group = "dynamics"
    summary = "adapts the steps of each player to who is winning"
    formula = "steps ±1 when D's accuracy, or |L_D|/|L_G|, leaves its band"
    paper = "Hui 2018, GAN: Ways to Improve GAN Performance"
    not_capturable = "the host reads who is winning, and decides how many steps come next"
    order = 100  # the terms it weighs are all there
    example = {  # bands that a few steps leave
        "tricks": {"dynamic_balance": {"every": 1, "low": 0.45, "high": 0.6, "band": 1.2}}
    }

    class Config(PartConfig):
        by: Literal["accuracy", "loss"] = knob("accuracy", "what tells who is winning")
        low: float = knob(
            0.55, "accuracy: D is losing below", gt=0, lt=1, search={"min": 0.3, "max": 0.6}
        )
        high: float = knob(
            0.85, "accuracy: D is winning above", gt=0, lt=1, search={"min": 0.65, "max": 0.98}
        )
        band: float = knob(2.0, "loss: the ratio may be this far from 1", gt=1)
        most: int = knob(5, "most steps of one player in a round", ge=1, le=100)
        momentum: float = knob(0.9, "of the moving averages", ge=0, lt=1)
        every: int = knob(10, "rounds between two changes", ge=1)

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        if config.low >= config.high:
            yield Problem("tricks.dynamic_balance.low", f"{config.low} is not below {config.high}")
        if trial.critic_steps > config.most:
            yield Problem(
                "tricks.dynamic_balance.most",
                f"{config.most} is below critic_steps {trial.critic_steps}, where it starts",
            )

    def prepare(self, game: Game) -> None:
        self.device = game.device
        self.now = Steps(self.trial.critic_steps, 1)
        self.averages: dict[str, Tensor] = {}  # float64 scalars, read between rounds alone
        self.parts: dict[str, list[Tensor]] = {}  # what is averaged, of a step's parts
        self.rounds = 0
        self.taken = [0, 0, 0]

    def steps(self, game: Game, steps: Steps) -> Steps:
        if self.rounds and self.rounds % self.config.every == 0:
            self.now = balanced(self.now, self._leader(), self.config.most)
        self.rounds += 1
        self.taken = [
            self.taken[0] + self.now.discriminator,
            self.taken[1] + self.now.generator,
            self.taken[2] + 1,
        ]
        return self.now

    def _leader(self) -> Literal["discriminator", "generator", ""]:
        averages = {name: float(average) for name, average in self.averages.items()}
        if self.config.by == "accuracy":
            accuracy = averages.get("accuracy")
            if accuracy is None or self.config.low <= accuracy <= self.config.high:
                return ""
            return "discriminator" if accuracy > self.config.high else "generator"
        judge, maker = averages.get("discriminator"), averages.get("generator")
        if judge is None or maker is None:
            return ""
        if judge * self.config.band < maker:
            return "discriminator"
        return "generator" if judge > self.config.band * maker else ""

    def _gather(self, name: str, value: Tensor) -> None:
        self.parts.setdefault(name, []).append(value.detach())

    def _average(self, name: str) -> None:
        """Take in the mean over a step's parts, of losses its size; nothing where the memory was
        reset since."""
        parts = self.parts.pop(name, None)
        if not parts:
            return
        value = torch.stack(parts).mean().double().abs()
        old, m = self.averages.get(name, value), self.config.momentum
        self.averages[name] = m * old + (1 - m) * value

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        r, f, border = round.r.detach(), round.f.detach(), game.border(round)
        self._gather("accuracy", ((r > border).float().mean() + (f < border).float().mean()) / 2)
        self._gather("discriminator", torch.stack(list(terms.values())).sum())
        return terms

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        self._gather("generator", torch.stack(list(terms.values())).sum())
        return terms

    def after_discriminator_step(self, game: Game, round: Round) -> None:
        self._average("accuracy")
        self._average("discriminator")

    def after_generator_step(self, game: Game, round: Round) -> None:
        self._average("generator")

    def signals(self, game: Game) -> dict[str, float]:
        judge, maker, rounds = self.taken
        self.taken = [0, 0, 0]
        if not rounds:
            return {}
        return {"discriminator_steps": judge / rounds, "generator_steps": maker / rounds}

    def state(self) -> dict[str, Any]:
        return {
            "now": list(self.now),
            "averages": dict(self.averages),
            "parts": {name: list(parts) for name, parts in self.parts.items()},
            "rounds": self.rounds,
            "taken": self.taken,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.now = Steps(*state["now"])
        self.averages = {  # plain numbers in checkpoints of version 0.1
            name: torch.as_tensor(average, dtype=torch.float64, device=self.device)
            for name, average in state["averages"].items()
        }
        self.parts = {name: list(parts) for name, parts in state["parts"].items()}
        self.rounds, self.taken = state["rounds"], list(state["taken"])
