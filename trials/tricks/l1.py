"""The distance to the true image, pixel by pixel (Isola et al. 2016, arXiv:1611.07004).

    w E |x − x̂|

the mean over all numbers of an image: in a task with a true answer the adversarial loss makes an
answer believable, this one makes it the right one.
"""

from __future__ import annotations

from torch import Tensor

from trials.game import Game, Round, Terms
from trials.part import PartConfig, knob
from trials.trick import Trick


def distance(images: Tensor, targets: Tensor) -> Tensor:
    """E |x − x̂| of (N, …) twice; a scalar."""
    return (images - targets).abs().mean()


class L1(Trick):
    """Keeps the answer near the truth."""

    key = "l1"
    group = "auxiliary"
    summary = "the generator's answer must be near the true image, pixel by pixel"
    formula = "w E |x - x̂|"
    paper = "Isola et al. 2016, arXiv:1611.07004"
    requires = ("inpaint", "super_resolve")
    conflicts = {"top_k": "it drops samples, and each belongs to its true image"}
    example = {"task": "inpaint"}

    class Config(PartConfig):
        weight: float = knob(
            10.0, "w", gt=0, search={"min": 0.1, "max": 100.0, "distribution": "log_uniform"}
        )

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return {**terms, "l1": self.config.weight * distance(round.fake, round.real)}
