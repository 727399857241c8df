"""From the ledger to MLflow's outbox: each thing is said after the ledger has it.

A kill between the two is made good at the next start: `replay` says everything again that the
ledger knows, and what had been said already changes nothing.
"""

from __future__ import annotations

import math
import platform
import time as clock
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sweeper.home import SweepFolder
from sweeper.search.ledger import Evaluated, Ledger
from sweeper.search.records import Asked, TrialRecord
from sweeper.sweepfile.model import Sweep
from sweeper.tracking.names import NOTE_TAG, SWEEP, SweepEnding, TrialEnding
from sweeper.tracking.notes import Seen, trial_note
from sweeper.tracking.outbox import Outbox
from trials.health import SYMPTOMS

Resolve = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Recorder:
    """Says what happens in one sweep; without an outbox, to nobody.

    `resolve` turns a trial's raw config into the one that is recorded.
    """

    def __init__(
        self, sweep: Sweep, folder: SweepFolder, outbox: Outbox | None, resolve: Resolve = dict
    ) -> None:
        self._resolve = resolve
        self._sweep = sweep
        self._folder = folder
        self._outbox = outbox
        self._symptoms: dict[int, dict[str, tuple[int, str]]] = {}

    def sweep_started(self, study: str) -> None:
        """The sweep's own run is opened, or reopened."""
        if self._outbox is None:
            return
        sweep = self._sweep
        tags = {
            "sweeper.version": _version(),
            "sweeper.fingerprint": sweep.fingerprint,
            "sweeper.sampler": sweep.search.sampler,
            "sweeper.scheduler": sweep.scheduler.name,
            "sweeper.objective": ", ".join(f"{one.goal} {one.metric}" for one in sweep.objective),
            "sweeper.host": platform.node(),
        }
        self._outbox.sweep_started(
            sweep.name, study=study, params=sweep.to_dict(), tags=tags, note=sweep.description
        )
        self._file(SWEEP, self._folder.sweep_yaml, "sweep.yaml")

    def replay(self, ledger: Ledger) -> None:
        """Say everything that the ledger knows."""
        if self._outbox is None:
            return
        with self._outbox.batch():
            for record in ledger.trials():
                if record.attempts == 0 and not record.over:
                    continue
                asked = Asked(record.number, record.values, record.config, record.role, record.of)
                self.trial_started(asked, record.started)
                for evaluated in ledger.evaluations(record.number):
                    self.evaluated(record.number, evaluated)
                if record.over:
                    self.trial_ended(record)
                    self.scored(record)
                else:
                    self.trial_paused(record.number, "interrupted")

    def trial_started(self, asked: Asked, time: float | None = None) -> None:
        """A worker has taken the trial up."""
        if self._outbox is None:
            return
        config = self._resolve(asked.config)
        tags = {
            "sweeper.role": asked.role,
            "sweeper.tricks": ",".join(_tricks(config)),
            "sweeper.version": _version(),
            "sweeper.of": None if asked.of is None else f"{asked.of:05d}",
        }
        self._outbox.trial_started(
            asked.number, params=config, tags=tags, parent=asked.of, time=time
        )

    def evaluated(self, number: int, evaluated: Evaluated) -> None:
        """An evaluation is in the ledger."""
        if self._outbox is None:
            return
        with self._outbox.batch():
            self._outbox.evaluated(number, evaluated.step, evaluated.metrics, evaluated.time)
            if evaluated.protocol:
                self._outbox.tagged(
                    number, {f"protocol.{key}": value for key, value in evaluated.protocol.items()}
                )
            if evaluated.symptoms:
                self._warned(number, evaluated)
            if evaluated.samples:
                self._file(
                    number, self._folder.trial(number) / evaluated.samples, evaluated.samples
                )

    def _warned(self, number: int, evaluated: Evaluated) -> None:
        """The run's note tells all symptoms so far: MLflow keeps one note a run."""
        assert self._outbox is not None
        so_far = self._symptoms.setdefault(number, {})
        for name in evaluated.symptoms:
            so_far[name] = evaluated.step, evaluated.notes.get(name, "")
        seen = [(name, step) for name, (step, _) in so_far.items()]
        note = trial_note(
            number=number,
            sweep=self._sweep.name,
            steps=evaluated.step,
            seen=_explained(seen, {name: note for name, (_, note) in so_far.items()}),
        )
        self._outbox.tagged(number, {**_seen(seen), NOTE_TAG: note})

    def trial_ended(self, record: TrialRecord) -> None:
        """The trial has its final state."""
        if self._outbox is None:
            return
        self._symptoms.pop(record.number, None)
        state: TrialEnding = record.state  # type: ignore[assignment]
        folder = self._folder.trial(record.number)
        tags = {"sweeper.symptom": record.symptom}
        tags |= _seen(record.symptoms)
        sign = SYMPTOMS.get(record.symptom or "")
        note = trial_note(
            number=record.number,
            sweep=self._sweep.name,
            state=record.state,
            steps=record.steps,
            metric=self._sweep.objective[0].metric,
            value=record.objective[0] if record.objective else record.best,
            values=record.values,
            of=record.of,
            symptom=record.symptom,
            meaning=sign.description if sign else "",
            reason=record.reason,
            advice=sign.advice if sign else "",
            log_tail=record.log_tail,
            seen=_explained(
                (one for one in record.symptoms if one[0] != record.symptom), record.notes
            ),
        )
        with self._outbox.batch():
            for step, values in _best(record, self._sweep).items():
                self._outbox.evaluated(record.number, step, values, record.ended or clock.time())
            for name in ("config.json", "checkpoint.pt", "log.txt"):
                self._file(record.number, folder / name, name)
            self._outbox.trial_ended(record.number, state, tags=tags, note=note, time=record.ended)

    def scored(self, record: TrialRecord) -> None:
        """The trial has won, and its generator was measured once more."""
        if self._outbox is None or record.final is None:
            return
        final = record.final
        with self._outbox.batch():
            self._outbox.evaluated(
                record.number, final.step, final.metrics, record.ended or clock.time()
            )
            self._outbox.tagged(
                record.number,
                {f"protocol.final.{key}": value for key, value in final.protocol.items()},
            )

    def trial_paused(self, number: int, state: TrialEnding) -> None:
        """The trial stands still and will go on under the same number."""
        if self._outbox is not None:
            self._outbox.trial_ended(number, state)

    def winner_is(self, record: TrialRecord) -> None:
        """The winner's generator becomes a logged model."""
        folder = self._folder.trial(record.number)
        if self._outbox is not None and any(folder.glob("generator*")):
            self._outbox.model(record.number, folder)

    def concluded(
        self, files: Mapping[str, Path], tables: Mapping[str, Mapping[str, Sequence[Any]]]
    ) -> None:
        """Tables and figures of the whole sweep belong to its run: `files` by their names there,
        and `tables`, column by column, that MLflow is to show."""
        for name, path in files.items():
            self._file(SWEEP, path, name)
        if self._outbox is not None:
            for name, columns in tables.items():
                self._outbox.table(name, columns)

    def sweep_ended(self, state: SweepEnding, message: str) -> None:
        """The driver stops."""
        if self._outbox is not None:
            self._outbox.sweep_ended(state, note=message)

    def _file(self, number: int, path: Path, name: str) -> None:
        if self._outbox is not None and path.is_file():
            self._outbox.artifact(number, path, name)


def _seen(symptoms: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Tags for symptoms (name, step), each with the step at which it last set in."""
    return {f"sweeper.symptom.{name}": str(step) for name, step in symptoms}


def _explained(symptoms: Iterable[tuple[str, int]], notes: Mapping[str, str]) -> list[Seen]:
    """Symptoms (name, step) for a reader, each at the step at which it last set in."""
    return [
        Seen(name, step, notes.get(name, ""), SYMPTOMS[name].description, SYMPTOMS[name].advice)
        for name, step in dict(symptoms).items()
        if name in SYMPTOMS
    ]


def _best(record: TrialRecord, sweep: Sweep) -> dict[int, dict[str, float]]:
    """The best value on the way of each objective, as `best/METRIC`, at the step that had it."""
    found: dict[int, dict[str, float]] = {}
    for objective in sweep.objective:
        choose = max if objective.goal == "maximize" else min
        curve = {
            step: values[objective.metric]
            for step, values in record.metrics.items()
            if math.isfinite(values.get(objective.metric, math.nan))
        }
        if curve:
            step = choose(curve, key=curve.__getitem__)
            found.setdefault(step, {})[f"best/{objective.metric}"] = curve[step]
    return found


@cache
def _version() -> str:
    try:
        return version("gan-sweeper")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "unknown"


def resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """A trainer's configuration with its preset expanded and every default written out.

    One that the trainer refuses stays as it is: the worker is about to say why.
    """
    from trials.config import load_config
    from trials.errors import ConfigError

    try:
        return load_config(config).as_dict()
    except ConfigError:
        return dict(config)


def _tricks(config: Mapping[str, Any]) -> list[str]:
    """Names of the tricks that a raw config has on."""
    given = config.get("tricks") or {}
    return sorted(name for name, knobs in given.items() if knobs is not False and knobs is not None)
