"""Why a trial ended: what is known of each cause, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sweeper.ablation.blame import SCHEDULER
from trials.health import Sign


@dataclass(frozen=True)
class Cause:
    """Why a trial did not reach its last step. `saves`: training on would have been waste."""

    meaning: str
    saves: bool = True


CAUSES: Mapping[str, Cause] = {
    SCHEDULER: Cause(
        "The scheduler stopped it: at the same step, other trials were better. Nothing was wrong."
    ),
    "out_of_memory": Cause(
        "The worker ran out of memory. A smaller batch, accumulate, or fewer trials in parallel "
        "help.",
        saves=False,
    ),
    "worker_died": Cause(
        "The process that trained it died, and again when it was tried anew. This says nothing "
        "about the configuration.",
        saves=False,
    ),
    "cancelled": Cause("An operator cancelled the sweep while it ran.", saves=False),
    "error": Cause("The training raised an error; its last lines of log are below.", saves=False),
}
"""Causes beside the symptoms of health, which say themselves what they mean."""


def cause(symptom: str | None) -> Cause:
    """What is known of a cause by its name; an unknown name counts as a lost trial."""
    if symptom is not None and symptom in Sign.all():
        sign = Sign.all()[symptom]
        return Cause(f"{sign.summary}. {sign.advice}")
    if symptom is not None and symptom in CAUSES:
        return CAUSES[symptom]
    return Cause("No explanation of this cause is known.", saves=False)
