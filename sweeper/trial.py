"""What a trial is: the one shape of it for every room, from the study to the page.

The trainer's own `Evaluation`, `Symptom` and `FinalScore` are the service's too. Importing this
imports neither torch nor any vendor, so that a listing can hold trials without loading them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from statistics import fmean, median
from typing import Any, Literal

from trials.evaluation.results import Evaluation, FinalScore
from trials.health import Symptom
from trials.metrics.protocol import alike

__all__ = [
    "OVER",
    "Evaluation",
    "FinalScore",
    "Role",
    "Symptom",
    "Trial",
    "TrialState",
    "trial_name",
]

TrialState = Literal["waiting", "running", "completed", "pruned", "failed"]
Role = Literal["base", "search", "replicate"]

OVER = ("completed", "pruned", "failed")
"""States of trials that have ended."""


def trial_name(number: int) -> str:
    """The one spelling of a trial's identity: Ray trial id, folder name, MLflow tag."""
    return f"{number:05d}"


@dataclass(frozen=True)
class Trial:
    """One trial of a sweep as the study has it.

    `of` is the number of the trial that a replicate repeats, `cell` the label of its cell of an
    ablation. `values` are the searched parameters by dotted path, `config` the whole trial config
    that they make of the base. `objective` holds the final values, one an objective, and is None
    unless the trial completed: a half-trained value never stands in for a final one. `evaluations`
    are in the order of their steps. `cause` is that of its end by name (`sweeper.causes`),
    None of a completed trial, and `reason` says in words what happened. Times are unix seconds.
    `attempts` counts starts, retries and resumptions included. `donors` lists (step, trial number)
    where population based training copied another trial's checkpoint; its own number where that
    was not to be had, and it went on from its own with new settings. `final` is there for the
    winner of a finished sweep only. `notes` are sentences that a reader should know. `given` is
    the share of a machine that its last worker had (`cpu`, `gpu`, `memory`), where its sweep asks
    for one.
    """

    number: int
    state: TrialState
    role: Role = "search"
    of: int | None = None
    cell: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    objective: tuple[float, ...] | None = None
    evaluations: tuple[Evaluation, ...] = ()
    cause: str | None = None
    reason: str | None = None
    log_tail: str = ""
    started: float | None = None
    ended: float | None = None
    attempts: int = 0
    donors: tuple[tuple[int, int], ...] = ()
    final: FinalScore | None = None
    notes: tuple[str, ...] = ()
    given: Mapping[str, float] | None = None

    @property
    def name(self) -> str:
        return trial_name(self.number)

    @property
    def over(self) -> bool:
        """Whether the trial has its final state."""
        return self.state in OVER

    @property
    def steps(self) -> int:
        """The step of its last evaluation; 0 before the first."""
        return self.evaluations[-1].step if self.evaluations else 0

    @cached_property
    def planned(self) -> int | None:
        """The steps that its configuration asks for; None where it leaves them open."""
        steps = self.config.get("steps")
        return steps if isinstance(steps, int) else None

    @property
    def seconds(self) -> float | None:
        """Seconds that the trial took, from start to end; None while it lasts.

        Of one that was taken up again a pause lies between two of its evaluations each time. As
        many of those intervals, the slowest a step, count as the mean of the others; None where
        there are no others.
        """
        if self.started is None or self.ended is None:
            return None
        if self.attempts <= 1:
            return self.ended - self.started
        marks = [(0, self.started), *((one.step, one.time) for one in self.evaluations)]
        paces = sorted(_paces(marks))
        sure = paces[: max(0, len(paces) + 1 - self.attempts)]
        return fmean(sure) * self.steps if sure else None

    @cached_property
    def protocol(self) -> Mapping[str, str]:
        """How its last distances were measured, those that it ends with; empty before any was."""
        return next(
            (evaluation.protocol for evaluation in self.evaluations[::-1] if evaluation.protocol),
            {},
        )

    @cached_property
    def pace(self) -> float | None:
        """Seconds a step: the median between two evaluations, so that pauses, retries and nights in
        between count for nothing; None where nothing tells."""
        marks = [(one.step, one.time) for one in self.evaluations]
        if self.started is not None and self.attempts == 1:
            marks.insert(0, (0, self.started))
        paces = _paces(marks)
        return median(paces) if paces else None

    @property
    def took_over(self) -> str:
        """Whose weights it took over, and when: `00002 at step 20, its own at step 40`; empty where
        it never was to take any over."""
        return ", ".join(
            f"{'its own' if donor == self.number else trial_name(donor)} at step {step}"
            for step, donor in self.donors
        )

    @property
    def has_others_weights(self) -> bool:
        """Whether any of the weights that it took over are another trial's."""
        return any(donor != self.number for _, donor in self.donors)

    @property
    def took_over_last(self) -> str:
        """What came of it when it was to take weights over last, as a clause, and how many times
        it was; empty where it never was."""
        if not self.donors:
            return ""
        step, donor = self.donors[-1]
        told = f"took the weights of {trial_name(donor)} over at step {step}"
        if donor == self.number:
            told = f"was to take weights over at step {step}, and went on from its own"
        count = len(self.donors)
        return f"{told}; the last of {count} times" if count > 1 else told

    @property
    def symptoms(self) -> tuple[Symptom, ...]:
        """Every symptom that was seen, in the order of their steps."""
        return tuple(symptom for evaluation in self.evaluations for symptom in evaluation.symptoms)

    def curve(self, metric: str, protocol: Mapping[str, str] | None = None) -> dict[int, float]:
        """The finite values of one measure by step, in order: those that may stand beside values of
        `protocol`, by default that of its last."""
        beside = self.protocol if protocol is None else protocol
        return {
            evaluation.step: float(value)
            for evaluation in self.evaluations
            if (value := evaluation.metrics.get(metric)) is not None
            and math.isfinite(value)
            and alike(evaluation.protocol, beside)
        }

    def best(
        self, metric: str, goal: str, protocol: Mapping[str, str] | None = None
    ) -> float | None:
        """The best value on the way by `goal`, `minimize` or `maximize`, of those of `curve`; None
        without any."""
        values = self.curve(metric, protocol).values()
        return (max if goal == "maximize" else min)(values, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for programs."""
        told = asdict(self)
        # Programs have always read it under this key.
        told["symptom"] = told.pop("cause")
        return {**told, "steps": self.steps, "seconds": self.seconds}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Trial:
        """From what `as_dict` gave, also after it went through JSON."""
        known = {one.name for one in fields(cls)}
        kept = {key: value for key, value in given.items() if key in known}
        kept["cause"] = given.get("symptom")
        final, objective = kept.get("final"), kept.get("objective")
        kept["evaluations"] = tuple(map(Evaluation.from_dict, kept.get("evaluations", ())))
        kept["donors"] = tuple((step, donor) for step, donor in kept.get("donors", ()))
        kept["notes"] = tuple(kept.get("notes", ()))
        kept["objective"] = None if objective is None else tuple(objective)
        kept["final"] = None if final is None else FinalScore(**final)
        return cls(**kept)


def _paces(marks: Iterable[tuple[int, float]]) -> list[float]:
    """Seconds a step between each two of these (step, time), in their order."""
    return [
        (after - before) / (step - last)
        for (last, before), (step, after) in pairwise(marks)
        if step > last and after >= before
    ]
