"""From the ledger to MLflow's outbox: each thing is said after the ledger has it.

A kill between the two is made good at the next start: `replay` says everything again that the
ledger knows, and what had been said already changes nothing.
"""

from __future__ import annotations

import platform
import time as clock
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sweeper.causes import cause
from sweeper.company import Company
from sweeper.home import SweepFolder
from sweeper.provenance.attempts import FILE as PROVENANCE
from sweeper.provenance.run_record import Kept
from sweeper.search.ledger import Ledger
from sweeper.standings import Standings
from sweeper.standings.against_base import against_base
from sweeper.standings.verdict import verdict_in_words
from sweeper.sweepfile.model import Sweep
from sweeper.tracking.names import (
    NOTE_TAG,
    PAGE_TAG,
    PROTOCOL_PREFIX,
    SWEEP,
    SweepEnding,
    TrialEnding,
)
from sweeper.tracking.notes import Seen, in_markdown, page_of, trial_note
from sweeper.tracking.outbox import Outbox
from sweeper.trial import Evaluation, Symptom, Trial

Resolve = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Recorder:
    """Says what happens in one sweep; without an outbox, nowhere.

    `resolve` turns a trial's raw config into the one that is recorded.
    """

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        outbox: Outbox | None,
        resolve: Resolve = dict,
        company: Company = Company(),  # noqa: B008 - it is frozen
    ) -> None:
        self._parts = {"sweeper.parts": str(company)} if company.as_dict() else {}
        self._page = page_of(sweep.name)
        self._resolve = resolve
        self._sweep = sweep
        self._folder = folder
        self._outbox = outbox
        self._symptoms: dict[int, dict[str, Symptom]] = {}

    def sweep_started(self, study: str) -> None:
        """The sweep's own run is opened, or reopened."""
        if self._outbox is None:
            return
        sweep = self._sweep
        tags = {
            "sweeper.version": _version(),
            "sweeper.fingerprint": sweep.fingerprint,
            "sweeper.sampler": sweep.search.name,
            "sweeper.scheduler": sweep.scheduler.name,
            "sweeper.objective": ", ".join(
                f"{objective.goal} {objective.metric}" for objective in sweep.objective
            ),
            "sweeper.host": platform.node(),
            PAGE_TAG: self._page,
            **self._parts,
        }
        note = "\n\n".join(filter(None, (sweep.description, in_markdown(self._page))))
        self._outbox.sweep_started(
            sweep.name, study=study, params=sweep.to_dict(), tags=tags, note=note
        )
        self._file(SWEEP, self._folder.sweep_yaml, "sweep.yaml")

    def made_of(self, kept: Kept) -> None:
        """What the sweep is run with is written down: its run has that, too."""
        for name, path in kept.files.items():
            self._file(SWEEP, path, name)
        if self._outbox is not None:
            self._outbox.tagged(SWEEP, kept.tags)

    def replay(self, ledger: Ledger) -> None:
        """Say everything that the ledger knows."""
        if self._outbox is None:
            return
        with self._outbox.batch():
            for trial in ledger.trials():
                if trial.attempts == 0 and not trial.over:
                    continue
                if not trial.over:  # it may have failed before, and been told so
                    self._outbox.reopened(trial.number)
                self.trial_started(trial, trial.started)
                for evaluation in trial.evaluations:
                    self.evaluated(trial.number, evaluation)
                if trial.over:
                    self.trial_ended(trial)
                    self.scored(trial)
                else:
                    self.trial_paused(trial.number, "interrupted")

    def trial_started(self, trial: Trial, time: float | None = None) -> None:
        """A worker has taken the trial up."""
        if self._outbox is None:
            return
        config = self._resolve(trial.config)
        tags = {
            "sweeper.role": trial.role,
            "sweeper.tricks": ",".join(_tricks(config)),
            "sweeper.version": _version(),
            "sweeper.of": None if trial.of is None else f"{trial.of:05d}",
            PAGE_TAG: page_of(self._sweep.name, trial.number),
            **self._parts,
        }
        self._outbox.trial_started(
            trial.number, params=config, tags=tags, parent=trial.of, time=time
        )

    def evaluated(self, number: int, evaluation: Evaluation) -> None:
        """An evaluation is in the ledger."""
        if self._outbox is None:
            return
        with self._outbox.batch():
            self._outbox.evaluated(number, evaluation.step, evaluation.metrics, evaluation.time)
            if evaluation.protocol:
                self._outbox.tagged(
                    number,
                    {PROTOCOL_PREFIX + key: value for key, value in evaluation.protocol.items()},
                )
            if evaluation.symptoms:
                self._warned(number, evaluation)
            if evaluation.samples:
                self._file(
                    number, self._folder.trial(number) / evaluation.samples, evaluation.samples
                )

    def _warned(self, number: int, evaluation: Evaluation) -> None:
        """The run's note tells all symptoms so far: MLflow keeps one note a run."""
        assert self._outbox is not None
        so_far = self._symptoms.setdefault(number, {})
        for symptom in evaluation.symptoms:
            so_far[symptom.name] = symptom
        note = trial_note(
            number=number,
            sweep=self._sweep.name,
            steps=evaluation.step,
            seen=_explained(so_far.values()),
        )
        self._outbox.tagged(number, {**_seen(so_far.values()), NOTE_TAG: note})

    def trial_ended(self, trial: Trial) -> None:
        """The trial has its final state."""
        if self._outbox is None:
            return
        self._symptoms.pop(trial.number, None)
        state: TrialEnding = trial.state  # type: ignore[assignment]
        folder, goal = self._folder.trial(trial.number), self._sweep.objective[0]
        tags = {"sweeper.symptom": trial.symptom}
        tags |= _seen(trial.symptoms)
        why = cause(trial.symptom) if trial.symptom else None
        note = trial_note(
            number=trial.number,
            sweep=self._sweep.name,
            state=trial.state,
            steps=trial.steps,
            metric=goal.metric,
            value=trial.objective[0] if trial.objective else trial.best(goal.metric, goal.goal),
            values=trial.values,
            of=trial.of,
            symptom=trial.symptom,
            meaning=why.meaning if why else "",
            reason=trial.reason,
            advice=why.advice if why else "",
            log_tail=trial.log_tail,
            page=page_of(self._sweep.name, trial.number),
            seen=_explained(symptom for symptom in trial.symptoms if symptom.name != trial.symptom),
        )
        with self._outbox.batch():
            for step, values in _best(trial, self._sweep).items():
                self._outbox.evaluated(trial.number, step, values, trial.ended or clock.time())
            for name in ("config.json", "checkpoint.pt", "log.txt", PROVENANCE):
                self._file(trial.number, folder / name, name)
            self._outbox.trial_ended(trial.number, state, tags=tags, note=note, time=trial.ended)

    def scored(self, trial: Trial) -> None:
        """The trial has won, and its generator was measured once more."""
        if self._outbox is None or trial.final is None:
            return
        final = trial.final
        with self._outbox.batch():
            self._outbox.evaluated(
                trial.number, final.step, final.metrics, trial.ended or clock.time()
            )
            self._outbox.tagged(
                trial.number,
                {f"protocol.final.{key}": value for key, value in final.protocol.items()},
            )

    def reopened(self, number: int) -> None:
        """The trial, which had ended, is tried again."""
        if self._outbox is not None:
            self._outbox.reopened(number)

    def trial_paused(self, number: int, state: TrialEnding) -> None:
        """The trial is paused and will go on under the same number."""
        if self._outbox is not None:
            self._outbox.trial_ended(number, state)

    def winner_is(self, trial: Trial) -> None:
        """The winner's generator becomes a logged model."""
        folder = self._folder.trial(trial.number)
        if self._outbox is not None and any(folder.glob("generator*")):
            self._outbox.model(trial.number, folder)

    def concluded(
        self,
        files: Mapping[str, Path],
        tables: Mapping[str, Mapping[str, Sequence[Any]]],
        standings: Standings,
    ) -> None:
        """Tables and figures of the whole sweep belong to its run: `files` by their names there,
        and `tables`, column by column, for MLflow to show; its tags say whether the winner beats
        the base."""
        for name, path in files.items():
            self._file(SWEEP, path, name)
        if self._outbox is not None:
            for name, columns in tables.items():
                self._outbox.table(name, columns)
            self._outbox.tagged(SWEEP, _verdict(standings))

    def sweep_ended(self, state: SweepEnding, message: str) -> None:
        """The driver stops."""
        if self._outbox is not None:
            self._outbox.sweep_ended(state, note=message)

    def _file(self, number: int, path: Path, name: str) -> None:
        if self._outbox is not None and path.is_file():
            self._outbox.artifact(number, path, name)


def _verdict(standings: Standings) -> dict[str, Any]:
    """Tags of the sweep's run; none without a base."""
    words, found = verdict_in_words(standings), against_base(standings)
    if not words:
        return {}
    tags: dict[str, Any] = {"sweeper.verdict": words, "sweeper.confirmed": False}
    if found is not None:
        tags["sweeper.confirmed"] = found.confirmed
        tags |= {f"sweeper.against_base.{one.metric}": one.shown for one in found.differences}
    return tags


def _seen(symptoms: Iterable[Symptom]) -> dict[str, str]:
    """Tags for symptoms, each with the step at which it last set in."""
    return {f"sweeper.symptom.{symptom.name}": str(symptom.step) for symptom in symptoms}


def _explained(symptoms: Iterable[Symptom]) -> list[Seen]:
    """Symptoms for a reader, each as it last set in."""
    return [
        Seen(name, symptom.step, symptom.note, cause(name).meaning, cause(name).advice)
        for name, symptom in {symptom.name: symptom for symptom in symptoms}.items()
    ]


def _best(trial: Trial, sweep: Sweep) -> dict[int, dict[str, float]]:
    """The best value on the way of each objective, as `best/METRIC`, at the step that had it."""
    by_step: dict[int, dict[str, float]] = {}
    for objective in sweep.objective:
        curve = trial.curve(objective.metric)
        if curve:
            choose = max if objective.goal == "maximize" else min
            step = choose(curve, key=curve.__getitem__)
            by_step.setdefault(step, {})[f"best/{objective.metric}"] = curve[step]
    return by_step


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
