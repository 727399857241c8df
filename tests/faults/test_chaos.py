"""A tormented sweep is whole; and the auditor that says so sees what is planted for it."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.faults.chaos.auditor import study_of
from tests.faults.chaos.stage import Setting
from tests.faults.chaos.torment import Chaos

KIND = "search"


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Chaos:
    return Chaos(tmp_path_factory.mktemp("chaos"), random.Random(5), postgres="", trials=8)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_is_whole_whatever_befalls_it(tmp_path: Path) -> None:
    # Long enough that six faults meet it however quick the machine is.
    chaos = Chaos(tmp_path, random.Random(5), postgres="", trials=16)
    assert chaos.torment(Setting(KIND, "sqlite", 1), 6) == []
    assert len(chaos.faults) == 6
    assert chaos.audited == 16 + 2 * 3  # and on two seeds the best two and the base


def change_the_record(statement: str) -> Callable[[Path, list[FrozenTrial]], None]:
    def change(home: Path, trials: list[FrozenTrial]) -> None:
        with sqlite3.connect(home / "mlflow.db") as database:
            assert database.execute(statement).rowcount > 0

    return change


def lose_a_picture(home: Path, trials: list[FrozenTrial]) -> None:
    next((home / KIND / "trials" / "00003" / "samples").glob("*.png")).unlink()


def leave_a_file(home: Path, trials: list[FrozenTrial]) -> None:
    (home / KIND / ".spec.json.123.tmp").touch()


def lose_a_trial(home: Path, trials: list[FrozenTrial]) -> None:
    del trials[4]


def run_one_twice(home: Path, trials: list[FrozenTrial]) -> None:
    again = deepcopy(trials[2])
    again.number = len(trials)
    trials.append(again)


def lose_an_evaluation(home: Path, trials: list[FrozenTrial]) -> None:
    del trials[1].intermediate_values[10]


def tell_another_value(home: Path, trials: list[FrozenTrial]) -> None:
    trials[1].values = [0.5]


def leave_one_running(home: Path, trials: list[FrozenTrial]) -> None:
    trials[5].state = TrialState.RUNNING


PLANTED = {
    "a run in MLflow that has not ended": change_the_record(
        "UPDATE runs SET status = 'RUNNING' WHERE rowid = 3"
    ),
    "a run in MLflow that is not there": change_the_record(
        "UPDATE runs SET lifecycle_stage = 'deleted' WHERE rowid = 3"
    ),
    "two runs of one trial": change_the_record(
        "UPDATE tags SET value = '00001' WHERE key = 'sweeper.trial' AND value = '00002'"
    ),
    "another value in MLflow": change_the_record(
        "UPDATE metrics SET value = value + 1e-6 WHERE key = 'fid' AND step = 10"
    ),
    "a picture lost": lose_a_picture,
    "a file left": leave_a_file,
    "a trial lost": lose_a_trial,
    "a trial run twice": run_one_twice,
    "an evaluation lost": lose_an_evaluation,
    "another value told": tell_another_value,
    "a trial left running": leave_one_running,
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("planted", PLANTED)
def test_the_auditor_sees_what_is_wrong(planted: str, chaos: Chaos, tmp_path: Path) -> None:
    chaos.undisturbed(KIND)
    home = Path(shutil.copytree(chaos.folder / f"{KIND}-undisturbed", tmp_path / "copy"))
    trials = study_of(KIND, home).get_trials()
    assert chaos.auditor.findings(KIND, home, trials) == []
    PLANTED[planted](home, trials)
    assert chaos.auditor.findings(KIND, home, trials)
