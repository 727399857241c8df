"""Feature matching (Salimans et al. 2016, arXiv:1606.03498, section 3.1).

    ‖E h(x) − E h(G(z))‖²

h are the activations that the discriminator's last layer reads. The term replaces the generator's
adversarial loss, as in the paper, or joins it.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from trials.game import Game, Round, Terms
from trials.part import PartConfig, knob
from trials.trick import Trick


def distance(real: Tensor, fake: Tensor) -> Tensor:
    """‖E h(x) − E h(G(z))‖² of features (N, F) each; a scalar."""
    return (real.mean(0) - fake.mean(0)).square().sum()


class FeatureMatching(Trick):
    """The generator matches statistics instead of fooling the judge."""

    key = "feature_matching"
    group = "judgement"
    summary = "the generator matches the mean of the discriminator's features"
    formula = "‖E h(x) - E h(G(z))‖²"
    paper = "Salimans et al. 2016, arXiv:1606.03498"
    judges_real = True

    class Config(PartConfig):
        weight: float = knob(
            1.0, "weight", gt=0, search={"min": 0.01, "max": 10.0, "distribution": "log_uniform"}
        )
        mode: Literal["replace", "join"] = knob(
            "replace", "instead of the generator's adversarial loss, or beside it"
        )

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        assert round.real_judgement is not None
        assert round.fake_judgement is not None
        real = round.real_judgement.features.detach()
        term = self.config.weight * distance(real, round.fake_judgement.features)
        kept = {
            name: value
            for name, value in terms.items()
            if self.config.mode == "join" or name != "adversarial"
        }
        return {**kept, "feature_matching": term}
