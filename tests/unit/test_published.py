"""A sweep whose trials publish, without Ray: workers are played by hand, each on a machine that has
nothing but the bucket."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec
import pytest

from sweeper.bucket import place as setting
from sweeper.bucket.commits import Commits
from sweeper.bucket.copies import PUBLISHED, published_in
from sweeper.bucket.place import check_place
from sweeper.bucket.store import Store
from sweeper.bucket.usage import published_by
from sweeper.causes import BUCKET_AWAY
from sweeper.cleaning import clean, leavings
from sweeper.errors import BucketAway
from sweeper.home import Home, SweepFolder
from sweeper.removal import remove_sweep
from sweeper.retention import let_go_afar
from sweeper.scheduling import published as driver_side
from sweeper.scheduling.conducting.failure_counts import FailureCounts
from sweeper.scheduling.final_score import Scoring
from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.published import conductor_with, publishing, taken_in
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working import workplace
from sweeper.scheduling.working.attempts import place_of, silent_in
from sweeper.scheduling.working.failures import explain
from sweeper.scheduling.working.kept_checkpoints import begin, keep
from sweeper.scheduling.working.machine_checks import Mark, _looker
from sweeper.scheduling.working.messages import REHEARSAL, Failure, Report, Work
from sweeper.scheduling.working.silence import SILENT
from sweeper.scheduling.working.workplace import workplace_for
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.random import Random
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.standings.kept import to_be_scored
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Keep, Limits, Tracking
from sweeper.tracking import Outbox
from sweeper.tracking.copies import copies_in
from tests.fakes import FakeTraining
from trials.errors import TakenOver
from trials.state.names import GENERATOR

SWEEP = Sweep(
    name="probe",
    base={"steps": 3},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    search=Random.Config(start_with_base=False),
    limits=Limits(trials=2, parallel=2),
    keep=Keep(checkpoints="unfinished", generators="all", samples="every"),
)


PATIENCE = 60.0
"""Seconds for what was published to be here: a busy machine takes a while."""


@pytest.fixture(autouse=True)
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket in memory, and a folder for what workers leave on their machines."""
    monkeypatch.setattr(setting, "SCHEMES", ("memory",))
    monkeypatch.setenv(setting.BUCKET_VARIABLE, "memory://bucket")
    monkeypatch.setattr(workplace, "_scratch", lambda: tmp_path / "machine")
    monkeypatch.setattr(driver_side, "LOOK_EVERY", 0.02)
    yield "memory://bucket"
    with suppress(FileNotFoundError):
        fsspec.filesystem("memory").rm("/bucket", recursive=True)


class PlayedWorker:
    """A worker's part of one attempt, on a machine of its own."""

    def __init__(self, work: Work, node: str = "node 1") -> None:
        self.work = work
        self.place = workplace_for(work, Place.here(node))
        self.training = FakeTraining(work.config, self.place.folder, self.place.folder)
        begin(self.training, self.place.folder, replace(work, take_over=self.place.take_over))
        known = [one for one in self.training.history if one.step not in work.recorded]
        self.first = Report(tuple(known), self.training.finished) if known else None

    def step(self) -> Report:
        evaluation = self.training.advance()
        picture = f"samples/{evaluation.step:06d}.png"
        self.training.history[-1] = evaluation = replace(evaluation, samples=picture)
        (self.place.folder / "samples").mkdir(exist_ok=True)
        (self.place.folder / picture).write_bytes(b"picture of %d" % evaluation.step)
        (self.place.folder / "config.json").write_text("{}")
        (self.place.folder / "log.txt").write_text("it trains")
        (self.place.folder / "checkpoint.pt").write_bytes(b"%d" % evaluation.step)
        keep(self.training, self.place.folder, self.work)
        self.place.publish()
        return Report((evaluation,), self.training.finished)


def told_where(folder: SweepFolder, number: int) -> set[str]:
    """The names of a trial's files that it is told of where they lie; they do."""
    told = json.loads((folder.trial(number) / PUBLISHED).read_bytes())
    bucket = fsspec.filesystem("memory")
    for file in told["files"].values():
        assert file["address"].startswith(f"{told['address']}/files/")
        content = bucket.cat_file(file["address"].removeprefix("memory:/"))
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    return set(told["files"])


class Stage:
    """A driver over a home, with its ledger."""

    def __init__(
        self, home: Path, spec: Sweep = SWEEP, outbox: Outbox | None = None, adopt: bool = False
    ) -> None:
        self.folder = Home.at(home).sweep(spec.name)
        usable = check_place(self.folder)
        self.folder.create()
        self.ledger = Ledger.open(spec, self.folder, adopt=adopt)
        self._with = publishing(self.folder, self.ledger, usable)
        self.published = self._with.__enter__()
        self.recorder = Recorder(spec, self.folder, outbox)
        given = (spec, self.folder, self.ledger, self.recorder, lambda event: None)
        self.conductor = conductor_with(self.published, *given)

    def work(self) -> Work:
        work = self.conductor.next_work()
        while work is not None and work.number == REHEARSAL:
            self.conductor.heard(REHEARSAL, Report(finished=True))
            work = self.conductor.next_work()
        assert work is not None
        self.conductor.started(work.number)
        return Work.read(work.text())  # as it travels

    def train(self, worker: PlayedWorker) -> None:
        """To its end."""
        number = worker.work.number
        stops = bool(worker.first) and self.conductor.heard(number, worker.first)
        while not stops:
            stops = self.conductor.heard(number, worker.step())

    def close(self) -> None:
        self._with.__exit__(None, None, None)


@contextmanager
def staged(home: Path, *given: Any) -> Iterator[Stage]:
    stage = Stage(home, *given)
    try:
        yield stage
    finally:
        stage.close()


def test_a_trial_goes_on_on_a_machine_that_has_nothing(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    with staged(tmp_path / "home") as stage:
        work = stage.work()
        whole = FakeTraining(work.config, plain, plain)
        while not whole.finished:
            whole.advance()
        first = PlayedWorker(work)
        stage.conductor.heard(work.number, first.step())
        first.training.advance()  # and its machine goes, before it has published that
        shutil.rmtree(tmp_path / "machine")
        stage.conductor.died(work.number, "the machine is gone")
        _, deaths = stage.ledger.mishaps.died(work.number, "another")
        assert set(deaths) == {platform.node(), "another"}, "it is known where it ran"
        stage.conductor.setbacks.retries._until.clear()
        again = stage.work()
        assert again.number == work.number
        assert again.attempt > work.attempt
        second = PlayedWorker(again)
        assert [one.step for one in second.training.history] == [1]
        stage.train(second)
        assert [one.metrics for one in stage.ledger.trial(work.number).evaluations] == [
            one.metrics for one in whole.history
        ]


def test_the_driver_has_what_is_read_and_lets_go_in_the_bucket(bucket: str, tmp_path: Path) -> None:
    with (
        Outbox(tmp_path / "outbox.db") as outbox,
        staged(tmp_path / "home", SWEEP, outbox) as stage,
    ):
        for _ in range(2):
            work = stage.work()
            stage.train(PlayedWorker(work))
        assert taken_in(stage.conductor, PATIENCE) == ""
        stage.conductor.keeping.settle()
        assert taken_in(stage.conductor, PATIENCE) == ""
        folder = stage.folder.trial(work.number)
        assert {file.name for file in folder.glob("samples/*")} == {
            f"{step:06d}.png" for step in (1, 2, 3)
        }
        assert not (folder / "checkpoint.pt").exists()
        left = [key for key in Store(stage.published.address).listed() if "checkpoint.pt" in key]
        assert left == [], "the sweep file keeps unfinished ones only"
        assert "checkpoint.pt" not in published_in(folder)
        assert (folder / "let_go.json").is_file()
        told = set(copies_in(tmp_path / "outbox.db")[work.number])
        assert {"config.json", "samples/000001.png", "samples/000003.png", PUBLISHED} <= told
        assert "let_go.json" in told_where(stage.folder, work.number)
        assert "checkpoint.pt" not in told_where(stage.folder, work.number)
        stage.recorder.reopened(work.number)
        assert PUBLISHED not in copies_in(tmp_path / "outbox.db")[work.number]
        stage.recorder.replay(stage.ledger)
        assert PUBLISHED in copies_in(tmp_path / "outbox.db")[work.number]


def test_another_home_that_adopts_the_study_has_everything_from_the_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first home's disk is lost: what is left is the database and the bucket."""
    monkeypatch.setenv("SWEEPER_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    with staged(tmp_path / "first") as stage:
        whole = stage.work()
        stage.train(PlayedWorker(whole))
        begun = stage.work()
        stage.conductor.heard(begun.number, PlayedWorker(begun).step())
        assert taken_in(stage.conductor, PATIENCE) == ""
    shutil.rmtree(tmp_path / "first")
    shutil.rmtree(tmp_path / "machine")

    outbox = Outbox(tmp_path / "outbox.db")
    with outbox, staged(tmp_path / "second", SWEEP, outbox, True) as stage:
        stage.recorder.replay(stage.ledger)
        again = stage.work()
        assert again.number == begun.number
        worker = PlayedWorker(again)
        assert worker.training.step == 1
        stage.train(worker)
        assert stage.conductor.complete
        assert taken_in(stage.conductor, PATIENCE) == ""
        for work in (whole, begun):
            folder = stage.folder.trial(work.number)
            assert len(list(folder.glob("samples/*.png"))) == 3
            told = set(copies_in(tmp_path / "outbox.db")[work.number])
            assert {"config.json", "log.txt", "samples/000001.png", "samples/000003.png"} <= told


@pytest.mark.parametrize("how", ["database", "adopted journal", "copied home"])
def test_a_home_that_has_given_a_sweep_up_deletes_nothing_of_the_one_that_has_it(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if how == "database":
        monkeypatch.setenv("SWEEPER_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    runs = mock.Mock(return_value=True)
    monkeypatch.setattr("sweeper.removal.remove_runs", runs)
    first, second = Home.at(tmp_path / "first"), Home.at(tmp_path / "second")
    with staged(first.path) as stage:
        stage.train(PlayedWorker(stage.work()))
    if how != "database":
        shutil.copytree(first.path, second.path)
    if how == "adopted journal":
        second.sweep("probe").identity.unlink()
    with staged(second.path, SWEEP, None, True) as stage:
        stage.train(PlayedWorker(stage.work()))
        trials = stage.ledger.trials()
    there = Store(stage.published.address).listed()
    elsewhere = replace(SWEEP, tracking=Tracking(uri="http://mlflow.lab"))
    kept = tmp_path / "kept"
    shutil.copytree(first.path, kept)
    assert remove_sweep(first, first.sweep("probe"), elsewhere)
    told = "are removed: all else now belongs to "
    assert f"{first.path}/probe {told}{second.path}/probe\n" in caplog.text
    assert not first.sweep("probe").path.exists()
    assert not runs.called
    shutil.copytree(kept, first.path, dirs_exist_ok=True)
    assert remove_sweep(first, first.sweep("probe"), SWEEP), "with its own record of it"
    assert [call.args[0] for call in runs.call_args_list] == [f"sqlite:///{first.mlflow_db}"]
    assert Store(stage.published.address).listed() == there
    with staged(second.path) as stage:
        assert stage.ledger.trials() == trials
    linked = tmp_path / "linked"
    linked.symlink_to(second.path)
    assert remove_sweep(Home.at(linked), Home.at(linked).sweep("probe"), SWEEP)
    assert runs.call_count == 2
    assert Store(stage.published.address).listed() == []


def test_a_winner_of_which_nothing_has_come_here_yet_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    with staged(tmp_path / "first") as stage:
        for _ in range(2):
            worker = PlayedWorker(stage.work())
            (worker.place.folder / GENERATOR).write_bytes(b"weights")
            stage.train(worker)
        [winner] = to_be_scored(stage.ledger.standings())
    folder = Home.at(tmp_path / "second").sweep("probe")
    folder.create()
    ledger = Ledger.open(SWEEP, folder, adopt=True)
    given = (SWEEP, folder, ledger, Recorder(SWEEP, folder, None), None, lambda event: None)
    scoring = Scoring(*given, bucket=ledger.owner.bucket)
    with monkeypatch.context() as away:
        away.setattr(Store, "listed", mock.Mock(side_effect=BucketAway("no answer")))
        assert scoring.due() == []
    again = "no answer; run the sweep again to measure it"
    assert scoring.message == f"trial {winner.number:05d} has no final score: {again}"
    assert scoring.due() == [winner.number]
    assert scoring.message == ""


def test_a_study_from_an_older_copy_goes_on_beside_what_the_bucket_has_of_later(
    bucket: str, tmp_path: Path
) -> None:
    with staged(tmp_path / "home") as stage:
        begun = stage.work()
        stage.conductor.heard(begun.number, PlayedWorker(begun).step())
        journal, counted = stage.folder.study_journal, stage.folder.path / "study.count"
        copied = journal.read_bytes(), counted.read_bytes()
    for _ in range(2):  # so that later drivers have handed out more
        with staged(tmp_path / "home") as stage:
            work = stage.work()
            stage.conductor.heard(work.number, PlayedWorker(work).step())
            later = stage.work()
            stale = PlayedWorker(later)
            stage.conductor.heard(later.number, stale.step())
    shutil.rmtree(stage.folder.trials)
    journal.write_bytes(copied[0])
    counted.write_bytes(copied[1])
    with staged(tmp_path / "home") as stage:
        assert [trial.number for trial in stage.ledger.trials()] == [begun.number]
        stage.conductor.look()
        there = Store(stage.published.address).below("00001")
        assert there.listed("commits"), "the newer study may be brought back yet"
        again = stage.work()
        assert (again.number, again.attempt > work.attempt) == (begun.number, True)
        worker = PlayedWorker(again)
        assert worker.training.step == 3, "it has been trained since"
        stage.train(worker)
        anew = stage.work()
        assert (anew.number, anew.attempt > later.attempt) == (later.number, True)
        with pytest.raises(TakenOver):
            stale.step()
        worker = PlayedWorker(anew)
        assert worker.training.step == 0, "its settings may be others now"
        stage.train(worker)
        assert taken_in(stage.conductor, PATIENCE) == ""
        assert [trial.state for trial in stage.ledger.trials()] == ["completed", "completed"]
    left = Store(anew.bucket).below("00001").listed("files")
    assert [key for key in left if not key.startswith(f"files/{anew.attempt}")] == []


def test_cleaning_goes_as_far_as_the_bucket_and_mlflow_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.at(tmp_path / "home")
    outbox = home.sweep("probe").outbox
    everything = replace(SWEEP, keep=Keep(checkpoints="all", generators="all", samples="every"))
    home.sweep("probe").create()
    with Outbox(outbox) as box, staged(home.path, everything, box) as stage:
        stage.recorder.sweep_started("study")
        for _ in range(2):
            stage.train(PlayedWorker(stage.work()))
        stage.conductor.keeping.settle()
        assert taken_in(stage.conductor, PATIENCE) == ""
        address, standings = stage.published.address, stage.ledger.standings()
    assert {"checkpoint.pt", "log.txt"} <= told_where(stage.folder, 0)
    assert published_by(stage.folder).checkpoints > 0
    less = Keep(checkpoints="unfinished", generators="all", samples="last")
    leaving = leavings(stage.folder, standings, less)
    assert {file.name for one in leaving for file in one.files} == {
        "checkpoint.pt", "checkpoint.json", "samples/000001.png", "samples/000002.png",
    }  # fmt: skip
    seen: list[bool] = []
    monkeypatch.setattr(
        "sweeper.cleaning.let_go_afar",
        lambda *given: (seen.append(PUBLISHED in copies_in(outbox)[0]), let_go_afar(*given)),
    )
    monkeypatch.setattr("sweeper.cleaning.sync", lambda *given: None)
    with monkeypatch.context() as away:
        away.setattr("sweeper.cleaning.let_go_afar", mock.Mock(side_effect=BucketAway("no answer")))
        with pytest.raises(BucketAway):
            clean(home, stage.folder, standings, leaving, less)
    assert PUBLISHED not in copies_in(outbox)[0], "something of it is still to go"
    assert leavings(stage.folder, standings, less) == []
    clean(home, stage.folder, standings, [], less)
    assert seen == [False], "a kill in between leaves nothing that is not so"
    assert PUBLISHED in copies_in(outbox)[0]
    assert not told_where(stage.folder, 0) & {"checkpoint.pt", "samples/000001.png"}
    assert published_by(stage.folder).checkpoints == 0
    left = {Path(key).name for key in Store(address).listed() if "/files/" in key}
    assert not left & {"checkpoint.pt", "checkpoint.json", "000001.png", "000002.png"}
    assert {"000003.png", "let_go.json"} <= left
    assert leavings(stage.folder, standings, less) == []


def test_every_machine_is_asked_for_the_mark_in_the_bucket(bucket: str, tmp_path: Path) -> None:
    folder = Home.at(tmp_path).sweep("probe")
    mark = Mark.leave(folder, bucket=f"{bucket}/probe")
    look = _looker()
    assert mark.fault_of("there", *look(mark.file, tuple(mark.versions))) == ""
    assert not folder.path.exists(), "the home is the driver's alone"
    Store(f"{bucket}/probe").remove(["driver"])
    told = mark.fault_of("there", *look(mark.file, tuple(mark.versions)))
    assert "there cannot read memory://bucket/probe/driver (FileNotFoundError" in told
    assert mark.fault("there") == "", "a worker finds out by itself, and waits for the store"


def test_a_store_that_stays_away_ends_the_attempt_and_no_trial(tmp_path: Path) -> None:
    with staged(tmp_path / "home") as stage:
        work = stage.work()
        worker = PlayedWorker(work)
        stage.conductor.heard(work.number, worker.step())
        failure = explain(BucketAway("cannot write in memory://bucket"), worker.place.folder)
        assert failure.cause == BUCKET_AWAY
        assert stage.conductor.heard(work.number, Report(finished=True, failure=failure))
        trial = stage.ledger.trial(work.number)
        assert (trial.state, trial.over) == ("running", False)
        stage.conductor.setbacks.retries._until.clear()
        stage.train(PlayedWorker(stage.work()))
        assert stage.ledger.trial(work.number).state == "completed"


@pytest.mark.parametrize("symptom", ["unreadable", BUCKET_AWAY])
def test_a_bucket_that_lets_nobody_in_ends_the_sweep_and_not_all_its_trials(symptom: str) -> None:
    failures = FailureCounts(Limits(trials=100), 0)
    failures.evaluated()
    told = [
        failures.raised(
            Failure(symptom, f"cannot write commits/0{n}.claim in s3://b/0{n}: expired")
        )
        for n in (1, 2, 3)
    ]
    assert told[:2] == ["", ""]
    assert "3 trials failed one after another for the same reason" in told[2]


def test_what_a_worker_says_before_it_ends_itself_is_known(tmp_path: Path) -> None:
    with staged(tmp_path / "home") as stage:
        work = stage.work()
        worker = PlayedWorker(work, node="node 7")
        (worker.place.folder / "log.txt").write_text("where each thread stood\n")
        worker.place.say("no progress for 600 s")
        stage.published.look_now(work.number)
        folder = stage.folder.trial(work.number)
        assert place_of(folder) == Place.here("node 7")
        assert silent_in(folder) == "no progress for 600 s"
        assert (folder / "log.txt").read_text() == "where each thread stood\n"
        said = Commits(Store(work.bucket).below(f"{work.number:05d}")).said()
        assert said[SILENT] == "no progress for 600 s"


def test_a_population_takes_over_from_what_another_machine_has_kept(tmp_path: Path) -> None:
    spec = replace(
        SWEEP,
        base={"steps": 6},
        scheduler=PopulationBased.Config(interval_steps=2, grace_steps=2, quantile=0.5),
        limits=Limits(trials=2, parallel=2),
    )
    with staged(tmp_path / "home", spec) as stage:
        workers = {work.number: PlayedWorker(work) for work in (stage.work(), stage.work())}
        taken: list[str] = []
        for _ in range(40):
            for number, worker in list(workers.items()):
                if worker.training.finished:
                    continue
                if stage.conductor.heard(number, worker.step()) and not worker.training.finished:
                    shutil.rmtree(tmp_path / "machine" / worker.place.folder.parent.name)
                    stage.conductor.setbacks.retries._until.clear()
                    work = stage.work()
                    taken.append(str(work.take_over))
                    workers[number] = PlayedWorker(work)
            if all(worker.training.finished for worker in workers.values()):
                break
        assert taken
        assert "None" not in taken
        assert stage.conductor.complete
        stage.conductor.keeping.settle()
        assert taken_in(stage.conductor, PATIENCE) == ""
        assert not [key for key in Store(stage.published.address).listed() if "/kept/" in key]
