"""What a sign of failure is: the class that recognises one symptom of a failing GAN.

A sign is a pure function of the history of `Signals`: given everything seen up to now,
`Sign.evidence` returns the numbers that speak for it, or None. It looks for what persists
over several evaluations, never at one value, because a healthy GAN shows most of it for a moment.
A sign is a part (`trials.part`): one class in one file of `trials/health/signs`, and the
`health` section, its schema, the page on health and the tests follow from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from trials.health.signals import Signals
from trials.part import Part, PartConfig, knob

Evidence = dict[str, float]


@dataclass(frozen=True)
class Symptom:
    """A symptom as reported: when it set in, the numbers, what the source advises, in words."""

    name: str
    step: int
    evidence: Mapping[str, float]
    advice: str
    note: str


class SignConfig(PartConfig):
    """The thresholds that every sign has."""

    part: ClassVar[type[Sign]]

    persistence: int = knob(3, "Evaluations in a row that must show the sign", ge=1)


class UnlessRecovering(SignConfig):
    """The thresholds of a sign that a falling FID disproves."""

    progress: float = knob(
        0.1, "Share by which the best FID must fall meanwhile to count as recovery", ge=0, lt=1
    )


class Sign(Part, ABC):
    """Recognises one symptom in what the evaluations of a training measured.

    `summary` says what it is, `advice` what its sources suggest.
    """

    kind = "sign of failure"
    folders = ("trials.health.signs",)

    advice: ClassVar[str]
    """What may help, in sentences; tricks by their keys."""

    source: ClassVar[str]
    """Where both come from: papers with authors, year and arXiv number, posts with their titles."""

    ends_as: ClassVar[Literal["stopped", "failed"]] = "failed"
    """The state of a training that it ends: `stopped` where what was reached is still a GAN,
    `failed` where nothing can be made of it."""

    examples: ClassVar[Sequence[Mapping[str, Sequence[Any]]]] = ()
    """Trainings that show it, one at least, for the conformance tests: field of `Signals` →
    values that take turns from evaluation to evaluation. The rest is a healthy training's."""

    class Config(SignConfig):
        """Thresholds; a sign adds its own."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def acts_unnamed(cls) -> bool:
        return True

    @abstractmethod
    def evidence(self, history: Sequence[Signals]) -> Evidence | None:
        """The numbers that speak for the symptom at the last evaluation, or None.

        `history` is in order and not empty; `position` may be missing from all but its last
        `trials.health.watcher.POSITIONS` entries. The same history gives the same answer.
        """

    @abstractmethod
    def note(self, evidence: Evidence) -> str:
        """One sentence with the numbers of `evidence`, for a person."""


def no_progress(history: Sequence[Signals], evaluations: int, share: float) -> bool:
    """Whether the best FID of the last `evaluations` improves on the best before them by less
    than `share` of it. False while nothing came before; True where FID is not measured."""
    before = [signals.fid for signals in history[:-evaluations] if signals.fid is not None]
    recent = [signals.fid for signals in history[-evaluations:] if signals.fid is not None]
    if not before or not recent:
        return len(history) > evaluations
    return min(recent) > (1 - share) * min(before)


def certain(history: Sequence[Signals], accuracy: float) -> bool:
    """Whether the discriminator was right on at least `accuracy` of either side throughout."""
    return all(
        signals.accuracy_real is not None
        and signals.accuracy_fake is not None
        and min(signals.accuracy_real, signals.accuracy_fake) >= accuracy
        for signals in history
    )


def poor(history: Sequence[Signals], share: float) -> bool:
    """Whether FID was at least `share` of the mean image's throughout. True where it is not
    measured."""
    return all(
        signals.fid is None or signals.fid >= share * (signals.fid_scale or 0.0)
        for signals in history
    )
