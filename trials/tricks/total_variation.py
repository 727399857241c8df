"""Total variation (Liu et al. 2018, arXiv:1804.07723, equation 6).

    w ( E |x̂_{i+1,j} − x̂_{i,j}| + E |x̂_{i,j+1} − x̂_{i,j}| )

neighbouring pixels of the generator's answer should differ little. The paper takes the sum over
the hole and its rim only; in a completed image what is known adds a constant, so the gradient is
the same up to the means' denominators.
"""

from __future__ import annotations

from torch import Tensor

from trials.game import Game, Round, Terms
from trials.part import PartConfig, knob
from trials.trick import Trick


def variation(images: Tensor) -> Tensor:
    """Mean absolute difference of vertical and of horizontal neighbours: (N, C, H, W) → scalar."""
    down = (images[..., 1:, :] - images[..., :-1, :]).abs().mean()
    right = (images[..., 1:] - images[..., :-1]).abs().mean()
    return down + right


class TotalVariation(Trick):
    """Keeps the answer smooth."""

    key = "total_variation"
    group = "auxiliary"
    summary = "neighbouring pixels of the generator's answer should differ little"
    formula = "w (E |x̂_{i+1,j} - x̂_{i,j}| + E |x̂_{i,j+1} - x̂_{i,j}|)"
    paper = "Liu et al. 2018, arXiv:1804.07723"
    requires = ("inpaint", "super_resolve")
    example = {"task": "inpaint"}

    class Config(PartConfig):
        weight: float = knob(
            0.1, "w", gt=0, search={"min": 0.001, "max": 10.0, "distribution": "log_uniform"}
        )

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return {**terms, "total_variation": self.config.weight * variation(round.fake)}
