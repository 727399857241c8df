"""Mode collapse: samples far less diverse than the data.

"The GAN produces a small variety of images with many duplicates" (004). Three signs, each in
feature space and each against the real data: the mean distance between two samples, the share of
samples that have a near duplicate, and the share of the data's classes or modes that is reached.
One of them must persist, and must not be improving: a young generator is narrow too, but widens.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from trials.health.signals import Signals
from trials.health.symptom import Evidence, Sign, SymptomConfig


class ModeCollapse(Sign):
    name = "mode_collapse"
    description = "The samples are far less diverse than the data"
    advice = (
        "Let the discriminator see diversity: minibatch_discrimination, minibatch_stddev or"
        " packing; impair it by false labels for real images (label_flipping); or unrolled,"
        " feature_matching, a wasserstein loss, a larger generator."
    )
    source = "004, 003, 001"

    class Config(SymptomConfig):
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
        widening: float = Field(
            default=0.1, ge=0, description="Relative gain over the window that counts as recovery"
        )

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        recent = history[-self.config.persistence :]
        if len(recent) < self.config.persistence:
            return None
        for signal, limit in (
            ("diversity", self.config.diversity),
            ("class_coverage", self.config.coverage),
        ):
            values = [getattr(signals, signal) for signals in recent]
            if None in values or max(values) >= limit:
                continue
            if values[-1] <= values[0] * (1 + self.config.widening):
                return {signal: values[-1]}
        values = [signals.duplicates for signals in recent]
        if None not in values and min(values) > self.config.duplicates:
            return {"duplicates": values[-1]}
        return None

    def note(self, evidence: Evidence) -> str:
        [(signal, value)] = evidence.items()
        return {
            "diversity": f"Two samples differ {value:.0%} as much as two real images do.",
            "class_coverage": f"The samples reach {value:.0%} of the data's classes or modes.",
            "duplicates": f"{value:.0%} of the samples have a near duplicate.",
        }[signal]
