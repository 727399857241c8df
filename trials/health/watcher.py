"""The watcher: feeds every evaluation to the six symptoms and reports those that set in.

All its state is the history of signals and which symptoms are present, as plain values, so a
watcher that is saved and taken up again behaves as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trials.health.signals import Signals
from trials.health.signs.convergence_failure import ConvergenceFailure
from trials.health.signs.diminished_gradient import DiminishedGradient
from trials.health.signs.divergence import Divergence
from trials.health.signs.mode_collapse import ModeCollapse
from trials.health.signs.oscillation import Oscillation
from trials.health.signs.past_best import PastBest
from trials.health.symptom import SYMPTOMS, Symptom

POSITIONS = 16
"""Evaluations of which the samples' position, up to thousands of numbers, is kept."""

SymptomName = Literal[
    "divergence",
    "convergence_failure",
    "mode_collapse",
    "oscillation",
    "diminished_gradient",
    "past_best",
]


class HealthConfig(BaseModel):
    """What is watched for, and what stops a trial. Everything seen is recorded either way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop_on: tuple[SymptomName, ...] = Field(
        default=("divergence",), description="Symptoms that end the trial"
    )
    divergence: Divergence.Config = Divergence.Config()
    convergence_failure: ConvergenceFailure.Config = ConvergenceFailure.Config()
    mode_collapse: ModeCollapse.Config = ModeCollapse.Config()
    oscillation: Oscillation.Config = Oscillation.Config()
    diminished_gradient: DiminishedGradient.Config = DiminishedGradient.Config()
    past_best: PastBest.Config = PastBest.Config()


class Watcher:
    """Observes one training from its first evaluation to its last."""

    def __init__(self, config: HealthConfig) -> None:
        self.signs = [sign(getattr(config, name)) for name, sign in SYMPTOMS.items()]
        self.history: list[Signals] = []
        self.present: set[str] = set()

    def observe(self, signals: Signals) -> list[Symptom]:
        """The symptoms that set in at this evaluation.

        One that lasts is reported once, and again only after an evaluation without it; numbers
        that are not finite are reported every time.
        """
        self.history.append(signals)
        if len(self.history) > POSITIONS:
            self.history[-POSITIONS - 1] = replace(self.history[-POSITIONS - 1], position=None)
        found, present = [], set()
        for sign in self.signs:
            evidence = sign.evidence(self.history)
            if evidence is None:
                continue
            present.add(sign.name)
            if sign.name not in self.present or not signals.finite:
                note = sign.note(evidence)
                found.append(Symptom(sign.name, signals.step, evidence, sign.advice, note))
        self.present = present
        return found

    def state_dict(self) -> dict[str, Any]:
        """Lists, dictionaries, numbers and text only."""
        return {
            "history": [signals.as_dict() for signals in self.history],
            "present": sorted(self.present),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where :meth:`state_dict` was taken."""
        self.history = [Signals.from_dict(given) for given in state["history"]]
        self.present = set(state["present"])
