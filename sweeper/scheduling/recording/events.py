"""What a running sweep tells its audience: the live view, plain lines, the service's stream.

    SweepStarted
      Noted                        what has changed since it last ran, what was found damaged
      ProtocolChanged              it is measured by another protocol from here on
      LimitsChanged                it may run longer or wider, or less so
      PhaseChanged                 rehearsing, searching, confirming, paused, draining
      TrialStarted                 also when a trial is resumed or retried
        TrialEvaluated ...
      TrialEnded                   completed, pruned, failed; of the others, it goes on
    SweepEnded

Events are for watching only. Nothing depends on one being seen: the study is the ledger.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sweeper.protocols import Protocol
from sweeper.standings import Standings
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation, Role, Trial

if TYPE_CHECKING:
    from sweeper.scheduling.recording.conclusion import Results

Phase = Literal[
    "starting", "rehearsing", "searching", "confirming", "paused", "draining", "finishing"
]
Ending = Literal["completed", "pruned", "failed", "interrupted", "retrying", "moved"]
SweepState = Literal["finished", "incomplete", "stopped", "cancelled", "interrupted", "failed"]
Loss = Literal["", "disk", "surroundings"]


@dataclass(frozen=True)
class SweepStarted:
    """`sweep` is what runs: one that had begun before may keep what its file leaves open.

    `budget` counts the search's trials, `replicates` the runs on fresh seeds that may follow.

    `trials` are those that the ledger already holds when a sweep is resumed, `protocol` is
    that by which the sweep is measured, empty before it was; `accepted` says that it took another
    one's place as the study was opened.
    """

    sweep: Sweep
    folder: Path
    budget: int
    replicates: int
    resumed: bool
    trials: tuple[Trial, ...]
    protocol: Protocol
    time: float
    accepted: bool = False


@dataclass(frozen=True)
class PhaseChanged:
    """The sweep does something else now; `message` says what, where the phase alone does not."""

    phase: Phase
    message: str
    time: float


@dataclass(frozen=True)
class Noted:
    """Something to know beside what is going on: other versions of parts, a damaged checkpoint, an
    enqueued point that is not run."""

    message: str
    time: float


@dataclass(frozen=True)
class ProtocolChanged:
    """The sweep is measured by `protocol` from here on, as the user has accepted."""

    protocol: Protocol
    message: str
    time: float


@dataclass(frozen=True)
class LimitsChanged:
    """Somebody has given the sweep other limits while it runs: `sweep` has them, and `budget` is
    that of the search now."""

    sweep: Sweep
    budget: int
    message: str
    time: float


@dataclass(frozen=True)
class TrialStarted:
    """`steps` is how long the training will be, None when its config does not say."""

    number: int
    role: Role
    of: int | None
    values: Mapping[str, Any]
    steps: int | None
    resumed: bool
    attempt: int
    time: float


@dataclass(frozen=True)
class TrialEvaluated:
    """`value` is the first objective there; the symptoms are those that set in."""

    number: int
    value: float | None
    evaluation: Evaluation


@dataclass(frozen=True)
class TrialEnded:
    """`trial` is all of it, where this is its final state."""

    number: int
    state: Ending
    cause: str | None
    reason: str | None
    time: float
    trial: Trial | None = None


@dataclass(frozen=True)
class SweepEnded:
    """The driver has stopped; `message` says why and how to go on."""

    state: SweepState
    message: str
    time: float


Event = (
    SweepStarted
    | PhaseChanged
    | Noted
    | ProtocolChanged
    | LimitsChanged
    | TrialStarted
    | TrialEvaluated
    | TrialEnded
    | SweepEnded
)
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended and where its results are.

    `finished`: the budget is spent and the confirmations are done. `incomplete`: so it is, but of
    some trials nothing is known, through no fault of theirs (`sweeper.causes`). `stopped`: drained
    on request or at `limits.hours`; `cancelled`: stopped at once on request; `interrupted`: Ctrl-C,
    or another signal (`ended_by`); `failed`: the cluster or the disk gave out, no trial finished,
    or as many failed as `limits.failed` says. All but `finished` can be continued by running the
    sweep again, trials that failed included where that may help. `exit_code` is what a command
    should exit with. `results` are what the end has written, None where it could not, or was not
    to.
    """

    state: SweepState
    message: str
    folder: Path
    standings: Standings = field(repr=False)
    results: Results | None = field(default=None, repr=False)
    ended_by: signal.Signals | None = None
    """The last signal but Ctrl-C that has told it to end."""
    lost: Loss = ""
    """What outside it made it fail: a full disk, or its surroundings (the cluster
    or the study's storage gave out, or another version was installed); empty where by neither."""

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials of the sweep, by number."""
        return self.standings.trials

    @property
    def exit_code(self) -> int:
        """0; 1 where it failed or is incomplete; 128 and the number of a signal that ended it."""
        if self.state == "interrupted":
            return 128 + (self.ended_by or signal.SIGINT)
        return 1 if self.state in ("failed", "incomplete") else 0
