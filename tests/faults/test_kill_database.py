"""kill -9 of the server that holds the study: the driver waits for it, and goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sweeper.errors import StudyAway
from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.trial import Evaluation
from tests.faults.killing import Driver, check_everything
from tests.faults.ledger_driver import SWEEP
from tests.postgres import Server, Unavailable, server


@pytest.fixture
def mortal(tmp_path_factory: pytest.TempPathFactory):
    """A server of the test's own."""
    lock = tmp_path_factory.getbasetemp().parent / "postgres.lock"
    try:
        with server(lock) as made:
            yield made
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_ledger_says_that_its_server_is_away_and_goes_on_when_it_is_back(
    mortal: Server, tmp_path: Path
) -> None:
    folder = Home.at(tmp_path).sweep(SWEEP.name)
    folder.create()
    ledger = Ledger.open(SWEEP, folder, mortal.address)
    trial = ledger.ask()
    assert trial is not None
    mortal.kill()
    with pytest.raises(StudyAway):
        ledger.started(trial.number)
    mortal.start()
    again = Ledger.open(SWEEP, folder, mortal.address)
    assert [one.number for one in again.interrupted()] == [trial.number]
    again.started(trial.number)
    again.report(trial.number, Evaluation(1, 0.0, {"fid": 1.0}))
    again.complete(trial.number, [1.0])
    assert [one.state for one in again.trials()] == ["completed"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_waits_for_its_server_and_loses_nothing(
    mortal: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_STORAGE", mortal.address)
    with Driver(tmp_path) as driver:
        driver.wait_for_training()
        mortal.kill()
        time.sleep(8.0)
        assert driver.alive(), driver.output
        mortal.start()
        assert driver.end() == 0, driver.output
        assert "continues when it answers again" in driver.output
    check_everything(tmp_path)
