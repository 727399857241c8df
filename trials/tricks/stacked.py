"""Stacked generators (StackGAN, Zhang et al. 2016, arXiv:1612.03242).

    G₁(z) at half the size, judged by D₁;   G₂(G₁(z)) at full size, judged by D₂

The networks are in `networks/stacked.py`. `after`, as in the paper: the first pair trains for
`share` of the training, is then fixed, and the second pair learns to refine what it makes. Until
then samples are the first's, enlarged. `with`, as in StackGAN++ (arXiv:1710.10916): both pairs
train at once, and their losses are added. The paper conditions both stages on a text, with
mismatched texts as further false examples; here classes stand for texts, by `conditioning`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from torch import Tensor

from trials.game import Game, Round, Steps, Terms, Trial
from trials.networks.build import check as check_networks
from trials.networks.build import plan_networks
from trials.networks.family import SMALLEST
from trials.networks.plan import NetworkPlan
from trials.networks.stacked import (
    StackedDiscriminator,
    StackedGenerator,
    Stage,
    beside,
    discriminator_stages,
    generator_stages,
    halved,
)
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


class Stacked(Trick):
    """One pair sketches, another refines."""

    key = "stacked"
    group = "dynamics"
    summary = "a second generator and discriminator refine the first's output at twice the size"
    formula = "G(z) = G₂(G₁(z)),  D₁ judges G₁(z) at half the size, D₂ judges G(z)"
    paper = "Zhang et al. 2016, arXiv:1612.03242"
    not_capturable = "the host enters the next stage, whose operations are others"
    differences = (
        "Classes stand for the paper's texts, and no mismatched text is a further false example.",
    )
    order = -60
    conflicts = {
        "progressive_growing": "both replace the networks",
        "multi_scale_discriminator": "both replace the discriminator",
        "ebgan": "its energy compares an image with one reconstruction",
        "began": "its energy compares an image with one reconstruction",
        "inpaint": "the second generator works on the first one's image",
        "super_resolve": "the second generator works on the first one's image",
        "top_k": "one sample has several scores to be ranked by",
    }

    class Config(PartConfig):
        training: Literal["after", "with"] = knob(
            "after", "the second pair trains after the first, or with it"
        )
        share: float = knob(
            0.5, "share of the training that the first pair has alone (after only)",
            gt=0, lt=1, search={"min": 0.2, "max": 0.8},
        )  # fmt: skip
        noise: bool = knob(False, "the second generator reads z too")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape, here = trial.shape(), f"tricks.{cls.key}"
        if shape is None:
            return
        if len(shape) != 3:
            yield Problem(here, "refines images, and these data are points")
            return
        for player in ("generator", "discriminator"):
            if getattr(getattr(trial.networks, player), "norm", "none") == "virtual_batch":
                path = f"networks.{player}.norm"
                yield Problem(path, "the stages of a stack have no fixed reference batch")
        yield from cls._stage_problems(trial, shape)

    @classmethod
    def _stage_problems(cls, trial: Trial, shape: tuple[int, ...]) -> Iterable[Problem]:
        """What the families cannot build of either stage, but for the first one's size: alone no
        network is as small as 4×4."""
        classes = 2 if trial.source.labelled else 0
        whole = plan_networks(trial.networks, shape, trial.latent.dim, classes)
        first, _ = generator_stages(whole.generator)
        if first.skip_z == "split" and first.shape[-1] == SMALLEST:
            message = f"a first stage of {SMALLEST}×{SMALLEST} has no blocks to share z among"
            yield Problem("networks.generator.skip_z", message, expected="none or whole")
        judges = discriminator_stages(whole.discriminator)
        reported = set(check_networks(whole))
        for maker, judge in zip(generator_stages(whole.generator), judges, strict=True):
            for problem in check_networks(NetworkPlan(maker, judge)):
                if problem not in reported and problem.path != "data.size":
                    reported.add(problem)
                    yield problem

    def plan(self, plan: NetworkPlan) -> NetworkPlan:
        makes = partial(StackedGenerator, noise=self.config.noise)
        return NetworkPlan(
            replace(plan.generator, builder=makes),
            replace(plan.discriminator, builder=StackedDiscriminator),
        )

    def prepare(self, game: Game) -> None:
        self._begin(game)

    def steps(self, game: Game, steps: Steps) -> Steps:
        self._begin(game)
        return steps

    def _begin(self, game: Game) -> None:
        """Enter the stage that the training has reached."""
        self.stage: Stage = "together"
        if self.config.training == "after":
            self.stage = "first" if game.progress < self.config.share else "second"
        generator = game.generator
        assert isinstance(generator, StackedGenerator)
        if generator.stage != self.stage:
            generator.begin(self.stage)

    def see(self, game: Game, images: Tensor, real: bool) -> Tensor:
        if self.stage == "first":
            return halved(images)
        if self.stage == "together" and real:
            return beside(images, halved(images))
        return images

    def _summed(self, terms: Terms) -> Terms:
        # The loss is a mean over samples and both discriminators; the stages' losses add up.
        if self.stage != "together":
            return terms
        return {**terms, "adversarial": 2 * terms["adversarial"]}

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return self._summed(terms)

    def generator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        return self._summed(terms)

    def signals(self, game: Game) -> dict[str, float]:
        return {"stage": 1.0 if self.stage == "first" else 2.0}
