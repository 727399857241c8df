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
from typing import Any, ClassVar, Literal

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


class UnlessRecovering(SymptomConfig):
    """Thresholds of a symptom that a falling FID disproves."""

    progress: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share by which the best FID must fall meanwhile to count as recovery",
    )


SYMPTOMS: dict[str, type[Sign]] = {}


class Sign(ABC):
    """Recognises one symptom.

    ``description`` says what it is, ``advice`` what the sources suggest, ``source`` where both
    come from (the project's source documents by number, and papers). ``ends_as`` is the state of a
    training that it ends: ``stopped`` where what was reached is still a GAN, ``failed`` where
    nothing can be made of it.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    advice: ClassVar[str]
    source: ClassVar[str]
    ends_as: ClassVar[Literal["stopped", "failed"]]

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
    than ``share`` of it. False while nothing came before; True where FID is not measured."""
    before = [signals.fid for signals in history[:-evaluations] if signals.fid is not None]
    recent = [signals.fid for signals in history[-evaluations:] if signals.fid is not None]
    if not before or not recent:
        return len(history) > evaluations
    return min(recent) > (1 - share) * min(before)


def certain(history: Sequence[Signals], accuracy: float) -> bool:
    """Whether the discriminator was right on at least ``accuracy`` of either side throughout."""
    return all(
        signals.accuracy_real is not None
        and signals.accuracy_fake is not None
        and min(signals.accuracy_real, signals.accuracy_fake) >= accuracy
        for signals in history
    )


def poor(history: Sequence[Signals], share: float) -> bool:
    """Whether FID was at least ``share`` of the mean image's throughout. True where it is not
    measured."""
    return all(
        signals.fid is None or signals.fid >= share * (signals.fid_scale or 0.0)
        for signals in history
    )
