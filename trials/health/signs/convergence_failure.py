"""Convergence failure: the discriminator is certain of everything, and nothing recovers.

"The generator score reaches near zero and the discriminator score reaches near one. [...] If the
score does not recover from these values for many iterations, it is better to stop training" (004).
A certain discriminator alone is no failure: critics are, and so are most discriminators late in
training. So the samples must be bad as well (an FID of at least ``poor`` times that of the mean
image) and must not be getting better.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from trials.health.signals import Signals
from trials.health.symptom import Evidence, Sign, SymptomConfig, no_progress


class ConvergenceFailure(Sign):
    name = "convergence_failure"
    description = "The discriminator rejects every sample with certainty and does not let go"
    advice = (
        "Weaken the discriminator: instance_noise on real and generated images, label_smoothing,"
        " false labels (label_flipping), spectral_norm; or give the players two time scales, or"
        " another loss (wgan with gradient_penalty, hinge)."
    )
    source = "004, 003"

    class Config(SymptomConfig):
        certain: float = Field(
            default=0.98, gt=0.5, le=1, description="Accuracy of D on both sides that is certainty"
        )
        poor: float = Field(
            default=0.3, ge=0, description="FID, over that of the mean image, that is bad"
        )
        recovery: float = Field(
            default=0.1, ge=0, lt=1, description="Share by which the best FID must fall to recover"
        )

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        recent = history[-self.config.persistence :]
        if len(recent) < self.config.persistence:
            return None
        accuracies, worth = [], []
        for signals in recent:
            if None in (signals.accuracy_real, signals.accuracy_fake, signals.fid):
                return None
            accuracies.append(min(signals.accuracy_real or 0.0, signals.accuracy_fake or 0.0))
            worth.append((signals.fid or 0.0) / (signals.fid_scale or 1.0))
        if min(accuracies) < self.config.certain or min(worth) < self.config.poor:
            return None
        if not no_progress(history, self.config.persistence, self.config.recovery):
            return None
        return {
            "accuracy": min(accuracies),
            "fid": recent[-1].fid or 0.0,
            "relative_fid": worth[-1],
        }

    def note(self, evidence: Evidence) -> str:
        return (
            f"The discriminator is right on at least {evidence['accuracy']:.1%} of real and"
            f" generated images, FID stays at {evidence['fid']:.3g}, and the generator does not"
            " recover."
        )
