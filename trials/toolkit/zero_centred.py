"""What R1 and R2 share (Mescheder et al. 2018, arXiv:1801.04406): a zero-centred penalty.

    γ/2 · E ‖∇D(x)‖²

of real images (R1) or of generated ones (R2). The gradient is taken at the images as they are,
through whatever the discriminator is shown of them, augmentation and noise, as StyleGAN2-ADA
(arXiv:2006.06676) and R3GAN (arXiv:2501.05441) do; or at what it is shown. With `every` > 1 it is
taken lazily, every so many discriminator steps with its weight multiplied by that number (Karras et
al. 2020, arXiv:1912.04958, appendix B). γ may fall over the training, as R3GAN's does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.optimization import Decay
from trials.part import PartConfig, knob
from trials.toolkit.gradients import advice_on_batch_norm, score_gradients, watched
from trials.trick import Trick


def penalty(gradients: Tensor) -> Tensor:
    """½ E ‖∇D(x)‖² of per-sample gradients (M, …); a scalar."""
    return gradients.flatten(1).square().sum(dim=1).mean() / 2


class ZeroCentredPenalty(Trick):
    """Pulls the discriminator's gradient on one side of the table to zero."""

    group = "penalties"
    example = {"tricks": {"instance_noise": True}}
    paper = "Mescheder et al. 2018, arXiv:1801.04406"
    reread = ("the slope is that at the images, not after augmentation and noise as with at: seen",)

    class Config(PartConfig):
        gamma: float = knob(
            10.0, "γ", gt=0, search={"min": 0.01, "max": 100.0, "distribution": "log_uniform"}
        )
        every: int = knob(1, "discriminator steps from one penalty to the next", ge=1, le=64)
        at: Literal["images", "seen"] = knob(
            "images", "where the gradient is taken: before or after augmentation and noise"
        )
        decay: Literal["none", "linear", "cosine", "exponential"] = knob(
            "none", "how γ falls over the training"
        )
        decay_to: float = knob(0.0, "share of γ that is left at the end", ge=0, le=1)

    @classmethod
    def advise(cls, config: Any, trial: Trial) -> Iterable[str]:
        return advice_on_batch_norm(cls.key, trial)

    real: ClassVar[bool]
    """Whether real images are penalised, or generated ones."""

    def gamma(self, progress: float) -> float:
        """γ when `progress` in [0, 1] of the training is done."""
        left = Decay.named(self.config.decay).left(progress, self.config.decay_to)
        return float(self.config.gamma * left)

    def prepare(self, game: Game) -> None:
        self.count = 0

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        due = self.config.every == 1 or game.host.choice(self._due)
        game.host.count(self._counted)
        if not due:
            return terms
        labels = round.labels if self.real else round.fake_labels
        if self.config.at == "images":
            images = watched(round.real if self.real else round.fake)
            seen = game.show(images, self.real)
        else:
            shown = round.seen_real if self.real else round.seen_fake
            assert shown is not None
            images = seen = watched(shown)
        with game.exact():
            scores = game.score(seen, labels).score
        # Of samples that are judged together, as in a pack, a judgement's gradient is in all of
        # them.
        gradients = score_gradients(scores, images, round.judges).reshape(len(scores), -1)
        per_gamma = self.config.every * round.judges
        weight = game.host.number(lambda: self.gamma(game.progress) * per_gamma)
        return {**terms, self.key: weight * penalty(gradients)}

    def _due(self) -> bool:
        # A step counts once, in however many parts its batch is computed.
        return bool(self.count // self.trial.accumulate % self.config.every == 0)

    def _counted(self) -> None:
        self.count += 1

    def state(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
