"""What one trial is given of a machine: as a sweep file asks for it, and in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from sweeper.sweepfile.section import Section
from trials.problems import nearest
from trials.validation import PROBLEM, short

AUTO = "auto"

PART = 1 / 20
"""Of a GPU that many trials share by what they take, the part that each counts on before that is
known: where its data lie is decided by it, and is part of what it takes."""


def _check_amount(given: Any) -> Any:
    """`auto`, or a number that is not negative, as it is."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if given == AUTO or (number and 0 <= given < float("inf")):
        return given
    told = {"message": f"{short(given)} is wrong", "expected": "auto, or a number, at least 0"}
    close = nearest(given, (AUTO,)) if isinstance(given, str) else ""
    raise PydanticCustomError(PROBLEM, "{message}", {**told, "nearest": close})


Amount = Annotated[
    Literal["auto"] | int | float,
    BeforeValidator(_check_amount),
    WithJsonSchema({"anyOf": [{"const": AUTO}, {"type": "number", "minimum": 0}]}),
]


@dataclass(frozen=True)
class Given:
    """What a trial has of a machine: CPUs, a GPU or a part of one, and bytes of memory, 0 where
    nobody counts them."""

    cpu: float = 1.0
    gpu: float = 0.0
    memory: int = 0


class Resources(Section):
    """What one trial is given."""

    cpu: Amount = 1
    """CPU cores; a share of one lets several trials take turns on it, and 0 needs a GPU. With
    `auto` trials of a shape get what the first of it were seen to take, of cores and of memory,
    and compute with one thread."""
    gpu: Amount = 0
    """At most 1, for a training uses one GPU; 0.5 lets two trials share it, and with 0 a trial sees
    none. With `auto` as many share it as its memory and its time allow, by what the first trials
    of a shape were seen to take. Where trials share a GPU, data lie on it that take a quarter of
    a trial's share, with `auto` 1/80 of the GPU, at most."""
    mps: bool = Field(default=False)
    """Whether trials that share a GPU compute at the same time, under NVIDIA's MPS, where it can be
    found or started; else they take turns. A fault of one on the GPU then ends all that share
    it."""

    @property
    def shares(self) -> bool:
        """Whether what a trial is given follows from what trials of its shape take."""
        return AUTO in (self.cpu, self.gpu)

    @property
    def whole(self) -> Given:
        """What a trial is given where nothing is known of its shape: a core, a GPU."""
        cpu, gpu = (1.0 if given == AUTO else float(given) for given in (self.cpu, self.gpu))
        return Given(cpu, gpu)

    @property
    def part(self) -> float:
        """The part of a GPU that a trial counts on for its data; the same for all trials, as what
        each of a shape takes is to be."""
        return PART if self.gpu == AUTO else min(1.0, float(self.gpu)) or 1.0

    @property
    def threads(self) -> int:
        """With how many threads a trial computes, on which its numbers depend."""
        return max(1, int(self.whole.cpu))
