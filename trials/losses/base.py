"""What every adversarial loss shares: its slot, and the two hooks that name its term."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.problems import Problem
from trials.trick import Trick

Target = Tensor | float


class AdversarialLoss(Trick, ABC):
    """A loss of both players' raw scores."""

    group: ClassVar[str] = "loss"
    slot: ClassVar[str] = "loss"
    order: ClassVar[int] = -100
    takes_targets: ClassVar[bool] = False
    """Whether the discriminator is taught labels that can be smoothed or flipped."""

    @abstractmethod
    def discriminator(self, round: Round) -> Tensor:
        """The discriminator's adversarial term, a scalar."""

    @abstractmethod
    def generator(self, round: Round) -> Tensor:
        """The generator's adversarial term, a scalar."""

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return {**terms, "adversarial": self.discriminator(round)}

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return {**terms, "adversarial": self.generator(round)}


class UncentredLoss(AdversarialLoss):
    """A loss whose scores have no meaning of their own, or one that is not centred at 0."""

    def border(self, round: Round) -> Tensor:
        # (E r + E f) / 2 of each judge
        r, f = round.by_judge(round.r), round.by_judge(round.f)
        middles = (r.mean(1) + f.mean(1)) / 2
        return middles.repeat_interleave(r.shape[1])


def needs_targets(key: str, trial: Trial) -> Iterable[Problem]:
    """A problem if the loss teaches no targets that could be changed."""
    loss = trial.loss.part
    if not (issubclass(loss, AdversarialLoss) and loss.takes_targets):
        yield Problem(
            f"tricks.{key}",
            f"'{key}' changes the discriminator's targets, and '{trial.loss.name}' has none",
            expected="a loss with targets, such as non_saturating or lsgan",
        )
