"""Diminished gradient: the generator's gradient has fallen by orders of magnitude and stays there.

"The discriminator gets too successful that the generator gradient vanishes and learns nothing"
(seri); the reason is the constant divergence of distributions that do not overlap (Arjovsky and
Bottou 2017, arXiv:1701.04862). Measured against the largest gradient norm that an evaluation of
this training saw, which is an average that the vanishing itself has often begun to lower; hence a
threshold of one and a half orders. A gradient also falls when a wild beginning calms down, and
when the game is won: so the discriminator must be certain and the samples bad as well, as for
convergence_failure.
"""

from __future__ import annotations

from collections.abc import Sequence

from trials.health.sign import Evidence, Sign, UnlessRecovering, certain, no_progress, poor
from trials.health.signals import Signals
from trials.part import knob


class DiminishedGradient(Sign):
    """The norm of the generator's gradient beside the largest that was seen."""

    key = "diminished_gradient"
    summary = "The generator's gradient has vanished and it learns nothing"
    advice = (
        "Use a loss that does not saturate (non_saturating instead of minimax, wgan, hinge);"
        " weaken the discriminator by instance_noise or label_smoothing, or lower its learning"
        " rate."
    )
    source = 'seri, "All About Training GAN"; Arjovsky and Bottou 2017, arXiv:1701.04862'
    ends_as = "failed"
    examples = (
        {
            "fid": (50.0, 50.1, 50.2),
            "gradient_generator": (1e-3,),
            "accuracy_real": (1.0,),
            "accuracy_fake": (0.99,),
        },
    )

    class Config(UnlessRecovering):
        fall: float = knob(0.03, "Share of the largest gradient that is vanished", gt=0, lt=1)
        certain: float = knob(0.98, "Accuracy of D on both sides that is certainty", gt=0.5, le=1)
        poor: float = knob(0.3, "FID, over that of the mean image, that is bad", ge=0)

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        recent = history[-self.config.persistence :]
        norms = [s.gradient_generator for s in history if s.gradient_generator is not None]
        now = [s.gradient_generator for s in recent if s.gradient_generator is not None]
        if len(now) < self.config.persistence or max(now) >= self.config.fall * max(norms):
            return None
        if not certain(recent, self.config.certain) or not poor(recent, self.config.poor):
            return None
        if not no_progress(history, self.config.persistence, self.config.progress):
            return None
        return {"gradient_norm": now[-1], "largest": max(norms), "fall": now[-1] / max(norms)}

    def note(self, evidence: Evidence) -> str:
        return (
            f"The generator's gradient norm is {evidence['gradient_norm']:.2g},"
            f" {evidence['fall']:.2%} of its largest."
        )
