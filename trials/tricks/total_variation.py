"""Total variation (Liu et al. 2018, arXiv:1804.07723, equation 6).

    w ( E |x̂_{i+1,j} − x̂_{i,j}| + E |x̂_{i,j+1} − x̂_{i,j}| )

neighbouring pixels of what the generator makes should differ little. The paper takes the sum over
the hole and its rim only; in a completed image what is known adds a constant, so the gradient is
the same up to the means' denominators. Images from noise are all hole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def variation(images: Tensor) -> Tensor:
    """Mean absolute difference of vertical and of horizontal neighbours: (N, C, H, W) → scalar."""
    down = (images[..., 1:, :] - images[..., :-1, :]).abs().mean()
    right = (images[..., 1:] - images[..., :-1]).abs().mean()
    return down + right


class TotalVariation(Trick):
    """Keeps what is made smooth."""

    key = "total_variation"
    group = "auxiliary"
    summary = "neighbouring pixels of what the generator makes should differ little"
    formula = "w (E |x̂_{i+1,j} - x̂_{i,j}| + E |x̂_{i,j+1} - x̂_{i,j}|)"
    paper = "Liu et al. 2018, arXiv:1804.07723"
    differences = ("A mean over all pixels; the paper's sum is over the hole and its rim.",)

    class Config(PartConfig):
        weight: float = knob(
            0.1, "w", gt=0, search={"min": 0.001, "max": 10.0, "distribution": "log_uniform"}
        )

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape = trial.shape()
        if shape is not None and len(shape) != 3:
            yield Problem(f"tricks.{cls.key}", "smooths images, and these data are points")

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return {**terms, "total_variation": self.config.weight * variation(round.made)}
