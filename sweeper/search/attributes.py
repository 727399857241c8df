"""What the ledger writes into a trial, and how it reads it back.

User attributes of a trial (state, values and intermediate values are Optuna's own):

    mark                the study's id and the trial's number: the sweep's own entry (`foreign`)
    tried               its place in the file's `search.try`, where it is one of those
    enqueued            true of a point that somebody enqueued and the driver took up
    refused             why an enqueued point was not taken up
    number              the trial that this entry tries again after it had failed, as Optuna closes
                        an entry for good; without it, that of the entry
    role, of            base, search or replicate; the trial that a replicate repeats
    cell                {label, key}: the cell of an ablation's design
    values, config      searched parameters by path; the whole configuration
    attempts            how often a worker took the trial up
    given               {cpu, gpu, memory}: the share that its last worker had, where it is `auto`
    notes               sentences for a reader: a checkpoint that was found damaged
    deaths              {count, step, machines}: workers that died under it since it last got
                        further, and how many on which machine
    alone               true once it ran out of memory: it has a device to itself from then on
    faults              [[machine, GPU], …]: devices that may be wrong, on each of which it failed
    wrong_devices       the same: on which nothing is to train any more since this trial
    step:250            {metrics, time, symptoms, notes, evidence, samples, protocol, settled} of
                        the evaluation at step 250, what is empty left out; `settled` is how many
                        times it had been settled what stays of its milestone (`stays`)
    protocol            how its distances were measured, where an evaluation does not say otherwise
    judged              the last step at which the scheduler let it go on as it was
    donor:500           {number, step, values, config}: whose checkpoint it took over at step 500;
                        its own where {instead_of: [number, step]} was not to be had
    before:1            what the trial had of the last four when it was begun anew, the first time;
                        in their own places is None then
    anew                true until its first evaluation, where its checkpoint is left aside
    order               the order by which somebody enqueued it, or had it tried again
    end                 {state, values, symptom, reason, log}: written before the study is told

User attributes of the study, beside those of the sweep as a whole:

    id                  its name for ever, also beside others of its sweep's name
    owner               {home, path, attempt}: whose it is, and which driver writes it (`owner`)
    unmarked            how many entries it had before entries were marked
    final:12            {step, metrics, protocol}: trial 12 won, and was scored on fresh noise
    learned             {protocol, trials, taken}: what its sampler is shown of earlier sweeps
    protocol            how the sweep's distances are measured: `sweeper.protocols`
    stays:500           {numbers, times}: trials whose checkpoint of the milestone 500 stays for
                        others, and how many times that was settled (`staying`)
    used                {seconds, gpu_seconds, cpu_seconds}: `sweeper.standings.usage`
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeper.causes import cause, to_blame
from sweeper.errors import LedgerError, StudyAway
from sweeper.protocols import Protocol, alike
from sweeper.search.sampler import Result
from sweeper.search.study_attributes import FINAL as FINAL
from sweeper.search.study_attributes import PROTOCOL as PROTOCOL
from sweeper.search.study_attributes import finals as finals
from sweeper.sweepfile.sections import Objective
from sweeper.trial import Evaluation, FinalScore, Symptom, Trial
from trials.errors import encodable

STEP = "step:"
DONOR = "donor:"
STAYS = "stays:"
SETTLED = "settled"
BEFORE = "before:"
ANEW = "anew"
ALONE = "alone"
FAULTS = "faults"
WRONG = "wrong_devices"
TRIED = "tried"
LEARNED = "learned"
MOVED = (STEP, PROTOCOL, "judged", DONOR)
"""What a trial that is begun anew has no more."""

_CONNECTION = ("OperationalError", "InterfaceError")
"""What SQLAlchemy raises of a database that does not answer."""

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
    except optuna.exceptions.UpdateFinishedTrialError as error:
        raise LedgerError(
            "another program ended a running trial: run the sweep again to continue"
        ) from error
    except (OSError, optuna.exceptions.StorageInternalError) as error:
        where = "the study" if place is None else f"the study of {place}"
        # Optuna guesses at invalid data, whatever the database said.
        said = error.__cause__ if isinstance(error.__cause__, Exception) else error
        reason = str(getattr(said, "orig", None) or said).strip().splitlines()[0]
        if isinstance(said, OSError) and said.strerror:
            reason = ": ".join(filter(None, (said.filename, said.strerror)))
        served = "sqlite" not in type(getattr(said, "orig", None)).__module__
        kind = StudyAway if served and type(said).__name__ in _CONNECTION else LedgerError
        raise kind(f"cannot use {where}: {reason}") from error


def number_of(entry: FrozenTrial) -> int:
    """The number of the trial that an entry of the study tells of."""
    return int(entry.user_attrs.get("number", entry.number))


def trial_of(entry: FrozenTrial, final: Mapping[str, Any] | None = None) -> Trial:
    """A trial from its entry in the study; `final` is what the study has of its final score."""
    attrs = entry.user_attrs
    end = attrs.get("end", {})
    running = "running" if attrs.get("attempts") else "waiting"
    return Trial(
        number=number_of(entry),
        state=_STATES.get(entry.state, running),  # type: ignore[arg-type]
        role=attrs.get("role", "search"),
        of=attrs.get("of"),
        cell=attrs.get("cell", {}).get("label"),
        values=current(attrs, "values"),
        config=current(attrs, "config"),
        objective=tuple(entry.values) if entry.state == TrialState.COMPLETE else None,
        evaluations=tuple(
            _evaluation(step, measured, protocol_of(attrs, measured))
            for step, measured in evaluations(attrs).items()
        ),
        cause=end.get("symptom"),
        reason=None if end.get("reason") is None else encodable(end["reason"]),
        log_tail=encodable(end.get("log", "")),
        started=entry.datetime_start.timestamp() if entry.datetime_start else None,
        ended=entry.datetime_complete.timestamp() if entry.datetime_complete else None,
        attempts=attrs.get("attempts", 0),
        donors=tuple((step, donor["number"]) for step, donor in donors(attrs).items()),
        final=FinalScore(**final) if final else None,
        notes=tuple(map(encodable, attrs.get("notes", ()))),
        given=attrs.get("given"),
    )


def entry_of(evaluation: Evaluation, protocol: Protocol, settled: int = 0) -> dict[str, Any]:
    """What is written down of an evaluation; `protocol` is that of its trial, and `settled` how
    many times it was settled what stays of its milestone."""
    symptoms = evaluation.symptoms
    entry = {
        "metrics": dict(evaluation.metrics),
        "time": evaluation.time,
        "symptoms": [symptom.name for symptom in symptoms],
        "notes": {symptom.name: symptom.note for symptom in symptoms if symptom.note},
        "evidence": {symptom.name: dict(symptom.evidence) for symptom in symptoms},
        "samples": evaluation.samples,
        SETTLED: settled,
    }
    entry = {key: value for key, value in entry.items() if value or key in ("metrics", "time")}
    if evaluation.protocol != protocol:
        entry["protocol"] = dict(evaluation.protocol)
    return entry


def _evaluation(step: int, entry: Mapping[str, Any], protocol: Protocol) -> Evaluation:
    notes, evidence = entry.get("notes", {}), entry.get("evidence", {})
    return Evaluation(
        step=step,
        time=entry["time"],
        metrics=entry["metrics"],
        protocol=protocol,
        symptoms=tuple(
            Symptom(
                name=name,
                step=step,
                evidence=evidence.get(name, {}),
                advice=cause(name).advice,
                note=notes.get(name, ""),
            )
            for name in entry.get("symptoms", ())
        ),
        samples=entry.get("samples"),
    )


def cause_of(trial: FrozenTrial) -> str | None:
    """The name of what ended a trial early; None of one that has not ended so."""
    name: str | None = trial.user_attrs.get("end", {}).get("symptom")
    return name


def broken(trial: FrozenTrial) -> bool:
    """Whether the training came to nothing through its configuration, so that its last values say
    nothing for it."""
    state = _STATES.get(trial.state, "")
    return to_blame(state, cause_of(trial))


def result(trial: FrozenTrial, objective: Objective, protocol: Protocol) -> Result:
    """What came of a proposal, for the samplers that need no more than that; of what was measured
    by another protocol, nothing."""
    curve = curve_of(trial.user_attrs, objective.metric, protocol)
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


def protocol_of(attrs: Mapping[str, Any], entry: Mapping[str, Any]) -> Protocol:
    """How one evaluation of a trial was measured."""
    protocol: Protocol = entry.get("protocol", attrs.get("protocol") or {})
    return protocol


def has(trial: FrozenTrial, evaluation: Evaluation) -> bool:
    """Whether a trial that was evaluated at this step was so by this protocol."""
    attrs = trial.user_attrs
    return alike(protocol_of(attrs, attrs[f"{STEP}{evaluation.step}"]), evaluation.protocol)


def measured(entries: Sequence[FrozenTrial]) -> Iterator[tuple[float, Protocol]]:
    """Time and protocol of every evaluation of these trials."""
    for trial in entries:
        attrs = trial.user_attrs
        for entry in evaluations(attrs).values():
            yield entry["time"], protocol_of(attrs, entry)


def comparable(attrs: Mapping[str, Any], protocol: Protocol) -> bool:
    """Whether what a trial came to may be compared under `protocol`: its last distances were
    measured by it, or it has none."""
    if _is_uniform(attrs):
        return alike(attrs.get("protocol") or {}, protocol)
    protocols = [protocol_of(attrs, entry) for entry in evaluations(attrs).values()]
    last = next(filter(None, reversed(protocols)), {})
    return alike(last, protocol)


def intermediate_values(trial: FrozenTrial, protocol: Protocol) -> dict[int, float]:
    """Those of a trial's intermediate values that may be compared under `protocol`."""
    attrs, told = trial.user_attrs, trial.intermediate_values
    if _is_uniform(attrs) and f"{BEFORE}1" not in attrs:
        return told if alike(attrs.get("protocol") or {}, protocol) else {}
    return {
        step: told[step]
        for step, entry in evaluations(attrs).items()
        if step in told and alike(protocol_of(attrs, entry), protocol)
    }


def _is_uniform(attrs: Mapping[str, Any]) -> bool:
    """Whether all of a trial's evaluations have its one protocol; asked of every trial each time
    that a sampler looks."""
    return not any(
        entry is not None and "protocol" in entry
        for key, entry in attrs.items()
        if key.startswith(STEP)
    )


def current(attrs: Mapping[str, Any], key: str) -> Any:
    """`values` or `config` of a trial as they are now: those of its last take-over, if any."""
    taken = donors(attrs)
    return taken[max(taken)][key] if taken else attrs.get(key, {})


def curve_of(attrs: Mapping[str, Any], metric: str, protocol: Protocol) -> dict[int, float]:
    """The finite values of one measure by step: those that may be compared under `protocol`."""
    return {
        step: float(entry["metrics"][metric])
        for step, entry in evaluations(attrs).items()
        if finite(entry["metrics"].get(metric)) and alike(protocol_of(attrs, entry), protocol)
    }


def unreported(trial: FrozenTrial, objective: Sequence[Objective]) -> list[tuple[int, float]]:
    """Values that were measured and never became intermediate values: a kill came between."""
    if len(objective) > 1:
        return []  # Optuna has intermediate values for one objective only
    curve = curve_of(trial.user_attrs, objective[0].metric, {})
    told = trial.intermediate_values
    return [(step, curve[step]) for step in curve if told.get(step) != curve[step]]


def finite(value: float | None) -> bool:
    """Whether something was measured, and is a number."""
    return value is not None and math.isfinite(value)


def _by_step(attrs: Mapping[str, Any], prefix: str) -> dict[int, dict[str, Any]]:
    by_step = {
        int(key[len(prefix) :]): entry
        for key, entry in attrs.items()
        if key.startswith(prefix) and entry is not None
    }
    return dict(sorted(by_step.items()))
