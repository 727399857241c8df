"""A changed file under the name of a sweep without a trial: nothing is lost by beginning anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper import removal
from sweeper.ablation.designs.leave_one_out import LeaveOneOut
from sweeper.errors import SpecConflict, SweepBusy
from sweeper.home import Home
from sweeper.scheduling import run as run_module
from sweeper.scheduling.recording.events import Event, Noted
from sweeper.scheduling.recording.spec_files import going_on
from sweeper.search.identity import Identity
from sweeper.search.ledger import Ledger
from sweeper.sweepfile.load import read_stored
from sweeper.sweepfile.model import Sweep
from tests.unit.test_run_files import SWEEP, Killed

CHANGED = replace(SWEEP, base={"steps": 8})


@pytest.fixture(params=["journal", "database"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home in which SWEEP was begun, as far as to its rehearsal."""
    if request.param == "database":
        monkeypatch.setenv("SWEEPER_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    monkeypatch.setattr(run_module.Tuning, "run", lambda tuning: None)
    home = Home.at(tmp_path / "home")
    begin(home, SWEEP)
    return home


def begin(home: Home, sweep: Sweep) -> list[Event]:
    events: list[Event] = []
    run_module.run(sweep, home, events=events.append, record=False, report=False)
    return events


def test_a_sweep_without_a_trial_makes_way_for_the_changed_file(home: Home) -> None:
    folder = home.sweep(SWEEP.name)
    first = Identity.of(folder)
    (note, *_) = begin(home, CHANGED)
    assert isinstance(note, Noted)
    assert note.message == "it replaces another 'probe', which had no trial yet"
    assert read_stored(folder.spec_json) == CHANGED
    now = Identity.of(folder)
    assert first is not None
    assert now is not None
    assert now.study != first.study
    assert begin(home, CHANGED)[0] is not note
    assert [path.name for path in home.path.glob(".deleted-*")] == []


def test_a_sweep_with_a_trial_stays(home: Home) -> None:
    folder = home.sweep(SWEEP.name)
    Ledger.open(SWEEP, folder).ask()
    with pytest.raises(SpecConflict, match="differs in base"):
        begin(home, CHANGED)
    assert read_stored(folder.spec_json) == SWEEP


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "but its description, limits, resources, tracking, keep, search.repeat, "),
        ({"ablation": LeaveOneOut.Config()}, "seeds.screen, parameters and ablation"),
    ],
)
def test_who_may_not_change_something_is_told_all_that_may_change(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    begun, changed = replace(SWEEP, **changes), replace(CHANGED, **changes)
    with pytest.raises(SpecConflict, match=said):
        going_on(changed, Home.at(tmp_path).sweep(SWEEP.name), begun)


def test_a_sweep_that_runs_stays(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.home._LOCK_PATIENCE", 0.0)
    with home.sweep(SWEEP.name).lock(), pytest.raises(SweepBusy):
        begin(home, CHANGED)


@pytest.mark.parametrize("step", ["remove_runs", "remove_study", "rmtree"])
@pytest.mark.parametrize("before", [True, False])
def test_a_kill_while_it_makes_way_is_made_good(
    home: Home, step: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = removal.shutil if step == "rmtree" else removal
    real: Callable[..., Any] = getattr(where, step)

    def killed(*given: Any, **named: Any) -> None:
        if not before:
            real(*given, **named)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(where, step, killed)
        with pytest.raises(Killed):
            begin(home, CHANGED)
    begin(home, CHANGED)
    assert read_stored(home.sweep(SWEEP.name).spec_json) == CHANGED
