"""What driver and worker tell each other, as JSON text: one piece of work, one report a step.

Text, because Tune copies, flattens and prints whatever dictionaries it is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from sweeper.sharing.shares import Taken
from sweeper.sweepfile.resources import Given
from sweeper.trial import Evaluation, Symptom

REHEARSAL = -1
"""The number of work that is no trial: to train the base configuration for a step (`rehearsal`)."""
PROBE = -2
"""The number of work that is no trial: to see what trials of a shape take (`sharing`). A further
one has the next lower number."""
KEPT_FOLDER = "kept"
"""In a trial's folder: checkpoints that it keeps for others."""


def kept_checkpoint(folder: Path, step: int) -> Path:
    """Where a trial keeps its checkpoint of one milestone for others."""
    return folder / KEPT_FOLDER / f"{step:06d}"


@dataclass(frozen=True)
class Work:
    """A trial for a worker to train.

    `recorded` are the steps that the ledger has already. `take_over` is the folder of another
    trial's kept checkpoint to go on from; `keep` the (interval, grace) of the milestones at which
    this trial's own checkpoints are kept for others. `undecided` says that the last of the recorded
    steps awaits its verdict: the worker reports before it goes on. `room` is what its files pass
    through (`attempts`). `protocol` is that by which it must be measured; any will do where it is
    empty. `anew` says to leave the trial's own checkpoint aside. `patience` is how many seconds it
    may be silent; None for as long as the worker finds (`silence`). `alone` asks for a device that
    no other trial has, `avoid` for none of these machines, by Ray's ids of them. `given` is what
    the worker has of its machine.
    """

    number: int
    folder: str
    room: str
    config: Mapping[str, Any]
    recorded: tuple[int, ...] = ()
    take_over: str | None = None
    keep: tuple[int, int] | None = None
    undecided: bool = False
    protocol: Mapping[str, str] = field(default_factory=dict)
    anew: bool = False
    patience: float | None = None
    bucket: str = ""
    attempt: str = ""
    alone: bool = False
    avoid: tuple[str, ...] = ()
    given: Given = field(default_factory=Given)

    def text(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """What `text` gave, read back."""
        given = json.loads(text)
        keep = given["keep"] and tuple(given["keep"])
        tuples = {name: tuple(given[name]) for name in ("recorded", "avoid")}
        return cls(**{**given, **tuples, "keep": keep, "given": Given(**given["given"])})


@dataclass(frozen=True)
class Failure:
    """A training that raised. `log` is the end of the trial's log with the traceback."""

    cause: str
    reason: str
    log: str = ""


@dataclass(frozen=True)
class Changed:
    """Nothing was trained: what is trained on, or measured by, is not what it was.

    `protocol` is that by which the trial would be measured now; `reason` says what is wrong with
    its checkpoint, where that is what does not fit.
    """

    protocol: Mapping[str, str]
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """What happened in one step of a worker.

    `evaluations` are the new ones. `stopped_by` is the symptom for which the training ended itself
    before its last step. `notes` are what a reader should know of how it began, in sentences.
    `left` says why the training has saved itself between two evaluations, to go on elsewhere.
    `taken` is what the trial has taken of its machine so far, where somebody wants to know. `own`
    says that it went on from its own checkpoint, since that which it was to take over was not to
    be had.
    """

    evaluations: tuple[Evaluation, ...] = ()
    finished: bool = False
    stopped_by: Symptom | None = None
    failure: Failure | None = None
    notes: tuple[str, ...] = ()
    changed: Changed | None = None
    left: str = ""
    taken: Taken | None = None
    own: bool = False

    def text(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """What `text` gave, read back."""
        given = json.loads(text)
        failure, stopped_by, changed = given["failure"], given["stopped_by"], given["changed"]
        taken = given["taken"]
        return cls(
            evaluations=tuple(map(Evaluation.from_dict, given["evaluations"])),
            finished=given["finished"],
            stopped_by=Symptom(**stopped_by) if stopped_by else None,
            failure=Failure(**failure) if failure else None,
            notes=tuple(given["notes"]),
            changed=Changed(**changed) if changed else None,
            left=given["left"],
            taken=Taken(**taken) if taken else None,
            own=given["own"],
        )
