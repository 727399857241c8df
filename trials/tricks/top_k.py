"""Top-k generator updates (Sinha et al. 2020, arXiv:2002.06224).

    the generator learns from the k samples of its batch that the discriminator scores highest

k falls from the whole batch by `decay` each `interval` of the training until `floor` of the
batch is left. The paper anneals per epoch by γ = 0.99 to ν = 0.5 of the batch; here the interval
is a share of the training, so that a sweep can compare trainings of different lengths.
"""

from __future__ import annotations

import math

from torch import Tensor

from trials.game import Game, Round
from trials.networks.plan import Judgement
from trials.part import PartConfig, knob
from trials.trick import Trick


def kept(batch: int, share: float) -> int:
    """How many of `batch` samples are learnt from; at least one."""
    return max(1, round(batch * share))


def falls(progress: float, interval: float) -> int:
    """How many whole intervals lie in `progress`, both shares of the training.

    Rounded before it is cut, for 0.3/0.1 is 2.999… in floating point.
    """
    return math.floor(round(progress / interval, 9))


def best(judgement: Judgement, chosen: Tensor) -> Judgement:
    """The judgement of the chosen samples (k,) alone."""
    remade = None if judgement.reconstruction is None else judgement.reconstruction[chosen]
    heads = {name: output[chosen] for name, output in judgement.heads.items()}
    return Judgement(judgement.score[chosen], judgement.features[chosen], heads, remade)


class TopK(Trick):
    """Throws the worst samples away."""

    key = "top_k"
    group = "dynamics"
    summary = "the generator learns only from its k best samples of each batch"
    formula = "G's loss over the k samples with the highest D(G(z));  k falls to ν of the batch"
    paper = "Sinha et al. 2020, arXiv:2002.06224"
    not_capturable = "k falls, and with it the shape of what is learnt from"
    differences = ("k falls by shares of the training, the paper's by epochs.",)
    order = 50
    conflicts = {
        "relativistic": "real and generated scores are compared in pairs, which dropping breaks"
    }

    class Config(PartConfig):
        decay: float = knob(0.9, "γ, factor on k at each interval", gt=0, lt=1)
        interval: float = knob(0.05, "share of the training between two falls", gt=0, le=1)
        floor: float = knob(
            0.5, "ν, least share of the batch", gt=0, lt=1, search={"min": 0.25, "max": 0.9}
        )

    def judged(self, game: Game, round: Round) -> None:
        if round.player == "discriminator" or round.fake_judgement is None:
            return
        fallen = self.config.decay ** falls(game.progress, self.config.interval)
        share = max(self.config.floor, fallen)
        k = kept(len(round.f), share)
        count = len(round.f)
        if k == count:
            return
        chosen = round.f.topk(k).indices
        round.fake_judgement = best(round.fake_judgement, chosen)
        # What belongs to a judged sample goes with it; the samples of a pack share one judgement.
        for name in ("seen_fake", "fake", "fake_labels", "z", "condition"):
            value = getattr(round, name)
            if value is not None:
                packs = value.view(count, -1, *value.shape[1:])
                setattr(round, name, packs[chosen].flatten(0, 1))
