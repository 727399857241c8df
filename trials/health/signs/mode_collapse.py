"""Mode collapse: samples far less diverse than the data.

"The GAN produces a small variety of images with many duplicates" (004). Three signs, each in
feature space and each against the real data: the mean distance between two samples, the share of
samples that have a near duplicate, and the share of the data's classes or modes that is reached.
One of them must persist while FID makes no progress: a young generator is narrow too, but learns.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from trials.health.signals import Signals
from trials.health.symptom import Evidence, Sign, UnlessRecovering, no_progress


class ModeCollapse(Sign):
    name = "mode_collapse"
    description = "The samples are far less diverse than the data"
    advice = (
        "Let the discriminator see diversity: minibatch_discrimination, minibatch_stddev or"
        " packing; impair it by false labels for real images (label_flipping); or unrolled,"
        " feature_matching, a wasserstein loss, a larger generator."
    )
    source = "004, 003, 001"
    ends_as = "stopped"

    class Config(UnlessRecovering):
        diversity: float = Field(
            default=0.4,
            gt=0,
            lt=1,
            description="Pairwise distance over the data's: below is narrow",
        )
        duplicates: float = Field(
            default=0.5, gt=0, le=1, description="Share with a near duplicate: above is collapse"
        )
        coverage: float = Field(
            default=0.35, ge=0, lt=1, description="Share of classes or modes: below is collapse"
        )

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        if not no_progress(history, self.config.persistence, self.config.progress):
            return None
        recent = history[-self.config.persistence :]
        signs = {
            "diversity": [
                s.diversity is not None and s.diversity < self.config.diversity for s in recent
            ],
            "class_coverage": [
                s.class_coverage is not None and s.class_coverage < self.config.coverage
                for s in recent
            ],
            "duplicates": [
                s.duplicates is not None and s.duplicates > self.config.duplicates for s in recent
            ],
        }
        shown = [signal for signal, seen in signs.items() if all(seen)]
        return {signal: getattr(recent[-1], signal) for signal in shown} or None

    def note(self, evidence: Evidence) -> str:
        told = {
            "diversity": "two samples differ {:.0%} as much as two real images do",
            "class_coverage": "the samples reach {:.0%} of the data's classes or modes",
            "duplicates": "{:.0%} of the samples have a near duplicate",
        }
        sentence = "; ".join(told[signal].format(value) for signal, value in evidence.items())
        return f"{sentence[0].upper()}{sentence[1:]}."
