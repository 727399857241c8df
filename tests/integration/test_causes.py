"""Every cause of a trial's end, made to happen in one sweep of real trainings on real Ray.

All rooms must tell the same of it: study, MLflow, command line, page and table. The tests run over
the registry, so that a cause without a way to make it happen fails here.
"""

from __future__ import annotations

import html
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from sweeper.api import SweepResult
from sweeper.api import run as run_sweep
from sweeper.causes import Cause, causes, to_blame
from sweeper.cli.main import run as command
from sweeper.errors import BucketAway
from sweeper.home import Home, SweepFolder
from sweeper.results import dataset_of, main_table
from sweeper.scheduling.conducting.steering import Order, Pulse, Steering
from sweeper.search.samplers.grid import Grid
from sweeper.search.stopping.asha import Asha
from sweeper.sweepfile.domains import Parameter, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.tracking.names import NOTE_TAG, STATUS
from sweeper.tracking.runs import find_runs
from sweeper.trial import Evaluation, Trial
from trials.config import load_config
from trials.errors import DataError
from trials.health import Sign
from trials.trainer import Training, train

pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]

STEPS = 40
RUNG = 30
"""The scheduler decides here, when every sign has been seen."""

BASE: Mapping[str, Any] = {
    "data": {"name": "ring"},
    "steps": STEPS,
    "batch_size": 32,
    "evaluation": {"every": 2, "samples": 64, "metrics": ["fid"], "grid": 4},
}
AT_ONCE = {"persistence": 1, "progress": 0.99}


def rates(generator: float, discriminator: float) -> dict[str, Any]:
    return {"generator": {"lr": generator}, "discriminator": {"lr": discriminator}}


SIGNS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "divergence": ({"persistence": 1, "score": 1e-9}, rates(1e-3, 1e-3)),
    "convergence_failure": ({**AT_ONCE, "certain": 0.51, "poor": 0.0}, rates(1e-6, 2e-2)),
    "diminished_gradient": (
        {**AT_ONCE, "fall": 0.999, "certain": 0.51, "poor": 0.0},
        rates(1e-6, 2e-2),
    ),
    "mode_collapse": ({**AT_ONCE, "diversity": 0.999, "coverage": 0.999}, rates(1e-3, 1e-3)),
    "oscillation": ({**AT_ONCE, "persistence": 3, "jump": 1e-9}, rates(1e-3, 1e-3)),
    "past_best": ({"persistence": 1, "margin": 1e-9, "least": 0.0}, rates(1e-2, 1e-3)),
}
"""Thresholds at which a small training shows each sign, and learning rates that bring it about."""


def signed(name: str) -> dict[str, Any]:
    """The config of a training that one sign stops."""
    thresholds, optimizer = SIGNS[name]
    health = {"stop_on": [name], name: thresholds}
    return {**BASE, "optimizer": optimizer, "health": health}


class Raising(Training):
    def advance(self) -> Evaluation:
        raise RuntimeError("it raised")


class Greedy(Training):
    def advance(self) -> Evaluation:
        torch.empty(1 << 50)  # a petabyte, which every machine refuses
        return super().advance()


class Blind(Training):
    def advance(self) -> Evaluation:
        raise DataError("there are no pictures any more")


class Broken(Training):
    def advance(self) -> Evaluation:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered")


class Adrift(Training):
    def advance(self) -> Evaluation:
        raise BucketAway("cannot write commits/1.json in s3://lab/sweeps: no answer")


class Dying(Training):
    def advance(self) -> Evaluation:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().advance()


class Hanging(Training):
    def advance(self) -> Evaluation:
        time.sleep(3600)
        return super().advance()


class Lingering(Training):
    def advance(self) -> Evaluation:
        time.sleep(1.0)
        return super().advance()


class Asking(Steering):
    """Somebody stops the trial that lingers."""

    def __init__(self, folder: SweepFolder) -> None:
        super().__init__(folder)
        self.at_work: tuple[int, ...] = ()

    def beat(self, pulse: Pulse) -> None:
        self.at_work = pulse.at_work

    def orders(self) -> list[Order]:
        number = TROUBLES.index("stopped_by_hand")
        wanted = number in self.at_work
        return [Order("an order", "stop", number, reason="it lingers")] if wanted else []


OWN: Mapping[str, tuple[type[Training], Mapping[str, Any]]] = {
    "worker_died": (Dying, {}),
    "no_progress": (Hanging, {}),
    "device_fault": (Broken, {}),
    "bucket_away": (Adrift, {}),
    "unreadable": (Blind, {}),
    "stopped_by_hand": (Lingering, {}),
    "none": (Training, {}),
    "error": (Raising, {}),
    "out_of_memory": (Greedy, {}),
    "scheduler": (Training, {"optimizer": rates(0.3, 1e-6)}),  # far worse than `none` at the rung
}

TROUBLES = (
    *(
        "worker_died",
        "no_progress",
        "device_fault",
        "bucket_away",
        "unreadable",
        "stopped_by_hand",
        "none",
        "error",
        "out_of_memory",
    ),
    *SIGNS,
    "scheduler",
)
"""In the order of their trials: at its rung the last one meets one that was there before it."""

SWEEP = Sweep(
    name="ends",
    base=BASE,
    parameters=(Parameter("trouble", Values(TROUBLES)),),
    search=Grid.Config(start_with_base=False),
    scheduler=Asha.Config(grace_steps=RUNG),
    limits=Limits(parallel=2, trial_silence=20),
)


def troubled(config: Mapping[str, Any], folder: Path, cache: Path) -> Training:
    """A real training to which the trouble that its config names will happen."""
    name = config.get("trouble", "none")
    if name in SIGNS:
        return Training(load_config(signed(name)), folder, cache=cache)
    kind, changes = OWN[name]
    return kind(load_config({**BASE, **changes, "health": {"stop_on": []}}), folder, cache=cache)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def swept(home: Home) -> SweepResult:
    with (
        mock.patch("sweeper.scheduling.conducting.steering.Steering", Asking),
        mock.patch("sweeper.scheduling.conducting.setbacks.REST", 0.1),
        # There is no device to give back.
        mock.patch("sweeper.scheduling.machines.devices.LET_GO", 0.0),
    ):
        result = run_sweep(SWEEP, home=home.path, factory=troubled)
    assert (result.state, result.exit_code) == ("incomplete", 1)
    assert "5 trials failed for reasons outside" in result.message
    assert [trial.values["trouble"] for trial in result.trials] == list(TROUBLES)
    return result


@pytest.fixture(params=causes())
def cause(request: pytest.FixtureRequest) -> Cause:
    return causes()[request.param]


@pytest.fixture
def ended(swept: SweepResult, cause: Cause) -> Trial:
    return swept.trials[TROUBLES.index(cause.name)]


def test_the_study_has_the_state_and_the_name_of_each_cause(ended: Trial, cause: Cause) -> None:
    assert (ended.state, ended.cause) == (cause.ends_as, cause.name)
    assert ended.objective is None
    assert ended.reason
    assert to_blame(ended.state, ended.cause) == cause.blames


def test_mlflow_has_the_same_state_name_and_words(ended: Trial, cause: Cause, home: Home) -> None:
    runs = find_runs(f"sqlite:///{home.path}/mlflow.db", SWEEP.name)
    [run] = [run for run in runs if run["tags"]["sweeper.trial"] == ended.name]
    assert run["status"] == STATUS[cause.ends_as]
    assert run["tags"]["sweeper.symptom"] == cause.name
    note = run["tags"][NOTE_TAG]
    assert f"**{cause.name}**. {cause.meaning}" in note
    assert cause.advice in note


def test_the_command_line_tells_the_same(
    ended: Trial, cause: Cause, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["show", SWEEP.name, str(ended.number), "--home", str(home.path)]) == 0
    shown = capsys.readouterr().out
    assert f"{cause.ends_as} ({cause.name}: " in shown
    assert cause.words in shown
    assert command(["status", SWEEP.name, "--json", "--home", str(home.path)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["symptoms"][cause.name] == 1
    saved = STEPS - ended.steps
    assert status["steps_saved"].get(cause.name, 0) == (saved if cause.saves else 0)


def test_the_page_tells_the_same(swept: SweepResult, ended: Trial, cause: Cause) -> None:
    page = html.unescape(swept.report.read_text())
    assert cause.words in page
    steps = f"{STEPS - ended.steps}" + ("" if cause.saves else " lost")
    assert f">{steps}<" in page


def test_the_table_counts_a_failure_where_the_configuration_is_to_blame(
    ended: Trial, cause: Cause, home: Home
) -> None:
    data = dataset_of(home.sweep(SWEEP.name), SWEEP)
    table = main_table(SWEEP, data, columns=["cell", "value", "failed"])
    texts = {column.key: column.texts for column in table.columns}
    row = texts["cell"].index(f"trial {ended.name}")
    assert (cause.name in texts["failed"][row]) == cause.blames
    if not cause.blames:
        assert texts["value"][row] == ("lost" if cause.lost else "stopped")


@pytest.mark.parametrize("name", Sign.all())
def test_a_training_alone_ends_as_it_does_in_a_sweep(name: str, tmp_path: Path) -> None:
    result = train(load_config(signed(name)), folder=tmp_path)
    assert result.symptom is not None
    assert result.symptom.name == name
    assert (result.state == "failed") == (causes()[name].ends_as == "failed")
