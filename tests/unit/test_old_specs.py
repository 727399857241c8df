"""A sweep that an earlier version began is the same now, whatever has become a written default.

`tests/data/old_specs.json` was written by commit 3f1c277 of this repository: sweep files, what it
kept of each as spec.json, and the fingerprint that it put into the study.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage

from sweeper.home import Home
from sweeper.search.journal import Journal
from sweeper.search.ledger import Ledger
from sweeper.sweepfile import parse_sweep
from sweeper.sweepfile.load import read_stored
from sweeper.sweepfile.sections import Seeds

OLD: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "old_specs.json").read_text()
)


@pytest.mark.parametrize("old", OLD, ids=lambda old: old["spec"]["name"])
def test_its_file_read_now_is_the_sweep_that_was_kept_and_may_go_on_with_its_study(
    old: dict[str, Any], tmp_path: Path
) -> None:
    given = parse_sweep(old["file"])
    folder = Home(tmp_path).sweep(given.name)
    folder.create()
    folder.spec_json.write_text(json.dumps(old["spec"]))
    stored = read_stored(folder.spec_json)
    sweep = given.going_on(stored)
    assert not stored.difference(sweep)
    assert not sweep.seeds.confirm_base  # which came later, and is asked for in so many words
    asking = replace(given, seeds=Seeds(**{**given.seeds.model_dump(), "confirm_base": True}))
    assert stored.difference(asking.going_on(stored)).allowed == ("seeds.confirm_base",)
    assert stored.to_dict() == sweep.to_dict()
    study = optuna.create_study(
        storage=JournalStorage(Journal(folder.study_journal)),
        study_name=sweep.name,
        directions=[objective.goal for objective in sweep.objective],
    )
    study.set_user_attr("fingerprint", old["fingerprint"])
    asked = Ledger.open(sweep, folder).ask()
    assert asked is not None
    again = Ledger.open(stored, folder)
    assert [trial.config for trial in again.trials()] == [asked.config]
