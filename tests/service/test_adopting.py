"""Sweeps that were run from a terminal show up in the service, as they were left."""

from __future__ import annotations

import json

from sweeper.home import SweepFolder
from sweeper.search.ledger import Ledger
from sweeper.service.actions.adopting import adopt_home
from sweeper.service.state import accounts
from sweeper.sweepfile import load_sweep
from sweeper.trial import Evaluation
from tests.service.conftest import SMALL, Lab
from trials.state.names import GENERATOR


def run_in_home(lab: Lab, name: str, trials: int) -> SweepFolder:
    """A sweep of two trials, of which so many are over."""
    sweep = load_sweep({**SMALL, "name": name})
    folder = lab.service.settings.home.sweep(name)
    folder.create()
    folder.spec_json.write_text(json.dumps(sweep.to_dict()))
    folder.sweep_yaml.write_text(json.dumps({**SMALL, "name": name}))
    ledger = Ledger.open(sweep, folder)
    for value in range(trials):
        trial = ledger.ask()
        assert trial is not None
        ledger.started(trial.number)
        ledger.report(trial.number, Evaluation(4, 1.0, {"fid": 5.0 + value}, {"extractor": "x"}))
        ledger.complete(trial.number, [5.0 + value])
    return folder


def test_sweeps_of_the_home_are_taken_in_once_and_as_they_were_left(lab: Lab) -> None:
    run_in_home(lab, "whole", 2)
    run_in_home(lab, "half", 1)
    kept = run_in_home(lab, "unscored", 2).trial(0)
    kept.mkdir(parents=True)
    (kept / GENERATOR).touch()
    lab.submit("bo", "known")
    damaged = run_in_home(lab, "damaged", 1)
    damaged.spec_json.write_text("{")
    busy = run_in_home(lab, "busy", 1)
    with busy.lock():
        assert adopt_home(lab.service) == ["half", "unscored", "whole"]
    assert adopt_home(lab.service) == ["busy"]
    assert adopt_home(lab.service) == []

    listed = lab.client("dee").get("/api/v1/sweeps").json()["items"]
    shown = {one["name"]: (one["state"], one["owner"]) for one in listed}
    assert shown == {
        "whole": ("finished", "ada"),
        "half": ("stopped", "ada"),
        "unscored": ("stopped", "ada"),
        "busy": ("stopped", "ada"),
        "known": ("queued", "bo"),
    }


def test_before_there_is_an_admin_nobody_has_them(lab: Lab) -> None:
    run_in_home(lab, "whole", 2)
    with lab.database.writing() as session:
        for token in accounts.tokens_of(session):
            session.delete(token)
    assert adopt_home(lab.service) == []
