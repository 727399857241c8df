"""Divergence: NaN or infinity anywhere, or scores and gradients exploding.

Exploding is judged against the training's own beginning: the largest score, or a player's
gradient norm, is ``growth`` times what the first evaluation saw, and above ``floor`` where a
beginning near zero would make every number look large.

Sources: 003 (drawbacks; gradient penalty), 000 (WGAN-GP against exploding gradients).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from trials.health.signals import Signals
from trials.health.symptom import Evidence, Sign, SymptomConfig

WATCHED = ("score_largest", "gradient_generator", "gradient_discriminator")


class Divergence(Sign):
    name = "divergence"
    description = "Numbers are no longer finite, or scores and gradients explode"
    advice = (
        "Lower both learning rates, or the discriminator's first; limit the discriminator by"
        " spectral_norm or a gradient penalty (gradient_penalty, r1)."
    )
    source = "003, 000"

    class Config(SymptomConfig):
        persistence: int = Field(
            default=2, ge=1, description="Evaluations in a row that must be exploding"
        )
        growth: float = Field(
            default=1e3, gt=1, description="Times the first evaluation's value that is exploding"
        )
        floor: float = Field(
            default=1e3, gt=0, description="Scores and gradient norms below this never explode"
        )

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        if not history[-1].finite:
            return {"finite": 0.0}
        recent = history[-self.config.persistence :]
        if len(recent) < self.config.persistence:
            return None
        for signal in WATCHED:
            limit = max(self.config.floor, self.config.growth * (getattr(history[0], signal) or 0))
            values = [getattr(signals, signal) for signals in recent]
            if all(value is not None and value > limit for value in values):
                return {signal: values[-1], "limit": limit}
        return None

    def note(self, evidence: Evidence) -> str:
        if "finite" in evidence:
            return "The training produced NaN or infinity."
        signal, value = next(iter(evidence.items()))
        what = {"score_largest": "the discriminator's largest score"}.get(
            signal, f"the {signal.removeprefix('gradient_')}'s gradient norm"
        )
        return f"Exploding: {what} has reached {value:.3g}."
