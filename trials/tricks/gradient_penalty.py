"""Gradient penalty of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028).

    λ E (‖∇D(x̂)‖₂ − 1)²,   x̂ = ε x + (1 − ε) G(z),   ε ~ U(0, 1)

one ε and one norm a sample. `one_sided` penalises only norms above the target, as section 4
of the paper discusses. Interpolates what the discriminator was shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.part import PartConfig, knob
from trials.toolkit.gradients import advice_on_batch_norm, sample_norms, score_gradients, watched
from trials.trick import Trick


def interpolate(real: Tensor, fake: Tensor, epsilon: Tensor) -> Tensor:
    """x̂ = ε x + (1 − ε) G(z): (M, …), (M, …), (M,) → (M, …)."""
    epsilon = epsilon.view(-1, *[1] * (real.dim() - 1))
    return epsilon * real + (1 - epsilon) * fake


def penalty(norms: Tensor, target: float = 1.0, one_sided: bool = False) -> Tensor:
    """E (‖∇D(x̂)‖₂ − target)², or E max(0, ‖∇D(x̂)‖₂ − target)²; norms (M,), a scalar."""
    excess = norms - target
    return (F.relu(excess) if one_sided else excess).square().mean()


class GradientPenalty(Trick):
    """Keeps the critic's slope near the target between data and samples."""

    key = "gradient_penalty"
    group = "penalties"
    slot = "gradient_norm_penalty"
    summary = "holds the discriminator's gradient norm at 1 between real and generated images"
    formula = "λ E(‖∇D(x̂)‖₂ - 1)²,  x̂ = ε x + (1-ε) G(z),  ε ~ U(0,1) one a sample"
    paper = "Gulrajani et al. 2017, arXiv:1704.00028"
    conflicts = {
        "weight_clipping": "both bound the slope, and clipped weights cannot meet the target"
    }

    class Config(PartConfig):
        weight: float = knob(
            10.0, "λ", gt=0, search={"min": 0.1, "max": 100.0, "distribution": "log_uniform"}
        )
        target: float = knob(1.0, "the norm aimed at", ge=0)
        one_sided: bool = knob(False, "penalise only norms above the target")

    @classmethod
    def advise(cls, config: Any, trial: Trial) -> Iterable[str]:
        return advice_on_batch_norm(cls.key, trial)

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        assert round.seen_real is not None
        assert round.seen_fake is not None
        real, fake = round.seen_real, round.seen_fake
        stream = game.streams.augmentation
        epsilon = torch.rand(len(real), generator=stream, device=real.device, dtype=real.dtype)
        mixed = watched(interpolate(real, fake, epsilon))
        with game.exact():
            scores = game.score(mixed, round.labels).score
        norms = sample_norms(score_gradients(scores, mixed, round.judges))
        value = penalty(norms, self.config.target, self.config.one_sided)
        return {**terms, "gradient_penalty": self.config.weight * round.judges * value}
