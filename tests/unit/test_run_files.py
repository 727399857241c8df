"""What a run of a sweep writes beside its ledger, and what a kill between two writes leaves."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sweeper import api, results
from sweeper.changed_meanings import known, reread
from sweeper.errors import UserError
from sweeper.home import Home, Request, SweepFolder
from sweeper.scheduling import run as run_module
from sweeper.scheduling.recording import conclusion
from sweeper.scheduling.recording.events import Noted, Outcome
from sweeper.scheduling.recording.spec_files import going_on, keep_spec
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.tpe import Tpe
from sweeper.standings import standings_of
from sweeper.sweepfile import load_sweep
from sweeper.sweepfile.absolute import with_absolute_paths
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.load import read_stored
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits

SWEEP = Sweep(
    name="probe",
    base={"steps": 4},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    search=Tpe.Config(start_with_base=False),
    limits=Limits(trials=3),
)
ONE = replace(SWEEP, limits=Limits(trials=1))
GIVEN = """
name: probe     # my own words
base:
  data: {name: ring}
  steps: 40
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-5, max: 1.0e-2}
limits: {trials: 3}
"""


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
    path.write_text(GIVEN)
    return path


def keep(sweep: Sweep, folder: SweepFolder, source: Path) -> None:
    """What a run does with the file that it was given."""
    begun = read_stored(folder.spec_json) if folder.exists() else None
    sweep = going_on(sweep, folder, begun)
    if begun is None or begun.difference(sweep):
        keep_spec(sweep, folder, source)


def test_the_kept_file_may_be_run_again_with_more_trials(folder, file):
    sweep = load_sweep(file)
    longer = replace(sweep, limits=Limits(trials=5))
    keep(sweep, folder, file)
    keep(longer, folder, folder.sweep_yaml)
    assert load_sweep(folder.sweep_yaml) == longer
    assert json.loads(folder.spec_json.read_text())["limits"]["trials"] == 5


@pytest.mark.parametrize("kill_at", [1, 2])
def test_a_kill_between_spec_and_file_leaves_no_old_file_beside_a_new_spec(
    folder, file, kill_at, monkeypatch
):
    keep(load_sweep(file), folder, file)
    given = GIVEN.replace("trials: 3", "trials: 5")
    file.write_text(given)
    longer = load_sweep(file)
    transitions = []

    def replaced(source: str, place: str, move=os.replace) -> None:
        transitions.append(place)
        if len(transitions) == kill_at:
            raise Killed
        move(source, place)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replaced)
        with pytest.raises(Killed):
            keep(longer, folder, file)
    keep(longer, folder, file)
    assert folder.sweep_yaml.read_text() == given
    assert json.loads(folder.spec_json.read_text()) == json.loads(json.dumps(longer.to_dict()))


# A disk that takes nothing -----------------------------------------------------------------------


def full(*given: Any, **named: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device", "leaderboard.csv")


def test_a_home_that_cannot_be_written_is_answered_with_its_place(tmp_path):
    folder = Home.at(tmp_path).sweep("probe")
    folder.path.write_text("a file where a folder should be")
    with pytest.raises(UserError, match=f"cannot write {folder.path}: File exists"), folder.lock():
        pass


@pytest.mark.parametrize("what", ["spec", "request"])
def test_a_full_disk_is_answered_with_its_place(what, folder, file, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=f"cannot write in {folder.path}: No space left on device"):
        keep(SWEEP, folder, file) if what == "spec" else folder.ask(Request.PAUSE)
    assert not folder.control.exists()
    assert not folder.exists()


def test_a_report_that_finds_no_room_does_not_take_the_sweep_down(folder, monkeypatch):
    ledger = Ledger.open(ONE, folder)
    ledger.ask()
    ledger.complete(0, [1.0])
    home = Home(folder.path.parent)
    with monkeypatch.context() as patch:
        patch.setattr(conclusion, "write_report", full)
        outcome = run_module.run(ONE, home, record=False)
    assert outcome.state == "failed"
    assert "leaderboard.csv" in outcome.message
    assert "run the sweep again" in outcome.message
    assert [one.state for one in outcome.trials] == ["completed"]
    assert run_module.run(ONE, home, record=False).state == "finished"


def test_a_home_that_may_only_be_read_still_has_its_tables(folder, monkeypatch):
    ledger = Ledger.open(ONE, folder)
    ledger.ask()
    ledger.complete(0, [1.0])
    monkeypatch.setattr(results, "write_dataset", full)
    assert results.dataset_of(folder, ONE)["state"].to_pylist() == ["completed"]


def test_a_result_names_its_report_also_where_that_found_no_room(folder, monkeypatch):
    outcome = Outcome("failed", "no space left", folder.path, standings_of(ONE, ()))
    monkeypatch.setattr(api, "run_lasting", lambda *given, **named: outcome)
    monkeypatch.setattr("sweeper.report.write_report", full)
    result = api.run(ONE, home=folder.path.parent)
    assert (result.state, result.exit_code) == ("failed", 1)
    assert result.report == folder.report / "report.html"


# What the kept file says -------------------------------------------------------------------------


def test_the_file_is_kept_as_it_was_given(folder, file):
    keep(load_sweep(file), folder, file)
    assert folder.sweep_yaml.read_text() == GIVEN


@pytest.mark.parametrize("override", ["limits.trials=5", "base.steps=80"])
def test_the_kept_file_goes_on_with_a_sweep_that_had_more_set(folder, file, override):
    sweep = load_sweep(file, [override])
    keep(sweep, folder, file)
    assert load_sweep(folder.sweep_yaml) == sweep
    assert folder.sweep_yaml.read_text().startswith("# mine.yaml, and what was set beside it\n")
    keep(sweep, folder, folder.sweep_yaml)
    assert load_sweep(folder.sweep_yaml) == sweep


def test_the_kept_file_goes_on_where_the_given_one_is_wrong_alone(folder, file):
    file.write_text(GIVEN.replace("steps: 40", "steps: 0  # to be set"))
    sweep = load_sweep(file, ["base.steps=40"])
    keep(sweep, folder, file)
    assert load_sweep(folder.sweep_yaml) == sweep


def test_a_sweep_that_came_without_a_file_has_one_to_go_on_by(folder, file):
    sweep = load_sweep(file)
    longer = replace(sweep, limits=Limits(trials=5))
    keep_spec(sweep, folder, None)
    assert load_sweep(folder.sweep_yaml) == sweep
    keep_spec(longer, folder, Path("/dev/stdin/gone"), sweep)
    assert load_sweep(folder.sweep_yaml) == longer
    folder.sweep_yaml.unlink()  # one that an earlier version began
    keep_spec(longer, folder, None, longer)
    assert load_sweep(folder.sweep_yaml) == longer


def test_a_sweep_that_goes_on_without_its_file_keeps_that(folder, file):
    sweep = load_sweep(file)
    keep_spec(sweep, folder, file)
    keep_spec(sweep, folder, None, sweep)
    assert folder.sweep_yaml.read_text() == GIVEN
    longer = replace(sweep, limits=Limits(trials=5))
    keep_spec(longer, folder, None, sweep)
    assert load_sweep(folder.sweep_yaml) == longer


def test_workers_in_other_folders_find_what_a_base_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = {
        "steps": 4,
        "data": {"name": "idx", "path": "mnist", "labels": None},
        "evaluation": {"every": 2, "extractor": {"name": "inception", "weights": "w.pth"}},
    }
    assert with_absolute_paths(base) == {
        "steps": 4,
        "data": {"name": "idx", "path": str(tmp_path / "mnist"), "labels": None},
        "evaluation": {
            "every": 2,
            "extractor": {"name": "inception", "weights": str(tmp_path / "w.pth")},
        },
    }
    for plain in ({"data": "digits"}, {"evaluation": {"extractor": "digits"}}, {}):
        assert with_absolute_paths(plain) == plain


@pytest.mark.parametrize("resume", [False, True])
def test_a_pause_that_outlived_its_driver_is_told_at_once_and_ended_where_it_is_asked(
    resume, tmp_path, monkeypatch
):
    home, events = Home.at(tmp_path), []
    folder = home.sweep(ONE.name)
    folder.create()
    folder.ask(Request.PAUSE)
    told: list[list[str]] = []

    def wait_for_ray(tuning: object) -> None:
        told.append([event.message for event in events if isinstance(event, Noted)])

    monkeypatch.setattr(run_module.Tuning, "run", wait_for_ray)
    run_module.run(ONE, home, events=events.append, record=False, report=False, unpause=resume)
    if resume:
        assert told == [[]]
        assert folder.asked() is None
    else:
        ((said,),) = told
        assert f"`sweeper resume probe --home {tmp_path}`" in said
        assert "--resume" in said
        assert folder.asked() is Request.PAUSE


def test_who_goes_on_with_a_sweep_under_another_reading_is_told_once_in_a_sentence(
    tmp_path, monkeypatch
):
    """A version that kept no readings read everything as it was read first."""
    home, folder = Home.at(tmp_path), Home.at(tmp_path).sweep(ONE.name)
    folder.create()
    old = replace(ONE, base={"preset": "progan", "data": "digits", "tricks": {"r1": True}})
    Ledger.open(old, folder).ask()
    told: list[list[str]] = []

    def run_once() -> None:
        events: list[object] = []
        monkeypatch.setattr(run_module.Tuning, "run", lambda tuning: None)
        run_module.run(old, home, events=events.append, record=False, report=False)
        told.append([event.message for event in events if isinstance(event, Noted)])

    run_once()
    run_once()
    ((said,), again) = told
    assert "than the one that began probe: preset progan (networks as published" in said
    assert "progressive_growing (up to 512 channels" in said
    assert "r1 (the slope is that at the images" in said
    assert "begin it anew under another name" in said
    assert "r2" not in said
    assert "spectral_norm" not in said
    assert again == []
    assert reread(ONE, {}) == ""
    assert reread(old, {**known(old), "r1": 0}).count("(") == 1
