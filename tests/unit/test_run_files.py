"""What a run of a sweep writes beside its ledger, and what a kill between two writes leaves."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.home import Home, SweepFolder
from sweeper.scheduling import run as run_module
from sweeper.spec.domains import Parameter, Range
from sweeper.spec.model import Sweep
from sweeper.spec.sections import Limits

SWEEP = Sweep(
    name="probe",
    base={"steps": 4},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    limits=Limits(trials=3),
)
LONGER = replace(SWEEP, limits=Limits(trials=5))


class Killed(BaseException):
    """The driver is gone."""


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    made = Home(tmp_path).sweep("probe")
    made.create()
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text("limits: {trials: 3}\n")
    return path


def keep(sweep: Sweep, folder: SweepFolder, source: Path) -> None:
    run_module._keep_spec(sweep, folder, source)


def test_the_kept_file_may_be_run_again_with_more_trials(folder, file):
    keep(SWEEP, folder, file)
    keep(LONGER, folder, folder.sweep_yaml)
    assert folder.sweep_yaml.read_text() == "limits: {trials: 3}\n"
    assert json.loads(folder.spec_json.read_text())["limits"]["trials"] == 5


@pytest.mark.parametrize("kill_at", [1, 2])
def test_a_kill_between_spec_and_file_leaves_no_old_file_beside_a_new_spec(
    folder, file, kill_at, monkeypatch
):
    keep(SWEEP, folder, file)
    file.write_text("limits: {trials: 5}\n")
    moves = []

    def replaced(source: str, place: str, move=os.replace) -> None:
        moves.append(place)
        if len(moves) == kill_at:
            raise Killed
        move(source, place)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replaced)
        with pytest.raises(Killed):
            keep(LONGER, folder, file)
    keep(LONGER, folder, file)
    assert folder.sweep_yaml.read_text() == "limits: {trials: 5}\n"
    assert json.loads(folder.spec_json.read_text()) == json.loads(json.dumps(LONGER.to_dict()))
