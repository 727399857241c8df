"""Consistency regularisation (Zhang et al. 2019, arXiv:1910.12027), and its balanced form
(bCR, Zhao et al. 2020, arXiv:2002.04724).

    λ E (D(x) − D(T(x)))²          and, balanced, λ_fake E (D(G(z)) − D(T(G(z))))²

T moves an image by up to `shift` pixels and mirrors it (`flip`). The paper penalises the last
layer's output, and so does this.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from trials.game import Game, Round, Terms, Trial
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.toolkit.shifts import mirrored, shifted
from trials.trick import Trick


def inconsistency(score: Tensor, again: Tensor) -> Tensor:
    """E (D(x) − D(T(x)))² of scores (N,); a scalar."""
    return (score - again).square().mean()


class ConsistencyRegularisation(Trick):
    """The judgement must not depend on how an image is framed."""

    key = "consistency_regularisation"
    group = "penalties"
    summary = "penalises a judgement that changes when an image is moved or mirrored"
    formula = "λ E (D(x) - D(T(x)))² + λ_fake E (D(G(z)) - D(T(G(z))))²"
    paper = "Zhang et al. 2019, arXiv:1910.12027"
    differences = ("The paper mirrors and shifts by a few pixels; here by one and no mirroring.",)

    class Config(PartConfig):
        weight: float = knob(
            10.0, "λ", gt=0, search={"min": 0.1, "max": 100.0, "distribution": "log_uniform"}
        )
        fake_weight: float = knob(0.0, "λ_fake; 0: real images only", ge=0)
        shift: int = knob(1, "most pixels an image is moved", ge=0, le=64)
        flip: bool = knob(False, "mirror half of the images (wrong for digits and letters)")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape = trial.shape()
        if shape is not None and len(shape) != 3:
            yield Problem(
                "tricks.consistency_regularisation", "moves images, and these data are points"
            )
        if config.shift == 0 and not config.flip:
            yield Problem(
                "tricks.consistency_regularisation.shift", "0 without flip changes nothing"
            )

    def discriminator_terms(self, game: Game, round: Round, terms: Terms) -> Terms:
        real = self._term(game, round.real, True, round.labels, round.r)
        terms = {**terms, "consistency": self.config.weight * round.judges * real}
        if self.config.fake_weight:
            fake = self._term(game, round.fake, False, round.fake_labels, round.f)
            terms["consistency_fake"] = self.config.fake_weight * round.judges * fake
        return terms

    def _term(
        self, game: Game, images: Tensor, real: bool, labels: Tensor | None, score: Tensor
    ) -> Tensor:
        stream, count, reach = game.streams.augmentation, len(images), self.config.shift
        if reach:
            down, right = (
                torch.randint(-reach, reach + 1, (count,), generator=stream, device=images.device)
                for _ in range(2)
            )
            images = shifted(images, down, right)
        if self.config.flip:
            chosen = torch.rand(count, generator=stream, device=images.device) < 0.5
            images = mirrored(images, chosen)
        return inconsistency(score, game.score(game.show(images, real), labels).score)
