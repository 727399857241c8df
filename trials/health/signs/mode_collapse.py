"""Mode collapse: samples far less diverse than the data.

"The GAN produces a small variety of images with many duplicates" (seri). Three signs, each in
feature space and each against the real data: the mean distance between two samples, the share of
samples that have a near duplicate, and the share of the data's classes or modes that is reached.
One of them must persist while FID makes no progress: a young generator is narrow too, but learns.
"""

from __future__ import annotations

from collections.abc import Sequence

from trials.health.sign import Evidence, Sign, UnlessRecovering, no_progress
from trials.health.signals import Signals
from trials.part import knob


class ModeCollapse(Sign):
    """Diversity, duplicates and classes of the samples beside those of the data."""

    key = "mode_collapse"
    summary = "The samples are far less diverse than the data"
    advice = (
        "Let the discriminator see diversity: minibatch_discrimination, minibatch_stddev or"
        " packing; impair it by false labels for real images (label_flipping); or unrolled,"
        " feature_matching, a wasserstein loss, a larger generator."
    )
    source = (
        'seri, "All About Training GAN"; '
        'Raj 2019, "Advances in Generative Adversarial Networks"; '
        '"GAN tricks", 2020'
    )
    ends_as = "stopped"
    examples = (
        {"fid": (50.0, 50.1, 50.2), "diversity": (0.2,)},
        {"fid": (50.0, 50.1, 50.2), "duplicates": (0.9,)},
        {"fid": (50.0, 50.1, 50.2), "class_coverage": (0.1,)},
    )

    class Config(UnlessRecovering):
        diversity: float = knob(
            0.4, "Pairwise distance over the data's: below is narrow", gt=0, lt=1
        )
        duplicates: float = knob(0.5, "Share with a near duplicate: above is collapse", gt=0, le=1)
        coverage: float = knob(0.35, "Share of classes or modes: below is collapse", ge=0, lt=1)

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
