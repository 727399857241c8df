"""What people find in MLflow of a sweep, by MLflow's own search: in a database and on a server."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeper.cli.main import run
from sweeper.home import Home
from sweeper.results import finished_tables, table_of
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.standings import Standings, standings_of
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Seeds
from sweeper.tracking import Outbox, vendor, waiting
from sweeper.tracking.backlog import Backlog
from sweeper.tracking.descriptions import NOTE_DIGEST_TAG
from sweeper.tracking.elsewhere import keep_to, move_to
from sweeper.tracking.experiment import VIEW_PREFIX, experiment_tags, tags_due
from sweeper.tracking.models import log_folder
from sweeper.tracking.names import NOTE_TAG, PARENT_TAG, USER_TAG
from sweeper.tracking.pages import tracking_pages
from sweeper.tracking.runs import find_runs
from sweeper.tracking.sender import Sender
from sweeper.tracking.store import Store
from sweeper.tracking.ui import newest_pages
from sweeper.tracking.writer import sole
from sweeper.trial import Symptom, Trial
from tests.unit.report_sweeps import PARAMETERS, PROTOCOL, replicate, sweep, trial

MEASURED = {**PROTOCOL, "data": "digits", "data_hash": "c0" * 32}
FACTORS = ("ema", "spectral_norm")


def searched() -> tuple[Sweep, list[Trial]]:
    """A base, three trials of a search and fresh seeds of the best and the base."""
    spec = sweep(name="quickstart", seeds=Seeds(confirm_top=1, replicates=3), description="Digits.")
    trials = [
        trial(
            number, *values, steps=1000, protocol=MEASURED, config={"seed": number, "width": number}
        )
        for number, values in enumerate([(30.0,), (25.0,), (20.0,)])
    ]
    collapsed = {"steps": 250, "state": "pruned", "cause": "mode_collapse"}
    trials.append(trial(3, protocol=MEASURED, config={"seed": 3, "width": 3}, **collapsed))
    for seed in range(3):
        trials.append(fresh(4 + 2 * seed, 2, 1000 + seed, 21.0 + seed))
        trials.append(fresh(5 + 2 * seed, 0, 1000 + seed, 31.0 + 2 * seed))
    return spec, trials


def fresh(number: int, of: int, seed: int, value: float) -> Trial:
    """Trial `of` again on a fresh seed."""
    return replace(
        replicate(number, of, seed, value),
        evaluations=trial(0, value, protocol=MEASURED).evaluations,
    )


def ablated() -> tuple[Sweep, list[Trial]]:
    """Two tricks, one left out at a time, on three seeds."""
    spec = sweep_from_dict(
        {
            "name": "ablation_digits",
            "base": {"data": {"name": "digits"}, "steps": 1000},
            "parameters": {f"tricks.{name}": {"toggle": True} for name in FACTORS},
            "objective": {"metric": "fid", "goal": "minimize"},
            "ablation": {"design": "leave_one_out", "seeds": 3},
        },
        "ablation_digits",
    )
    cells = {"full": (), **{f"without {name}": (name,) for name in FACTORS}}
    trials = []
    for seed in range(3):
        for place, (label, left_out) in enumerate(cells.items()):
            number = 3 * seed + place
            values = {f"tricks.{name}": name not in left_out for name in FACTORS}
            trials.append(
                trial(
                    number,
                    20.0 + 4 * place + (1 + place) * seed,
                    role="search" if seed == 0 else "replicate",
                    of=None if seed == 0 else place,
                    cell=label,
                    values={**values, "seed": seed},
                    config={"steps": 1000, "seed": seed},
                )
            )
    return spec, trials


class Recorded:
    """A sweep as MLflow has it, with MLflow's own client to ask."""

    def __init__(self, home: Path, uri: str, spec: Sweep, trials: Sequence[Trial]) -> None:
        self.standings: Standings = standings_of(spec, trials)
        self.folder = Home.at(home).sweep(spec.name)
        self.folder.create()
        self.store = Store(uri, home / "mlartifacts")
        self.outbox = self.folder.outbox
        self.say(spec, trials)
        self.send()
        self.mlflow = vendor.load("mlflow")

    def say(self, spec: Sweep, trials: Sequence[Trial]) -> None:
        study: Any = SimpleNamespace(trials=lambda: list(trials))
        for one in trials:
            self.folder.trial(one.number).mkdir(parents=True, exist_ok=True)
            (self.folder.trial(one.number) / "config.json").write_text(json.dumps(one.config))
        with Outbox(self.outbox) as outbox:
            recorder = Recorder(spec, self.folder, outbox)
            recorder.sweep_started(str(self.folder.path))
            recorder.replay(study)
            recorder.concluded({}, {}, self.standings)
            recorder.sweep_ended("finished", "found something")

    def send(self) -> None:
        with Backlog(self.outbox) as backlog:
            sender = Sender(backlog, self.store, "me", log_folder)
            sender.send()
            assert backlog.waiting() == {}

    def search(self, wanted: str, **options: Any) -> pd.DataFrame:
        """Runs of this sweep by MLflow's filter."""
        mine = f"tags.`sweeper.study` = '{self.folder.path}'"
        return self.mlflow.search_runs(
            experiment_names=[self.standings.sweep.name],
            filter_string=" AND ".join(filter(None, (wanted, mine))),
            **options,
        )

    def numbers(self, wanted: str) -> list[str]:
        found = self.search(wanted)
        return sorted(found["tags.sweeper.trial"]) if len(found) else []


@pytest.fixture
def recorded(tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return Recorded(tmp_path / "home", uri, *searched())


def test_runs_are_found_by_what_the_sweep_file_says(recorded: Recorded) -> None:
    find = recorded.numbers
    on = [one.name for one in recorded.standings.trials if one.values["tricks.ema"]]
    assert on
    assert find("params.`tricks.ema` = 'True'") == on
    assert find("params.\"tricks.ema\" = 'False' AND tags.`sweeper.role` = 'search'") == [
        "00001",
        "00002",
    ]
    assert find("params.loss = 'hinge' AND params.seed = '2'") == ["00002"]
    rate = recorded.standings.trials[3].values["optimizer.generator.lr"]
    assert "00003" in find(f"params.`optimizer.generator.lr` = '{rate}'")
    assert find("tags.`sweeper.role` = 'base'") == ["00000"]
    assert find("tags.`sweeper.role` = 'confirmation' AND tags.`sweeper.of` = '00002'") == [
        "00004", "00006", "00008",
    ]  # fmt: skip
    assert find("tags.`sweeper.seed` = '1001'") == ["00006", "00007"]
    everything = [*(one.name for one in recorded.standings.trials), "sweep"]
    assert find(f"dataset.digest = '{'c0' * 18}'") == everything
    assert find("metrics.fid < 22 AND tags.`sweeper.role` != 'confirmation'") == ["00002"]


def test_a_run_has_what_was_searched_as_parameters_and_the_rest_as_a_file(
    recorded: Recorded, tmp_path: Path
) -> None:
    runs = recorded.search("")
    columns = {name.removeprefix("params.") for name in runs.columns if name.startswith("params.")}
    assert columns == {"seed", *(parameter.path for parameter in PARAMETERS)}
    names = dict(zip(runs["tags.sweeper.trial"], runs["tags.mlflow.runName"], strict=True))
    assert names["00000"] == "00000 · base · seed 0"
    assert names["00001"] == "00001 · wgan · all off · seed 1"
    assert names["00004"] == "00004 · confirms 00002 · seed 1000"
    (base,) = recorded.search("tags.`sweeper.role` = 'base'").run_id
    path = recorded.mlflow.artifacts.download_artifacts(
        run_id=base, artifact_path="config.json", dst_path=str(tmp_path)
    )
    assert json.loads(Path(path).read_text()) == dict(recorded.standings.trials[0].config)


def test_the_parent_says_what_came_of_the_sweep(recorded: Recorded) -> None:
    (parent,) = recorded.search("tags.`sweeper.role` = 'sweep'").to_dict("records")
    number = {
        name.removeprefix("metrics."): value
        for name, value in parent.items()
        if name.startswith("metrics.")
    }
    assert (number["best/fid"], number["confirmed/fid"], number["base/fid"]) == (20.0, 22.0, 33.0)
    assert number["confirmed/fid_low"] < 22.0 < number["confirmed/fid_high"]
    assert number["difference/fid"] == -11.0
    assert number["difference/fid_low"] < -11.0 < number["difference/fid_high"] < 0
    assert [number[f"trials/{end}"] for end in ("completed", "pruned", "failed")] == [9, 1, 0]
    assert "metrics.fid" not in parent or np.isnan(parent["metrics.fid"])
    assert (parent["tags.sweeper.winner"], parent["tags.sweeper.confirmed"]) == ("00002", "true")
    assert "found something" in parent["tags.mlflow.note.content"]
    history = recorded.mlflow.MlflowClient().get_metric_history(parent["run_id"], "best/fid")
    assert sorted((point.step, point.value) for point in history) == [
        (1, 30.0), (2, 25.0), *((over, 20.0) for over in range(3, 11)),
    ]  # fmt: skip
    children = recorded.search(f"tags.`mlflow.parentRunId` = '{parent['run_id']}'")
    assert sorted(children["tags.sweeper.trial"]) == ["00000", "00001", "00002", "00003"]


def test_the_experiment_says_what_it_is_and_has_views_that_mlflow_reads(
    recorded: Recorded,
) -> None:
    experiment = recorded.mlflow.get_experiment_by_name("quickstart")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.tags["mlflow.experiment.primaryMetric.name"] == "fid"
    note = experiment.tags[NOTE_TAG]
    assert note.startswith("found something.")
    for condition in ("params.\"tricks.ema\" = 'True'", "tags.\"sweeper.of\" = '00002'"):
        assert f"`{condition}`" in note
        assert recorded.numbers(condition)
    views = {
        view["name"]: json.loads(view["state"])
        for view in (
            json.loads(text) for key, text in experiment.tags.items() if VIEW_PREFIX in key
        )
    }
    assert set(views) == {"Trials, best fid first", "Fresh seeds: fid by configuration"}
    for state in views.values():
        found = recorded.search(
            state["searchFilter"],
            order_by=[f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"],
        )
        assert list(found["metrics.fid"].dropna()) == sorted(found["metrics.fid"].dropna())
        shown = [name.replace("`", "") for name in state["selectedColumns"]]
        assert set(shown) <= set(recorded.search("").columns)
    pages = tracking_pages(recorded.outbox)
    assert pages.sweep is not None
    assert pages.sweep.endswith("/runs?viewStateShareKey=sweeper-trials")
    home = recorded.folder.path.parent
    (recorded.folder.spec_json).write_text("{}")
    assert newest_pages(home, recorded.store.uri, "") == {"quickstart": pages.sweep}
    assert newest_pages(home, "http://elsewhere", "") == {}


def test_the_table_of_an_ablation_is_rebuilt_by_one_search(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    recorded = Recorded(tmp_path / "home", uri, *ablated())
    runs = recorded.search("tags.`sweeper.role` = 'cell'")
    rebuilt = runs.groupby("tags.sweeper.cell")["metrics.fid"].agg(["mean", "std", "count"])
    (table, *_) = finished_tables(recorded.standings.sweep, table_of(recorded.standings))
    ours = pd.DataFrame(table.raw().to_pydict()).set_index("cell")
    assert set(rebuilt.index) == set(ours.index) == {"full", *(f"without {f}" for f in FACTORS)}
    for cell, row in rebuilt.iterrows():
        assert row["mean"] == pytest.approx(ours.loc[cell, "mean"])
        assert row["std"] == pytest.approx(ours.loc[cell, "deviation"])
        assert row["count"] == ours.loc[cell, "n"] == 3
    assert set(runs["tags.sweeper.design"]) == {"leave_one_out"}
    assert recorded.numbers("tags.`sweeper.cell` = 'without ema' AND params.seed = '2'") == [
        "00007"
    ]
    assert "00007 · without ema · seed 2" in set(runs["tags.mlflow.runName"])


def test_the_python_of_the_page_on_mlflow_does_what_it_says(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for made in (searched(), ablated()):
        Recorded(tmp_path / "home", uri, *made)
    page = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text()
    searches, table, _ = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    there: dict[str, Any] = {}
    exec(searches, there)
    filters = re.findall(r'find\("(.*?)"[,)]', searches)
    assert len(filters) == 6
    assert all(len(there["find"](condition)) for condition in filters)
    exec(table, there)
    assert list(there["table"].index) == ["full", "without ema", "without spectral_norm"]
    assert "00002 22.0 33.0" in capsys.readouterr().out


def test_what_a_person_has_written_on_the_experiment_stays() -> None:
    first = experiment_tags(searched()[0], "before")
    later = experiment_tags(searched()[0], "after")
    assert tags_due(first, {}) == first
    assert tags_due(later, first) == {key: later[key] for key in (NOTE_TAG, NOTE_DIGEST_TAG)}
    edited = {**first, NOTE_TAG: "mine", "mlflow.experimentKind": "genai_development"}
    assert tags_due(later, edited) == {}


class Killed(BaseException):
    """The writer is gone."""


def test_an_mlflow_brought_back_from_a_copy_gets_all_of_a_sweep_again(
    tmp_path: Path,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The outbox is newer than the copy, and believes that all has arrived. The copy has a trial in
    the middle, with a symptom that was explained there, a failure that was tried again since, and
    what a person has written."""
    file, copy, uri = (
        tmp_path / "mlflow.db",
        tmp_path / "copy.db",
        f"sqlite:///{tmp_path}/mlflow.db",
    )
    shutil.copy(database, file)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    spec, trials = searched()
    first = trials[0].evaluations[0]
    seen = replace(first, symptoms=(Symptom("mode_collapse", first.step, {}, "", "alike"),))
    begun = replace(trials[0], state="running", attempts=1, evaluations=(seen,), ended=None)
    lost = replace(trials[1], state="failed", cause="worker_died", reason="it died", objective=None)
    recorded = Recorded(tmp_path / "home", uri, spec, [begun, lost, trials[2]])
    keep_spec(spec, recorded.folder, None)
    [done] = [run for run in find_runs(uri, spec.name) if run["tags"]["sweeper.trial"] == "00002"]
    for key, value in ((NOTE_TAG, "The one with the best eyes."), ("team", "vision")):
        recorded.store.client.set_tag(done["run_id"], key, value)
    with closing(sqlite3.connect(file)) as now, closing(sqlite3.connect(copy)) as old:
        now.backup(old)
    with Outbox(recorded.outbox) as outbox:
        outbox.reopened(1)
    recorded.say(spec, trials)
    recorded.send()

    def shown() -> list[Any]:
        """Without whose and whose child a run is: one that the copy lacks is another run now."""
        facts = ("name", "status", "params", "metrics", "tags")
        runs = find_runs(uri, spec.name)
        for one in runs:
            one["tags"] = {k: v for k, v in one["tags"].items() if k not in (USER_TAG, PARENT_TAG)}
        return sorted([one[fact] for fact in facts] for one in runs)

    before = shown()
    with closing(sqlite3.connect(copy)) as old, closing(sqlite3.connect(file)) as now:
        old.backup(now)
    for options in (["--again"], ["--again"], []):
        assert run(["sync", spec.name, "--home", str(tmp_path / "home"), *options]) == 0
        assert "MLflow has everything" in capsys.readouterr().out
        assert shown() == before


def test_nothing_is_sent_again_beside_another_writer(
    tmp_path: Path,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """That of the last driver may linger: told that nothing had arrived, it would make every run a
    second time, and of the two the one with people's words might go."""
    shutil.copy(database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    recorded = Recorded(tmp_path / "home", uri, *searched())
    keep_spec(recorded.standings.sweep, recorded.folder, None)
    with sole(recorded.outbox.with_suffix(".lock"), wait=False) as alone:
        assert alone
        assert run(["sync", "quickstart", "--home", str(tmp_path / "home"), "--again"]) == 1
        assert "another writer is sending" in capsys.readouterr().err
        assert not waiting(recorded.outbox)


def test_a_sweep_is_recorded_where_it_is_until_it_is_moved(
    tmp_path: Path,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new = (f"sqlite:///{tmp_path}/{name}.db" for name in ("old", "new"))
    for name in ("old", "new"):
        shutil.copy(database, tmp_path / f"{name}.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", old)
    recorded = Recorded(tmp_path / "home", old, *searched())
    keep_spec(recorded.standings.sweep, recorded.folder, None)
    before = {run["run_id"] for run in find_runs(old, "quickstart")}

    def sync(*options: str) -> tuple[int, str]:
        status = run(["sync", "quickstart", "--home", str(tmp_path / "home"), *options])
        said = capsys.readouterr()
        return status, said.out + said.err

    monkeypatch.setenv("MLFLOW_TRACKING_URI", new)
    status, said = sync()
    assert status == 2
    for words in (
        old,
        new,
        "nothing was sent",
        f"sync quickstart --home {tmp_path}/home --to {new}",
    ):
        assert words in said
    assert find_runs(new, "quickstart") == []

    # Another name of the same MLflow is no other MLflow.
    (tmp_path / "link.db").symlink_to(tmp_path / "old.db")
    keep_to(recorded.outbox, f"sqlite:///{tmp_path}/link.db", tmp_path, "quickstart")

    # A writer that moves it is killed after the third run is made there; then it is called again.
    move_to(recorded.outbox, new)
    store = Store(new, tmp_path / "artifacts")
    made, create = [], store.create

    def die(*said: Any) -> tuple[str, str]:
        if len(made) == 3:
            raise Killed
        made.append(create(*said))
        return made[-1]

    monkeypatch.setattr(store, "create", die)
    with Backlog(recorded.outbox) as backlog, pytest.raises(Killed):
        Sender(backlog, store, "me", log_folder).send()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", old)
    status, said = sync("--to", new)
    assert status == 0
    assert f"set MLFLOW_TRACKING_URI to {new}" in said
    moved = find_runs(new, "quickstart")
    assert {run["run_id"] for run in find_runs(old, "quickstart")} == before
    assert {run_id for run_id, _ in made} <= {run["run_id"] for run in moved}
    assert len(moved) == len(before)
    assert {run["status"] for run in moved} == {"FINISHED"}
    assert sync()[0] == 2, "it is recorded in the new place now"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new)
    assert sync()[0] == sync("--to", new)[0] == 0
    assert find_runs(new, "quickstart") == moved
