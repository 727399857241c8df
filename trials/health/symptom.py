"""What a symptom is: the report of one, and the class that recognises one.

A symptom is a pure function of the history of :class:`Signals`: given everything seen up to now,
:meth:`Sign.evidence` returns the numbers that speak for it, or None. It looks for signs that
persist over several evaluations, never at one value, because a healthy GAN shows most of them for
a moment. Registering is subclassing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from trials.health.signals import Signals

Evidence = dict[str, float]


@dataclass(frozen=True)
class Symptom:
    """A symptom as reported: when it set in, the numbers, what the source advises, in words."""

    name: str
    step: int
    evidence: Mapping[str, float]
    advice: str
    note: str


class SymptomConfig(BaseModel):
    """Thresholds of one symptom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    persistence: int = Field(
        default=3, ge=1, description="Evaluations in a row that must show the sign"
    )


SYMPTOMS: dict[str, type[Sign]] = {}


class Sign(ABC):
    """Recognises one symptom.

    ``description`` says what it is, ``advice`` what the sources suggest, ``source`` where both
    come from (the project's source documents by number, and papers).
    """

    name: ClassVar[str]
    description: ClassVar[str]
    advice: ClassVar[str]
    source: ClassVar[str]

    class Config(SymptomConfig):
        """Thresholds; each symptom declares its own."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        SYMPTOMS[cls.name] = cls

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        """The numbers that speak for the symptom at the last evaluation, or None.

        ``history`` is in order and not empty; ``position`` may be missing from all but its last
        :data:`trials.health.watcher.POSITIONS` entries.
        """

    @abstractmethod
    def note(self, evidence: Evidence) -> str:
        """One sentence with the numbers, for a person."""


def no_progress(history: Sequence[Signals], evaluations: int, share: float) -> bool:
    """Whether the best FID of the last ``evaluations`` improves on the best before them by less
    than ``share`` of it. False where too little is known to say so."""
    values = [signals.fid for signals in history]
    before = [fid for fid in values[:-evaluations] if fid is not None]
    recent = [fid for fid in values[-evaluations:] if fid is not None]
    return bool(before) and bool(recent) and min(recent) > (1 - share) * min(before)
