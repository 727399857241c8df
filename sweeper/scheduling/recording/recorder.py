"""From the ledger to MLflow's outbox: each thing is said after the ledger has it.

A kill between the two is made good at the next start: `replay` says everything again that the
ledger knows, and what had been said already changes nothing.
"""

from __future__ import annotations

import platform
import time as clock
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sweeper.bucket.copies import PUBLISHED
from sweeper.bucket.place import place_of
from sweeper.causes import cause
from sweeper.foreign_parts import ForeignParts
from sweeper.home import SweepFolder
from sweeper.provenance.attempts import FILE as PROVENANCE
from sweeper.provenance.run_record import Kept
from sweeper.search.ledger import Ledger
from sweeper.standings import Standings
from sweeper.sweepfile.model import Sweep
from sweeper.tracking import sweep_run, trial_run
from sweeper.tracking.experiment import experiment_tags
from sweeper.tracking.names import (
    NOTE_TAG,
    PAGE_TAG,
    PROTOCOL_PREFIX,
    PUBLISHED_TAG,
    SWEEP,
    SweepEnding,
    TrialEnding,
)
from sweeper.tracking.notes import Seen, page_of, sweep_note, trial_note
from sweeper.tracking.outbox import Outbox
from sweeper.trial import Evaluation, Symptom, Trial
from trials.state.names import ANY_GENERATOR

CONFIG_FILE = "config.json"
"""In a trial's folder and among its run's artifacts: its whole configuration."""

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
        foreign: ForeignParts = ForeignParts(),  # noqa: B008 - it is frozen
    ) -> None:
        self._parts = {"sweeper.parts": str(foreign)} if foreign.as_dict() else {}
        self._page = page_of(sweep.name)
        self._resolve = resolve
        self._sweep = sweep
        self._folder = folder
        self._outbox = outbox
        self._symptoms: dict[int, dict[str, Symptom]] = {}
        self._best = sweep_run.BestSoFar(sweep)
        self._winner: Trial | None = None
        self._modelled: int | None = None

    def sweep_started(self, study: str) -> None:
        """The sweep's own run is opened, or reopened."""
        if self._outbox is None:
            return
        sweep = self._sweep
        tags = {
            "sweeper.role": "sweep",
            "sweeper.version": _version(),
            "sweeper.fingerprint": sweep.fingerprint,
            "sweeper.sampler": None if sweep.ablation else sweep.search.name,
            "sweeper.scheduler": sweep.scheduler.name,
            "sweeper.design": sweep.ablation and sweep.ablation.part.key,
            "sweeper.objective": ", ".join(f"{one.goal} {one.metric}" for one in sweep.objective),
            "sweeper.host": platform.node(),
            PAGE_TAG: self._page,
            **self._parts,
        }
        note = sweep_note(sweep, page=self._page)
        self._outbox.sweep_started(sweep.name, study=study, tags=tags, note=note)
        self._outbox.experiment(experiment_tags(sweep, note))
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
                    self.reopened(trial.number)
                self.trial_started(trial, trial.started)
                for evaluation in trial.evaluations:
                    self.evaluated(trial.number, evaluation)
                if trial.over:
                    self._ended(trial)
                    self.scored(trial)
                    self.stays(trial.number, PUBLISHED)
                else:
                    self.trial_paused(trial.number, "interrupted")
            over = (trial for trial in ledger.trials() if trial.over)
            for trial in sorted(over, key=lambda trial: (trial.ended or 0.0, trial.number)):
                self._best_so_far(trial)

    def trial_started(self, trial: Trial, time: float | None = None) -> None:
        """A worker has taken the trial up."""
        if self._outbox is None:
            return
        config = self._resolve(trial.config)
        tags = {
            **trial_run.tags_of(trial, self._sweep, config),
            "sweeper.version": _version(),
            PAGE_TAG: page_of(self._sweep.name, trial.number),
            PUBLISHED_TAG: f"{place}/{trial.name}" if (place := place_of(self._folder)) else None,
            **self._parts,
        }
        self._outbox.trial_started(
            trial.number,
            name=trial_run.run_name(trial, self._sweep, config),
            params=trial_run.parameters_of(trial, config),
            tags=tags,
            parent=trial.of,
            time=time,
        )

    def evaluated(self, number: int, evaluation: Evaluation) -> None:
        """An evaluation is in the ledger."""
        if self._outbox is None:
            return
        folder = self._folder.trial(number)
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
                self._file(number, folder / evaluation.samples, evaluation.samples)
            self._file(number, folder / CONFIG_FILE, CONFIG_FILE)

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
        if self._outbox is not None:
            with self._outbox.batch():
                self._ended(trial)
                self._best_so_far(trial)

    def _ended(self, trial: Trial) -> None:
        assert self._outbox is not None
        self._symptoms.pop(trial.number, None)
        state: TrialEnding = trial.state  # type: ignore[assignment]
        folder, goal = self._folder.trial(trial.number), self._sweep.objective[0]
        tags = {**trial_run.end_tags_of(trial), **_seen(trial.symptoms)}
        why = cause(trial.cause) if trial.cause else None
        note = trial_note(
            number=trial.number,
            sweep=self._sweep.name,
            state=trial.state,
            steps=trial.steps,
            metric=goal.metric,
            value=trial.objective[0] if trial.objective else trial.best(goal.metric, goal.goal),
            values=trial.values,
            of=trial.of,
            cause=trial.cause,
            meaning=why.meaning if why else "",
            reason=trial.reason,
            advice=why.advice if why else "",
            log_tail=trial.log_tail,
            page=page_of(self._sweep.name, trial.number),
            seen=_explained(symptom for symptom in trial.symptoms if symptom.name != trial.cause),
        )
        for step, values in _best(trial, self._sweep).items():
            self._outbox.evaluated(trial.number, step, values, trial.ended or clock.time())
        for name in (CONFIG_FILE, "log.txt", PROVENANCE):
            self._file(trial.number, folder / name, name)
        self._outbox.trial_ended(trial.number, state, tags=tags, note=note, time=trial.ended)

    def stays(self, number: int, name: str) -> None:
        """A file of a trial that is over stays: its run has it too."""
        self._file(number, self._folder.trial(number) / name, name)

    def let_go(self, number: int, names: Collection[str]) -> None:
        """Files of a trial that is over go, and its run's copies; where others lie is told anew."""
        if self._outbox is not None:
            model = any(name.startswith(ANY_GENERATOR) for name in names)
            self._outbox.let_go(number, {PUBLISHED, *names}, model=model)

    def _best_so_far(self, trial: Trial) -> None:
        assert self._outbox is not None
        over, best = self._best.ended(trial)
        self._outbox.sweep_measured(best, over, trial.ended)

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
        """The trial, which had ended, is tried again: its files will be others."""
        if self._outbox is not None:
            self._outbox.reopened(number)
            self._outbox.let_go(number, [PUBLISHED])

    def trial_paused(self, number: int, state: TrialEnding) -> None:
        """The trial is paused and will go on under the same number."""
        if self._outbox is not None:
            self._outbox.trial_ended(number, state)

    def winner_is(self, trial: Trial) -> None:
        """The winner's generator becomes a logged model, its weights an artifact; once a run."""
        if trial.number == self._modelled:
            return
        self._modelled, folder = trial.number, self._folder.trial(trial.number)
        kept = sorted(folder.glob("generator*"))
        if self._outbox is not None and kept:
            self._outbox.model(trial.number, folder)
            for file in kept:
                self._file(trial.number, file, file.name)

    def concluded(
        self,
        files: Mapping[str, Path],
        tables: Mapping[str, Mapping[str, Sequence[Any]]],
        standings: Standings,
    ) -> None:
        """Tables and figures of the whole sweep belong to its run: `files` by their names there,
        and `tables`, column by column, for MLflow to show; its metrics and tags say what came of
        it."""
        self._winner = standings.best.trial if standings.best is not None else None
        for name, path in files.items():
            self._file(SWEEP, path, name)
        if self._outbox is not None:
            for name, columns in tables.items():
                self._outbox.table(name, columns)
            over = sum(trial.over for trial in standings.trials)
            self._outbox.sweep_measured(sweep_run.best_of(standings), over)
            self._outbox.sweep_measured(sweep_run.metrics_of(standings))
            self._outbox.tagged(SWEEP, sweep_run.tags_of(standings))

    def sweep_ended(self, state: SweepEnding, message: str) -> None:
        """The driver stops, for the reason or with the result in `message`."""
        if self._outbox is None:
            return
        note = sweep_note(self._sweep, found=message, winner=self._winner, page=self._page)
        with self._outbox.batch():
            self._outbox.sweep_ended(state, note=note)
            self._outbox.experiment(experiment_tags(self._sweep, note))

    def _file(self, number: int, path: Path, name: str) -> None:
        if self._outbox is not None and path.is_file():
            self._outbox.artifact(number, path, name)


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
