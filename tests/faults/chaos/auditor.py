"""What must hold of a sweep after any faults, looked up without the product's own readers.

The study is asked through Optuna, MLflow's record through its SQLite file, and the values of each
trial are those of a training of its configuration that nothing disturbed. Every finding is one
sentence; none is the good answer.
"""

from __future__ import annotations

import json
import math
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from tests.faults.chaos.sweeps import STEPS
from trials.config import load_config
from trials.trainer import train


@dataclass
class Auditor:
    """Audits sweeps of so many `runs` before any confirmation: the budget, or cells times seeds.
    Remembers what undisturbed trainings give."""

    runs: int
    _values: dict[str, dict[int, float]] = field(default_factory=dict)

    def findings(
        self,
        kind: str,
        home: Path,
        trials: list[FrozenTrial],
        like: list[FrozenTrial] | None = None,
    ) -> list[str]:
        """Everything that is wrong with a sweep. `like` are the trials of an undisturbed one, where
        this one should have gone the same way."""
        return [
            *_of_study(kind, self.runs, trials),
            *self._of_values(trials),
            *_of_record(home, kind, trials),
            *_of_folders(home / kind, trials),
            *([] if like is None else _of_way(trials, like)),
        ]

    def _of_values(self, trials: list[FrozenTrial]) -> Iterator[str]:
        for trial in trials:
            expected = self._undisturbed(trial.user_attrs["config"])
            if _curve(trial) != expected:
                yield f"trial {trial.number} measured {_curve(trial)}, undisturbed {expected}"
            elif trial.values != [expected[STEPS[-1]]]:
                yield f"trial {trial.number} was told as {trial.values}"

    def _undisturbed(self, config: Mapping[str, Any]) -> dict[int, float]:
        key = json.dumps(config, sort_keys=True)
        if key not in self._values:
            with tempfile.TemporaryDirectory() as folder:
                history = train(load_config(config), folder=folder).history
            self._values[key] = {one.step: one.metrics["fid"] for one in history}
        return self._values[key]


def study_of(kind: str, home: Path, storage: str = "") -> optuna.Study:
    """The study, opened as Optuna's documentation says."""
    place: Any = storage or optuna.storages.JournalStorage(
        JournalFileBackend(str(home / kind / "study.journal"))
    )
    return optuna.load_study(study_name=kind, storage=place)


def _of_study(kind: str, runs: int, trials: list[FrozenTrial]) -> Iterator[str]:
    if [trial.number for trial in trials] != list(range(len(trials))):
        yield f"the numbers have gaps: {[trial.number for trial in trials]}"
    roles = Counter(trial.user_attrs.get("role") for trial in trials)
    first = len(trials) if kind == "ablation" else roles["base"] + roles["search"]
    if first != runs:
        yield f"there are {first} trials of the {kind}, not {runs}"
    for trial in trials:
        if trial.state is not TrialState.COMPLETE:
            yield f"trial {trial.number} is {trial.state.name}: {trial.user_attrs.get('end')}"
    for run, times in Counter(map(_identity, trials)).items():
        if times > 1:
            yield f"{run} was run {times} times"


def _identity(trial: FrozenTrial) -> str:
    """What makes a run another one than the rest: its configuration, as whose replicate."""
    attrs = trial.user_attrs
    owner = attrs.get("of", "") if "cell" not in attrs else attrs["cell"]["key"]
    return json.dumps([owner, attrs["config"]], sort_keys=True)


def _curve(trial: FrozenTrial) -> dict[int, float]:
    return dict(trial.intermediate_values)


def _of_record(home: Path, kind: str, trials: list[FrozenTrial]) -> Iterator[str]:
    with sqlite3.connect(f"file:{home / 'mlflow.db'}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT r.run_uuid, r.status, t.value FROM runs r JOIN tags t ON t.run_uuid ="
            " r.run_uuid AND t.key = 'sweeper.trial' WHERE r.lifecycle_stage = 'active'"
        ).fetchall()
        points = database.execute(
            "SELECT run_uuid, step, value FROM metrics WHERE key = 'fid' ORDER BY step"
        ).fetchall()
    by_tag = {f"{trial.number:05d}": trial for trial in trials}
    wanted = {"sweep", *by_tag}
    for tag, times in Counter(tag for _, _, tag in rows).items():
        if times > 1:
            yield f"MLflow has {times} runs of {tag}"
        if tag not in wanted:
            yield f"MLflow has a run of {tag}, which no study has"
    for missing in sorted(wanted - {tag for _, _, tag in rows}):
        yield f"MLflow has no run of {missing}"
    curves: dict[str, list[tuple[int, float]]] = {}
    for run, step, value in points:
        curves.setdefault(run, []).append((step, value))
    for run, status, tag in rows:
        if status != "FINISHED":
            yield f"MLflow's run of {tag} is {status}"
        if tag == "sweep" or tag not in wanted:
            continue
        expected = list(_curve(by_tag[tag]).items())
        if not _same(curves.get(run, []), expected):
            yield f"MLflow's curve of {tag} is {curves.get(run)}, the study's {expected}"


def _same(one: list[tuple[int, float]], other: list[tuple[int, float]]) -> bool:
    return [step for step, _ in one] == [step for step, _ in other] and all(
        math.isclose(a, b, rel_tol=1e-12) for (_, a), (_, b) in zip(one, other, strict=True)
    )


def _of_folders(folder: Path, trials: list[FrozenTrial]) -> Iterator[str]:
    for trial in trials:
        samples = folder / "trials" / f"{trial.number:05d}" / "samples"
        drawn = sorted(file.stem for file in samples.glob("*.png"))
        if drawn != [f"{step:06d}" for step in STEPS]:
            yield f"the pictures of trial {trial.number} are {drawn}"
    for file in folder.rglob("*"):
        if file.is_file() and ".tmp" in file.name:
            yield f"{file.relative_to(folder)} was left behind"


def _of_way(trials: list[FrozenTrial], like: list[FrozenTrial]) -> Iterator[str]:
    """A sweep of one trial at a time goes the way of an undisturbed one, whatever befalls it."""
    if len(trials) != len(like):
        yield f"there are {len(trials)} trials, undisturbed {len(like)}"
    for trial, other in zip(trials, like, strict=False):
        for what in ("role", "of", "cell", "values", "config"):
            mine, theirs = trial.user_attrs.get(what), other.user_attrs.get(what)
            if mine != theirs:
                yield f"trial {trial.number} has {what} {mine}, undisturbed {theirs}"
        if trial.values != other.values:
            yield f"trial {trial.number} came to {trial.values}, undisturbed {other.values}"


def still_there(processes: list[psutil.Process], patience: float) -> list[str]:
    """What has not gone within so many seconds, MLflow's writer aside: it may outlive a driver that
    was killed, to send what is left."""
    deadline = time.monotonic() + patience
    while True:
        left = [words for one in processes if (words := _command(one))]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _command(process: psutil.Process) -> str:
    """The command line of a process; empty for one that is gone, or may stay."""
    try:
        words = " ".join(process.cmdline()).strip()
        gone = not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return ""
    return "" if gone or "sweeper.tracking.writer" in words else words
