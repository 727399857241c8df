"""Trials as the API tells of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field

from sweeper.causes import cause
from sweeper.service.api.shape import Asked, Number, Numbers, Plain, Shape, Text
from sweeper.sweepfile.model import flatten
from sweeper.trial import Role, Trial, TrialState

if TYPE_CHECKING:  # clients read these shapes, too, and no study
    from sweeper.service.readings import Reading


class TrialShape(Shape):
    """One trial, briefly."""

    number: int
    name: str
    """Its number as its folder and its run in MLflow have it."""
    state: TrialState
    role: Role
    of: int | None
    """The trial that a replicate repeats."""
    cell: str | None
    """Its cell of an ablation."""
    rank: int | None
    """Its place among the trials of the search; null where it has none."""
    values: Plain
    """The searched parameters, by dotted path."""
    objective: Numbers
    """Final values, one an objective; empty where it has not completed."""
    reached: Number
    """The best value of the first objective on the way."""
    last: Number
    """The value of the first objective at its last evaluation."""
    comparable: bool
    """False where it was measured by another protocol than the sweep is now."""
    steps: int
    """The step of its last evaluation."""
    planned: int
    """Steps that it is meant to train."""
    samples: int
    """How many evaluations have left a picture of samples."""
    symptom: str | None
    """Why it ended early, by name."""
    reason: str | None
    """The same in words."""
    attempts: int
    started: Number
    ended: Number
    seconds: Number

    @classmethod
    def seen(cls, trial: Trial, reading: Reading) -> Self:
        """A trial as the sweep's standings have it."""
        return cls(**_facts(trial, reading))


class EvaluationShape(Shape):
    """What was measured at one step."""

    step: int
    time: Number
    metrics: Plain
    symptoms: list[Plain]
    protocol: dict[str, str]
    samples: bool
    """Whether there is a picture: `…/samples/{step}`."""


class TrialDetail(TrialShape):
    """One trial, all of it."""

    config: Plain
    """Everything that its training depends on."""
    changed: Plain
    """Settings, by dotted path, in which it differs from the base configuration."""
    evaluations: list[EvaluationShape]
    protocol: dict[str, str]
    """How its last distances were measured."""
    why: str
    """What the cause of its end means, and what helps; empty where it ended well."""
    final: Plain | None
    """A winner's generator, measured once more on fresh noise."""
    donors: list[list[int]]
    """Population based training: [step, trial whose checkpoint it took over]."""
    notes: list[str]
    log_tail: str
    """Last lines of its log, of a trial that failed."""
    folder: str
    """Where its files are on the server."""

    @classmethod
    def seen(cls, trial: Trial, reading: Reading) -> Self:
        """A trial as the sweep's standings have it."""
        final = {**asdict(trial.final)} if trial.final is not None else None
        return cls(
            **_facts(trial, reading),
            config=trial.config,
            changed=_changed(trial, reading),
            evaluations=[
                EvaluationShape(
                    step=evaluation.step,
                    time=evaluation.time,
                    metrics=evaluation.metrics,
                    symptoms=[asdict(symptom) for symptom in evaluation.symptoms],
                    protocol=dict(evaluation.protocol),
                    samples=evaluation.samples is not None,
                )
                for evaluation in trial.evaluations
            ],
            protocol=dict(trial.protocol),
            why=cause(trial.cause).words if trial.cause else "",
            final=final,
            donors=[list(pair) for pair in trial.donors],
            notes=list(trial.notes),
            log_tail=trial.log_tail,
            folder=str(reading.folder.trial(trial.number)),
        )


class TrialPage(Shape):
    """Some trials."""

    items: list[TrialShape]
    next: str | None
    """The `cursor` of the next page; null on the last."""
    total: int
    """How many there are that fit, on all pages."""


class CurveShape(Shape):
    """One measure over the steps of one trial."""

    number: int
    metric: str
    steps: list[int]
    values: Numbers


class CurvesShape(Shape):
    """Curves; `version` changes whenever there may be more to see."""

    version: str
    curves: list[CurveShape]


class SamplesShape(Shape):
    """Pictures that a trial has left."""

    steps: list[int]


class StopAsked(Asked):
    """Why a trial is to end."""

    reason: Text = Field(default="", max_length=500, examples=["nothing but noise since step 400"])


class RetryAsked(Asked):
    """How a failed trial is tried again."""

    anew: bool = False
    """From nothing; else from its last checkpoint."""


class EnqueueAsked(Asked):
    """A configuration of one's own."""

    values: dict[str, Any] = Field(
        max_length=1000, examples=[{"optimizer.generator.lr": 0.0002, "batch_size": 64}]
    )
    """By dotted path; the sampler chooses what is left open."""


def _facts(trial: Trial, reading: Reading) -> dict[str, Any]:
    standings = reading.standings
    curve = standings.curve(trial)
    return {
        **{key: getattr(trial, key) for key in ("number", "name", "state", "role", "of", "cell")},
        **{key: getattr(trial, key) for key in ("values", "steps", "reason")},
        "symptom": trial.cause,
        **{key: getattr(trial, key) for key in ("attempts", "started", "ended", "seconds")},
        "rank": standings.ranks.get(trial.number),
        "objective": list(trial.objective or ()),
        "reached": standings.best_on_the_way(trial),
        "last": curve[max(curve)] if curve else None,
        "comparable": standings.comparable(trial),
        "planned": standings.steps_of(trial),
        "samples": sum(1 for evaluation in trial.evaluations if evaluation.samples),
    }


def _changed(trial: Trial, reading: Reading) -> dict[str, Any]:
    """In which settings it differs from the trial of the base; what it searched where none is."""
    base = reading.standings.base
    if base is None:
        return dict(trial.values)
    mine, theirs = flatten(trial.config), flatten(base.config)
    return {
        key: mine.get(key)
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key)
    }
