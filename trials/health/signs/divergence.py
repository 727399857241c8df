"""Divergence: NaN or infinity anywhere, or scores and gradients exploding.

Exploding is absolute: no discriminator has a use for scores of tens of thousands, nor a player for
a gradient norm as large. On digits healthy trainings stay below 20 in both, a learning rate of 0.1
survived by Adam reaches 700, and a critic without a Lipschitz control goes to millions.
"""

from __future__ import annotations

from collections.abc import Sequence

from trials.health.sign import Evidence, Sign, SignConfig
from trials.health.signals import Signals
from trials.part import knob


class Divergence(Sign):
    """Numbers that are not finite, or scores and gradients beyond absolute limits."""

    key = "divergence"
    summary = "Numbers are no longer finite, or scores and gradients explode"
    advice = (
        "Lower both learning rates, or the discriminator's first; limit the discriminator by"
        " spectral_norm or a gradient penalty (gradient_penalty, r1)."
    )
    source = (
        'Raj 2019, "Advances in Generative Adversarial Networks"; '
        'Hui 2018, "GAN: Ways to Improve GAN Performance"'
    )
    ends_as = "failed"
    examples = ({"score_largest": (5e4,)}, {"gradient_generator": (5e4,)})

    class Config(SignConfig):
        persistence: int = knob(2, "Evaluations in a row that must be exploding", ge=1)
        score: float = knob(1e4, "Largest absolute score that is not yet exploding", gt=0)
        gradient: float = knob(1e4, "Largest gradient norm that is not yet exploding", gt=0)

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        if not history[-1].finite:
            return {"finite": 0.0}
        recent = history[-self.config.persistence :]
        if len(recent) < self.config.persistence:
            return None
        limits = {
            "score_largest": self.config.score,
            "gradient_generator": self.config.gradient,
            "gradient_discriminator": self.config.gradient,
        }
        for signal, limit in limits.items():
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
