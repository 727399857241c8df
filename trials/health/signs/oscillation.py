"""Oscillation: the samples are of another kind at every evaluation, and get no better.

"They progress from generating one kind of sample to generating another kind of sample without
eventually reaching equilibrium" (seri). Seen as the mean feature of the samples: over the window
it moves far from evaluation to evaluation (in units of the distance between two real images), and
FID makes no progress meanwhile. Where it ends is told and decides nothing: a generator that passes
from one kind to ever others comes back to none. Whether each kind is narrow is `mode_collapse`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from trials.health.sign import Evidence, Sign, UnlessRecovering, no_progress
from trials.health.signals import Signals
from trials.part import knob


class Oscillation(Sign):
    """The path of the samples' mean feature: long, and to no lower FID."""

    key = "oscillation"
    summary = "The samples jump from evaluation to evaluation, and FID does not fall"
    advice = (
        "Damp the game: ema, historical_averaging, experience_replay, lower learning rates or"
        " smaller Adam momentum, two time scales, unrolled."
    )
    source = (
        'seri, "All About Training GAN"; Raj 2019, "Advances in Generative Adversarial Networks"'
    )
    ends_as = "stopped"
    examples = ({"fid": (50.0, 50.1, 50.2), "position": ((0.0, 0.0, 0.0), (0.5, 0.0, 0.0))},)

    class Config(UnlessRecovering):
        persistence: int = knob(5, "Evaluations over which it must jump", ge=3, le=16)
        jump: float = knob(
            0.3, "Median move between evaluations, in distances of two real images", gt=0
        )

    config: Config

    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        recent = history[-self.config.persistence :]
        positions = [s.position for s in recent if s.position is not None]
        if len(positions) < self.config.persistence:
            return None
        moves = [math.dist(a, b) for a, b in pairwise(positions)]
        if median(moves) < self.config.jump:
            return None
        if not no_progress(history, self.config.persistence, self.config.progress):
            return None
        return {
            "move": median(moves),
            "travelled": sum(moves),
            "arrived": math.dist(positions[0], positions[-1]),
        }

    def note(self, evidence: Evidence) -> str:
        return (
            f"From one evaluation to the next the samples move {evidence['move']:.2f} times the"
            f" distance of two real images; {evidence['travelled']:.2f} travelled,"
            f" {evidence['arrived']:.2f} gained."
        )
