"""What the ledger writes into a trial, and how it reads it back.

User attributes of a trial (state, values and intermediate values are Optuna's own):

    role, of            base, search or replicate; the trial that a replicate repeats
    cell                {label, key}: the cell of an ablation's design
    values, config      searched parameters by path; the whole configuration
    attempts            how often a worker took the trial up
    deaths              {count, step}: workers that died under it since it last got further
    step:250            {metrics, time, symptoms, notes, samples} of the evaluation at step 250
    protocol            how its distances were measured
    judged              the last step at which the scheduler let it go on as it was
    donor:500           {number, step, values, config}: whose checkpoint it took over at step 500
    end                 {state, values, symptom, reason, log}: written before the study is told

User attributes of the study, beside those of the sweep as a whole:

    final:12            {step, metrics, protocol}: trial 12 won, and was scored on fresh noise
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeper.ablation.blame import SCHEDULER
from sweeper.errors import LedgerError
from sweeper.search.records import Asked, FinalScore, TrialRecord
from sweeper.search.sampler import Result
from sweeper.sweepfile.sections import Objective

STEP = "step:"
FINAL = "final:"
DONOR = "donor:"

_STATES = {
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "waiting",
}


@contextmanager
def translated(place: Path | None = None) -> Iterator[None]:
    """Turn what Optuna and its storages raise into LedgerError, which names the sweep's folder."""
    try:
        yield
    except (OSError, optuna.exceptions.StorageInternalError) as error:
        where = "the study" if place is None else f"the study of {place}"
        raise LedgerError(f"cannot use {where}: {error}") from error


def asked(trial: FrozenTrial) -> Asked:
    """A trial to be run, as its entry in the study has it."""
    attrs = trial.user_attrs
    return Asked(
        number=trial.number,
        values=current(attrs, "values"),
        config=current(attrs, "config"),
        role=attrs.get("role", "search"),
        of=attrs.get("of"),
        resumed=attrs.get("attempts", 0) > 0,
    )


def record(
    trial: FrozenTrial, objective: Sequence[Objective], study: Mapping[str, Any]
) -> TrialRecord:
    """A trial's entry in plain words; `study` are the study's own attributes."""
    attrs = trial.user_attrs
    end = attrs.get("end", {})
    steps = evaluations(attrs)
    curve = curve_of(attrs, objective[0].metric)
    best = max if objective[0].goal == "maximize" else min
    running = "running" if attrs.get("attempts") else "waiting"
    final = study.get(f"{FINAL}{trial.number}")
    return TrialRecord(
        number=trial.number,
        state=_STATES.get(trial.state, running),  # type: ignore[arg-type]
        role=attrs.get("role", "search"),
        of=attrs.get("of"),
        cell=attrs.get("cell", {}).get("label"),
        values=current(attrs, "values"),
        config=current(attrs, "config"),
        objective=tuple(trial.values) if trial.state == TrialState.COMPLETE else None,
        intermediate=curve,
        metrics={step: entry["metrics"] for step, entry in steps.items()},
        protocol=attrs.get("protocol", {}),
        best=best(curve.values()) if curve else None,
        symptom=end.get("symptom"),
        symptoms=tuple(
            (name, step) for step, entry in steps.items() for name in entry.get("symptoms", ())
        ),
        notes={
            name: note for entry in steps.values() for name, note in entry.get("notes", {}).items()
        },
        reason=end.get("reason"),
        log_tail=end.get("log", ""),
        started=trial.datetime_start.timestamp() if trial.datetime_start else None,
        ended=trial.datetime_complete.timestamp() if trial.datetime_complete else None,
        steps=max(steps, default=0),
        attempts=attrs.get("attempts", 0),
        donors=tuple((step, donor["number"]) for step, donor in donors(attrs).items()),
        final=FinalScore(**final) if final else None,
    )


def broken(trial: FrozenTrial) -> bool:
    """Whether the training failed, or was stopped for a symptom of it: its last values say nothing
    for its configuration. A generator that has collapsed may have the best precision of all."""
    if trial.state == TrialState.PRUNED:
        return trial.user_attrs.get("end", {}).get("symptom") not in (None, SCHEDULER)
    return trial.state == TrialState.FAIL


def result(trial: FrozenTrial, objective: Objective) -> Result:
    """What came of a proposal, for the samplers that need no more than that."""
    curve = curve_of(trial.user_attrs, objective.metric)
    loss = curve[max(curve)] if curve and not broken(trial) else None
    if loss is not None and objective.goal == "maximize":
        loss = -loss
    return Result(trial.user_attrs["values"], loss, trial.state.is_finished())


def evaluations(attrs: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """All evaluations of a trial by step, in order."""
    return _by_step(attrs, STEP)


def donors(attrs: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Where the trial went on from another one's checkpoint, by step, in order."""
    return _by_step(attrs, DONOR)


def current(attrs: Mapping[str, Any], key: str) -> Any:
    """`values` or `config` of a trial as they are now: those of its last take-over, if any."""
    taken = donors(attrs)
    return taken[max(taken)][key] if taken else attrs.get(key, {})


def curve_of(attrs: Mapping[str, Any], metric: str) -> dict[int, float]:
    """The finite values of one measure by step."""
    return {
        step: float(entry["metrics"][metric])
        for step, entry in evaluations(attrs).items()
        if finite(entry["metrics"].get(metric))
    }


def unreported(trial: FrozenTrial, objective: Sequence[Objective]) -> list[tuple[int, float]]:
    """Values that were measured and never became intermediate values: a kill came between."""
    if len(objective) > 1:
        return []  # Optuna has intermediate values for one objective only
    curve = curve_of(trial.user_attrs, objective[0].metric)
    return [(step, curve[step]) for step in curve if step not in trial.intermediate_values]


def finite(value: float | None) -> bool:
    """Whether something was measured, and is a number."""
    return value is not None and math.isfinite(value)


def _by_step(attrs: Mapping[str, Any], prefix: str) -> dict[int, dict[str, Any]]:
    found = {int(key[len(prefix) :]): attrs[key] for key in attrs if key.startswith(prefix)}
    return dict(sorted(found.items()))
