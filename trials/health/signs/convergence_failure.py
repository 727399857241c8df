"""Convergence failure: the discriminator is certain of everything, and nothing recovers.

"The generator score reaches near zero and the discriminator score reaches near one. [...] If the
score does not recover from these values for many iterations, it is better to stop training" (seri).
A certain discriminator alone is no failure: critics are, and so are most discriminators late in
training. So the samples must be bad as well (an FID of at least `poor` times that of the mean
image) and must not be getting better.
"""

from __future__ import annotations

from collections.abc import Sequence

from trials.health.sign import Evidence, Sign, UnlessRecovering, certain, no_progress, poor
from trials.health.signals import Signals
from trials.part import knob


class ConvergenceFailure(Sign):
    """D accepts every real and rejects every generated image while FID stays bad."""

    key = "convergence_failure"
    summary = "The discriminator rejects every sample with certainty and does not let go"
    advice = (
        "Weaken the discriminator: instance_noise on real and generated images, label_smoothing,"
        " false labels (label_flipping), spectral_norm; or give the players two time scales, or"
        " another loss (wgan with gradient_penalty, hinge)."
    )
    source = (
        'seri, "All About Training GAN"; Raj 2019, "Advances in Generative Adversarial Networks"'
    )
    ends_as = "failed"
    examples = ({"fid": (50.0, 50.1, 50.2), "accuracy_real": (1.0,), "accuracy_fake": (0.99,)},)

    class Config(UnlessRecovering):
        certain: float = knob(0.98, "Accuracy of D on both sides that is certainty", gt=0.5, le=1)
        poor: float = knob(0.3, "FID, over that of the mean image, that is bad", ge=0)

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        recent = history[-self.config.persistence :]
        if not certain(recent, self.config.certain) or not poor(recent, self.config.poor):
            return None
        if not no_progress(history, self.config.persistence, self.config.progress):
            return None
        last = recent[-1]
        told = ("accuracy_real", "accuracy_fake", "score_real", "score_fake", "fid")
        values = {signal: getattr(last, signal) for signal in told}
        return {signal: value for signal, value in values.items() if value is not None}

    def note(self, evidence: Evidence) -> str:
        fid = f", and FID stays at {evidence['fid']:.3g}" if "fid" in evidence else ""
        return (
            f"The discriminator is right on {evidence['accuracy_real']:.1%} of the real and"
            f" {evidence['accuracy_fake']:.1%} of the generated images{fid}: the generator does"
            " not recover."
        )
