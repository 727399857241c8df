"""DRAGAN's penalty (Kodali et al. 2017, arXiv:1705.07215).

    λ E (‖∇D(x + δ)‖₂ − 1)²,   δ = c · std(x) · u,   u ~ U(0, 1) for every number

The slope is held at 1 around the data only. The paper's text says Gaussian noise; its published
code uses c = 0.5 times the batch's standard deviation times uniform noise, and so does this. The
authors' code then scales each sample's noise by a random factor; this does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.part import PartConfig, knob
from trials.toolkit.gradients import advice_on_batch_norm, sample_norms, score_gradients, watched
from trials.trick import Trick


def perturbed(real: Tensor, uniform: Tensor, scale: float) -> Tensor:
    """x + scale · std(x) · u: (M, …), (M, …) → (M, …); std over the whole batch."""
    return real + scale * real.std() * uniform


class Dragan(Trick):
    """Smooth judgement in the neighbourhood of real images."""

    key = "dragan"
    group = "penalties"
    slot = "gradient_norm_penalty"
    summary = "holds the discriminator's gradient norm at 1 around real images"
    formula = "λ E(‖∇D(x + δ)‖₂ - 1)²,  δ = c std(x) U(0,1)"
    paper = "Kodali et al. 2017, arXiv:1705.07215"
    differences = (
        "The code goes a random share of the way to its noise, one a sample; here the whole way.",
    )
    conflicts = {
        "weight_clipping": "both bound the slope, and clipped weights cannot meet the target"
    }

    class Config(PartConfig):
        weight: float = knob(
            10.0, "λ", gt=0, search={"min": 0.1, "max": 100.0, "distribution": "log_uniform"}
        )
        scale: float = knob(0.5, "c, noise in standard deviations of the batch", gt=0)
        target: float = knob(1.0, "the norm aimed at", ge=0)

    @classmethod
    def advise(cls, config: Any, trial: Trial) -> Iterable[str]:
        return advice_on_batch_norm(cls.key, trial)

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        assert round.seen_real is not None
        real = round.seen_real
        stream = game.streams.augmentation
        uniform = torch.rand(real.shape, generator=stream, device=real.device, dtype=real.dtype)
        around = watched(perturbed(real, uniform, self.config.scale))
        with game.exact():
            scores = game.score(around, round.labels).score
        norms = sample_norms(score_gradients(scores, around, round.judges))
        value = (norms - self.config.target).square().mean()
        return {**terms, "dragan": self.config.weight * round.judges * value}
