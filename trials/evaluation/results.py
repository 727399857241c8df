"""What a trial reports: one evaluation, the result of the whole, and a winner's final score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from trials.health import Symptom


@dataclass(frozen=True)
class Evaluation:
    """What was measured at one step. `samples` is relative to the trial's folder."""

    step: int
    time: float
    metrics: Mapping[str, float]
    protocol: Mapping[str, str] = field(default_factory=dict)
    symptoms: tuple[Symptom, ...] = ()
    samples: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Evaluation:
        """From what `as_dict` gave."""
        symptoms = tuple(Symptom(**symptom) for symptom in given["symptoms"])
        return cls(**{**given, "symptoms": symptoms})


TrialState = Literal["running", "completed", "stopped", "failed"]


@dataclass(frozen=True)
class TrialResult:
    """How a training ended. `best` is the evaluation whose generator was kept."""

    state: TrialState
    folder: Path
    history: tuple[Evaluation, ...]
    best: Evaluation | None
    symptom: Symptom | None = None

    @property
    def final(self) -> Evaluation | None:
        """The last evaluation."""
        return self.history[-1] if self.history else None


@dataclass(frozen=True)
class FinalScore:
    """A winner's kept generator, that of `step`, measured once more on noise that chose nothing.

    `metrics` are named with their number of samples, as in `fid_5k`.
    """

    step: int
    metrics: Mapping[str, float]
    protocol: Mapping[str, str]
