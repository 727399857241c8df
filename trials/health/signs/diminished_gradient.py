"""Diminished gradient: the generator's gradient has fallen by orders of magnitude and stays there.

"The discriminator gets too successful that the generator gradient vanishes and learns nothing"
(004); the reason is the constant divergence of distributions that do not overlap (001). Measured
against the largest gradient norm of the training so far. Good samples with a small gradient are a
success, so the samples must be bad as well, as for convergence_failure.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from trials.health.signals import Signals
from trials.health.symptom import Evidence, Sign, SymptomConfig, no_progress


class DiminishedGradient(Sign):
    name = "diminished_gradient"
    description = "The generator's gradient has vanished and it learns nothing"
    advice = (
        "Use a loss that does not saturate (non_saturating instead of minimax, wgan, hinge);"
        " weaken the discriminator by instance_noise or label_smoothing, or lower its learning"
        " rate."
    )
    source = "004, 001"

    class Config(SymptomConfig):
        fall: float = Field(
            default=0.01, gt=0, lt=1, description="Share of the largest gradient that is vanished"
        )
        poor: float = Field(
            default=0.3, ge=0, description="FID, over that of the mean image, that is bad"
        )
        progress: float = Field(
            default=0.1, ge=0, lt=1, description="Share by which the best FID must fall meanwhile"
        )

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        recent = history[-self.config.persistence :]
        norms = [s.gradient_generator for s in history if s.gradient_generator is not None]
        now = [s.gradient_generator for s in recent if s.gradient_generator is not None]
        worth = [s.fid / (s.fid_scale or 1.0) for s in recent if s.fid is not None]
        if min(len(now), len(worth)) < self.config.persistence:
            return None
        if max(now) >= self.config.fall * max(norms) or min(worth) < self.config.poor:
            return None
        if not no_progress(history, self.config.persistence, self.config.progress):
            return None
        return {"gradient_norm": now[-1], "largest": max(norms), "fall": now[-1] / max(norms)}

    def note(self, evidence: Evidence) -> str:
        return (
            f"The generator's gradient norm is {evidence['gradient_norm']:.2g},"
            f" {evidence['fall']:.2%} of its largest."
        )
