"""What the ledger knows about a trial, as plain data: the currency between search, CLI and report.

Nothing here imports Optuna, so that a listing can hold records without loading it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

TrialState = Literal["waiting", "running", "completed", "pruned", "failed"]
Role = Literal["base", "search", "replicate"]


def trial_name(number: int) -> str:
    """The one spelling of a trial's identity: Ray trial id, folder name, MLflow tag."""
    return f"{number:05d}"


@dataclass(frozen=True)
class Asked:
    """A trial that is to be run now, from its start or from its last checkpoint.

    `values` are the searched parameters by dotted path, `config` the whole trial config that they
    make of the base. `of` is the number of the trial that a replicate repeats.
    """

    number: int
    values: Mapping[str, Any]
    config: Mapping[str, Any]
    role: Role = "search"
    of: int | None = None
    resumed: bool = False

    @property
    def name(self) -> str:
        return trial_name(self.number)


@dataclass(frozen=True)
class FinalScore:
    """A winner's kept generator, that of `step`, measured once more on noise that chose nothing.

    `metrics` are named with their number of samples, as in `fid_5k`.
    """

    step: int
    metrics: Mapping[str, float]
    protocol: Mapping[str, str]


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a sweep as the study has it.

    `objective` holds the final values, one per objective, and is None unless the trial completed: a
    half-trained value never stands in for a final one. `intermediate` is the first objective by
    step and `metrics` everything measured by step. `best` is the best finite intermediate value in
    the objective's direction. `symptom` says why a trial was pruned or failed (a health symptom,
    `scheduler`, `error`, `out_of_memory`, `worker_died`, `cancelled`), `symptoms` lists all that
    were seen as (name, step), and `notes` says of each in words what was seen last. Times are unix
    seconds. `attempts` counts starts, retries and resumptions included. `donors` lists (step, trial
    number) where population based training copied another trial's checkpoint. `final` is there for
    the winner of a finished sweep only.
    """

    number: int
    state: TrialState
    role: Role = "search"
    of: int | None = None
    cell: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    objective: tuple[float, ...] | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    metrics: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    protocol: Mapping[str, str] = field(default_factory=dict)
    best: float | None = None
    symptom: str | None = None
    symptoms: tuple[tuple[str, int], ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    log_tail: str = ""
    started: float | None = None
    ended: float | None = None
    steps: int = 0
    attempts: int = 0
    donors: tuple[tuple[int, int], ...] = ()
    final: FinalScore | None = None

    @property
    def name(self) -> str:
        return trial_name(self.number)

    @property
    def over(self) -> bool:
        """True once the trial has its final state."""
        return self.state in ("completed", "pruned", "failed")

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds from first start to end, None while it lasts."""
        if self.started is None or self.ended is None:
            return None
        return self.ended - self.started

    def as_dict(self) -> dict[str, Any]:
        """A JSON-able copy, for `--json` listings and reports."""
        return asdict(self)
