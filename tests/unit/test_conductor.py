"""What the driver decides and says, without Ray: workers are played by hand."""

from __future__ import annotations

import contextlib
import errno
import platform
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import SweeperError, TrackingError
from sweeper.home import Home
from sweeper.parts import RuleConfig
from sweeper.scheduling.closing import closing, gave_out
from sweeper.scheduling.conducting import retries
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.conducting.failure_counts import FALSE_STARTS
from sweeper.scheduling.conducting.rehearsal import DEATHS
from sweeper.scheduling.conducting.retries import Retries
from sweeper.scheduling.recording.events import Event, Noted, PhaseChanged, TrialStarted
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working import machine_checks
from sweeper.scheduling.working.failures import NOT_SHARED, explain
from sweeper.scheduling.working.kept_checkpoints import begin
from sweeper.scheduling.working.messages import REHEARSAL, Failure, Report, Work
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.random import Random
from sweeper.search.samplers.tpe import Tpe
from sweeper.search.stopping.asha import Asha
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.sweepfile.domains import Parameter, Range, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Seeds
from sweeper.testing.small import SMALL, comparable
from sweeper.tracking.database import Database
from sweeper.trial import Evaluation
from tests.fakes import next_trial
from trials.config import load_config
from trials.trainer import Training

SWEEP = Sweep(
    name="probe",
    base={"steps": 1},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    search=Random.Config(start_with_base=False),
    limits=Limits(trials=2, parallel=2),
)


class Stage:
    """A conductor and what it says."""

    def __init__(self, home: Path, spec: Sweep = SWEEP, retry_failed: Collection[str] = ()) -> None:
        folder = Home.at(home).sweep(spec.name)
        folder.create()
        self.ledger = Ledger.open(spec, folder)
        self.ledger.retry(retry_failed)
        self.heard: list[Event] = []
        recorder = Recorder(spec, folder, None)
        self.conductor = Conductor(spec, folder, self.ledger, recorder, self.heard.append)

    def work(self) -> Work:
        given = next_trial(self.conductor)
        assert given is not None
        return given

    def die(self, times: int = 1) -> Work:
        """A trial whose workers die as soon as they have taken it up."""
        for _ in range(times):
            work = self.work()
            self.conductor.started(work.number)
            self.conductor.died(work.number, "the kernel killed it")
        return work

    def train(self, failure: Failure | None = None) -> None:
        """One trial from its start to its end."""
        work = self.work()
        self.conductor.started(work.number)
        evaluation = Evaluation(1, 0.0, {"fid": 1.0 + work.number})
        done = Report(evaluations=(evaluation,), finished=True)
        report = done if failure is None else Report(finished=True, failure=failure)
        self.conductor.heard(work.number, report)

    @property
    def phases(self) -> list[str]:
        return [one.phase for one in self.heard if isinstance(one, PhaseChanged)]

    @property
    def ending(self) -> Any:
        trials = self.ledger.trials()
        return closing(self.conductor, trials, signalled=False, cancelled=False)


def test_a_pause_that_is_lifted_by_a_stop_lets_nothing_go_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.train()
    stage.conductor.halting.pause(True)
    stage.conductor.halting.stop("no_new", "stopped on request")
    stage.conductor.halting.pause(False)
    assert stage.phases == ["rehearsing", "searching", "paused", "draining"]
    assert stage.conductor.next_work() is None


def test_a_confirmation_that_was_paused_goes_on_as_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path, replace(SWEEP, seeds=Seeds(confirm_top=1, replicates=2)))
    stage.train()
    stage.train()
    stage.train()
    stage.conductor.halting.pause(True)
    stage.conductor.halting.pause(False)
    assert stage.phases == ["rehearsing", "searching", "confirming", "paused", "confirming"]
    stage.train()
    assert stage.ending == ("finished", "")


def test_a_sweep_that_is_paused_says_what_lets_it_go_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.conductor.halting.pause(True)
    (said,) = stage.heard
    assert isinstance(said, PhaseChanged)
    assert "sweeper resume probe" in said.message


def test_a_limit_that_ends_a_sweep_has_to_be_raised_and_the_ending_says_so(tmp_path: Path) -> None:
    stage = Stage(tmp_path, replace(SWEEP, limits=Limits(trials=2, failed=1)))
    stage.train(Failure("error", "ValueError: no"))
    state, message = stage.ending
    assert state == "failed"
    assert "limits.failed is 1; none of 1 trial finished (1 error): ValueError: no" in message


def test_too_many_failures_are_a_failure_also_where_some_trials_finished(tmp_path: Path) -> None:
    stage = Stage(tmp_path, replace(SWEEP, limits=Limits(trials=3, failed=1)))
    stage.train()
    stage.train(Failure("error", "ValueError: no"))
    state, message = stage.ending
    assert state == "failed"
    assert message.endswith("limits.failed is 1; raise it and run the sweep again to go on")


@pytest.mark.parametrize("searched", ["x", "seed", "one value"])
@pytest.mark.parametrize(
    ("symptom", "advice"),
    [("error", "run the sweep again with --retry-failed error"), ("unreadable", "the sweep again")],
)
def test_a_sweep_in_which_nothing_works_ends_and_its_advice_helps(
    symptom: str, advice: str, searched: str, tmp_path: Path
) -> None:
    domains = {"x": Range(0.0, 1.0), "seed": Range(0, 99, integer=True), "one value": Values((1,))}
    spec = replace(SWEEP, parameters=(Parameter(searched, domains[searched]),))
    spec, reason = replace(spec, limits=Limits(trials=4)), "ExtractorError: there are no weights"
    stage = Stage(tmp_path, spec)
    stage.train(Failure(symptom, reason))
    stage.train(Failure(symptom, reason))
    with pytest.raises(SweeperError, match=f"there are no weights; fix this, then .*{advice}$"):
        stage.train(Failure(symptom, reason))
    assert [one.state for one in stage.ledger.trials()] == ["failed"] * 3
    failed = [(one.number, one.config) for one in stage.ledger.trials()]
    again = Stage(tmp_path, spec, retry_failed=["error"] if symptom == "error" else [])
    for _ in range(4):
        again.train()
    assert again.ending == ("finished", "")
    assert [(one.number, one.config) for one in again.ledger.trials()[:3]] == failed
    assert len(again.ledger.trials()) == 4


def test_data_that_vanish_in_the_middle_of_a_sweep_do_not_cost_its_budget(tmp_path: Path) -> None:
    stage = Stage(tmp_path, replace(SWEEP, limits=Limits(trials=9)))
    stage.train()
    failure = Failure("unreadable", "DataError: no such folder")
    stage.train(failure)
    stage.train(failure)
    with pytest.raises(SweeperError, match="no such folder"):
        stage.train(failure)


@pytest.mark.parametrize("case", ["reasons", "symptom", "one works"])
def test_failures_that_are_the_trials_own_end_nothing(case: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, replace(SWEEP, limits=Limits(trials=9)))
    if case == "one works":
        stage.train()
    for count in range(5):
        reason = f"no {count}" if case == "reasons" else "no"
        stage.train(Failure("divergence" if case == "symptom" else "error", reason))
    assert stage.conductor.next_work() is not None


def test_as_many_workers_as_there_are_may_make_way_at_once(tmp_path: Path) -> None:
    many = 2 * FALSE_STARTS
    stage = Stage(tmp_path, replace(SWEEP, limits=Limits(trials=many, parallel=many)))
    given = [stage.work() for _ in range(many)]
    for work in given:
        stage.conductor.died(work.number, "it made way for a new one")
    assert len([stage.work() for _ in range(many)]) == many


def test_workers_that_can_never_start_end_the_sweep(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    def die() -> None:
        for _ in range(FALSE_STARTS + 2):
            stage.conductor.died(stage.work().number, "no such module")

    with pytest.raises(Exception, match="before they can start a trial: no such module"):
        die()


@pytest.mark.parametrize("number", [0, 1, 3], ids=["first", "second", "replicate"])
def test_a_trial_that_was_lost_with_its_worker_is_told_and_tried_again(
    number: int, tmp_path: Path
) -> None:
    spec = replace(SWEEP, seeds=Seeds(confirm_top=1, replicates=2))
    stage = Stage(tmp_path, spec)
    for place in range(4):
        lost = Failure("worker_died", "the kernel killed it") if place == number else None
        stage.train(lost)
    state, message = stage.ending
    assert state == "incomplete"
    assert "1 trial failed for reasons outside" in message
    assert message.endswith("the kernel killed it; run the sweep again to retry it")
    again = Stage(tmp_path, spec)
    assert again.work().number == number
    again.conductor.started(number)
    done = Report(evaluations=(Evaluation(1, 0.0, {"fid": 0.5}),), finished=True)
    again.conductor.heard(number, done)
    trial = again.ledger.trials()[number]
    assert (trial.number, trial.state, trial.attempts) == (number, "completed", 2)


@pytest.mark.parametrize("symptom", ["error", "mode_collapse", "divergence"])
def test_a_sweep_without_one_finished_trial_has_failed(symptom: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.train(Failure(symptom, "the first"))
    stage.train(Failure("out_of_memory", "the second"))
    stage.train(Failure("out_of_memory", "the second again, alone"))
    state, message = stage.ending
    assert state == "failed"
    assert f"none of 2 trials finished (1 {symptom}, 1 out_of_memory): the first" in message
    assert (message.count("--retry-failed error") == 1) == (symptom == "error")


HALVING = Asha.Config(grace_steps=1, reduction_factor=2)
POPULATION = PopulationBased.Config(grace_steps=1, interval_steps=1, quantile=0.5)


@pytest.mark.parametrize("scheduler", [HALVING, POPULATION], ids=["asha", "pbt"])
def test_a_kill_between_an_evaluation_and_its_verdict_changes_no_verdict(
    scheduler: RuleConfig, tmp_path: Path
) -> None:
    spec = replace(SWEEP, base={"evaluation": {"every": 1}}, scheduler=scheduler)
    stage = Stage(tmp_path, spec)
    works = [stage.work(), stage.work()]
    for work in works:
        stage.conductor.started(work.number)
    journal = Home.at(tmp_path).sweep(spec.name).study_journal
    before = 0
    for work in works:  # the second one is worse than the first
        evaluation = Evaluation(1, 0.0, {"fid": 1.0 + work.number})
        before = len(journal.read_bytes().splitlines())
        stage.conductor.heard(work.number, Report(evaluations=(evaluation,)))
    straight = Stage(tmp_path, spec).ledger.trials()
    assert straight[1].donors or straight[1].cause == "scheduler"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) > before + 2
    for cut in range(before + 1, len(lines)):
        journal.write_bytes(b"".join(lines[:cut]))
        journal.with_suffix(".count").unlink()  # a kill comes before what was cut off is counted
        again = Stage(tmp_path, spec)
        while (waiting := again.conductor.next_work()) is not None:
            if waiting.undecided:
                again.conductor.heard(waiting.number, Report())
        told = Stage(tmp_path, spec).ledger.trials()
        assert [replace(one, ended=None) for one in told] == [
            replace(one, ended=None) for one in straight
        ]


def test_a_trial_that_could_not_take_over_is_recorded_as_what_it_went_on_from(
    tmp_path: Path,
) -> None:
    spec = replace(SWEEP, base={"steps": 3}, scheduler=POPULATION)
    stage = Stage(tmp_path, spec)
    for work in (stage.work(), stage.work()):
        stage.conductor.started(work.number)
        evaluation = Evaluation(1, 0.0, {"fid": 1.0 + work.number})
        stage.conductor.heard(work.number, Report((evaluation,)))
    heir = stage.work()
    assert str(heir.take_over).endswith("00000/kept/000001")
    stage.conductor.started(1)
    began = stage.ledger.lineage(1)[0].config
    evaluation = Evaluation(2, 0.0, {"fid": 0.1})
    stage.conductor.heard(1, Report((evaluation,), own=True))
    stage = Stage(tmp_path, spec)
    works = {work.number: work for work in (stage.work(), stage.work())}
    assert works[1].take_over == heir.take_over  # its mark in the folder names that
    assert stage.ledger.trial(1).donors == ((1, 1),)
    first, last = stage.ledger.lineage(1)
    assert (first.number, first.until, last.number, last.after) == (1, 1, 1, 1)
    assert first.config != last.config == stage.ledger.trial(1).config
    assert began == first.config
    stage.conductor.heard(1, Report((Evaluation(3, 0.0, {"fid": 0.1}),)))
    assert stage.ledger.trial(1).donors == ((1, 0),)  # it has lost what it had, and could take over


def test_a_trial_gets_one_verdict_at_one_evaluation(tmp_path: Path) -> None:
    spec = replace(SWEEP, base={"evaluation": {"every": 1}}, scheduler=HALVING)
    stage = Stage(tmp_path, spec)
    first, second = stage.work(), stage.work()
    for work, value in ((first, 2.0), (second, 1.0)):
        stage.conductor.started(work.number)
        evaluation = Evaluation(1, 0.0, {"fid": value})
        assert not stage.conductor.heard(work.number, Report(evaluations=(evaluation,)))
    broken = Evaluation(2, 0.0, {"fid": float("nan")})
    assert not stage.conductor.heard(first.number, Report(evaluations=(broken,)))


@pytest.mark.parametrize(
    ("asked", "state"), [("cancelled", "cancelled"), ("signalled", "interrupted")]
)
def test_a_sweep_that_is_ended_while_its_last_trials_are_at_work_is_not_done(
    asked: str, state: str, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    for work in (stage.work(), stage.work()):
        stage.conductor.started(work.number)
    stage.conductor.halting.stop("at_evaluation", asked)
    stage.conductor.interrupt_all()
    assert stage.conductor.finished
    assert not stage.conductor.complete
    words = {"cancelled": False, "signalled": False, asked: True}
    assert closing(stage.conductor, stage.ledger.trials(), **words)[0] == state


def test_no_limit_need_be_raised_for_a_final_score(tmp_path: Path) -> None:
    stage = Stage(tmp_path, replace(SWEEP, limits=Limits(trials=1)))
    work = stage.work()
    stage.conductor.halting.stop("no_new", "limits.hours (1) has been reached", limit=True)
    stage.conductor.started(work.number)
    evaluation = Evaluation(1, 0.0, {"fid": 1.0})
    stage.conductor.heard(work.number, Report(evaluations=(evaluation,), finished=True))
    asked = {"signalled": True, "cancelled": False, "unscored": "it is due"}
    state, message = closing(stage.conductor, stage.ledger.trials(), **asked)
    assert (state, message) == ("interrupted", "it is due; run the sweep again to measure it")


def test_a_start_that_a_cancel_has_overtaken_starts_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    work = stage.work()
    stage.conductor.halting.stop("at_evaluation", "cancelled")
    stage.conductor.interrupt_all()
    before = stage.ledger.trials()
    stage.conductor.started(work.number)
    assert stage.ledger.trials() == before
    assert not any(isinstance(event, TrialStarted) for event in stage.heard)
    assert stage.conductor.heard(work.number, Report())


def test_a_damaged_checkpoint_costs_steps_and_changes_nothing_in_the_study(tmp_path: Path) -> None:
    steps = Sweep(
        name="probe",
        base=dict(SMALL, steps=9),
        parameters=(Parameter("seed", Range(0, 9, integer=True)),),
        search=Random.Config(start_with_base=False),
        limits=Limits(trials=1),
    )
    first = Stage(tmp_path / "disturbed", steps)
    work = first.work()
    first.conductor.started(work.number)
    begun = Training(load_config(work.config), Path(work.folder))
    for _ in range(2):
        assert not first.conductor.heard(work.number, Report((begun.advance(),)))
    begun.checkpoint_file.write_bytes(begun.checkpoint_file.read_bytes()[:-50])

    second = Stage(tmp_path / "disturbed", steps)
    heard = play(second)
    assert heard == [6, 9]  # the first of them was in the study already
    (trial,) = second.ledger.trials()
    assert trial.state == "completed"
    (note,) = trial.notes
    assert "goes on from the one before it, at step 3" in note
    assert [one.message for one in second.heard if isinstance(one, Noted)] == [
        f"trial 00000: {note}"
    ]
    whole = Stage(tmp_path / "whole", steps)
    play(whole)
    (expected,) = whole.ledger.trials()
    assert [(one.step, comparable(one.metrics)) for one in trial.evaluations] == [
        (one.step, comparable(one.metrics)) for one in expected.evaluations
    ]


def play(stage: Stage) -> list[int]:
    """A worker's part with a real training, up to the end of one trial: the steps it reported."""
    work = stage.work()
    stage.conductor.started(work.number)
    training = Training(load_config(work.config), Path(work.folder))
    begin(training, Path(work.folder), work)
    notes, steps = tuple(training.notes), []
    while not training.finished:
        evaluation = training.advance()
        steps.append(evaluation.step)
        report = Report((evaluation,), training.finished, notes=notes)
        assert stage.conductor.heard(work.number, report) is training.finished
        notes = ()
    return steps


NO_DATA = Report(finished=True, failure=Failure("unreadable", "DataError: there are no pictures"))


def test_what_no_trial_can_do_without_is_missed_before_the_first_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    rehearsal = stage.conductor.next_work()
    assert rehearsal is not None
    assert (rehearsal.number, rehearsal.config) == (REHEARSAL, SWEEP.base)
    assert stage.conductor.next_work() is None  # not beside it either
    with pytest.raises(SweeperError, match=r"no trial was started.*there are no pictures"):
        stage.conductor.heard(REHEARSAL, NO_DATA)
    assert stage.ledger.trials() == []
    again = Stage(tmp_path)
    again.train()
    again.train()
    assert again.ending == ("finished", "")
    assert Stage(tmp_path, replace(SWEEP, limits=Limits(trials=3))).work().number == 2


def test_what_gave_out_on_a_machine_is_named_and_is_nothing_of_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, scratch = Stage(tmp_path), "/tmp/gan-sweeper-1000/00000/checkpoint.pt"
    full = OSError(errno.ENOSPC, "No space left on device", scratch)
    with pytest.raises(SweeperError, match=f"for {scratch} on {platform.node()}: make") as raised:
        stage.train(explain(full, tmp_path))
    assert gave_out(raised.value)
    other = Failure(NOT_SHARED, "node7 has gan-sweeper 2, but this machine has 1: install the same")
    with pytest.raises(SweeperError, match="node7 has") as raised:
        Stage(tmp_path).train(other)
    assert not gave_out(raised.value)
    monkeypatch.setattr(machine_checks, "version_of", lambda name: "2")  # installed meanwhile
    with pytest.raises(SweeperError, match="node7 has") as raised:
        Stage(tmp_path).train(other)
    assert gave_out(raised.value)


def test_a_full_disk_that_the_record_meets_first_is_nothing_of_the_sweep_either(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "outbox.db")
    with contextlib.closing(database), database.reading() as connection:
        connection.execute("PRAGMA max_page_count = 1")  # as many as it has: there is no room
        with pytest.raises(TrackingError, match="disk is full") as raised:
            database.set_meta("study", "s" * 100_000)
    assert gave_out(raised.value) == "disk"


def test_what_is_rehearsed_is_not_rehearsed_again(tmp_path: Path) -> None:
    Stage(tmp_path).train()
    work = Stage(tmp_path).conductor.next_work()
    assert work is not None
    assert work.number == 1


def test_a_base_that_needs_too_much_memory_keeps_no_other_from_trying(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.conductor.next_work() is not None
    failure = Failure("out_of_memory", "no room")
    assert stage.conductor.heard(REHEARSAL, Report(finished=True, failure=failure))
    assert stage.work().number == 0


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.0)


ALONE = replace(
    SWEEP, search=Tpe.Config(startup_trials=2, start_with_base=False), limits=Limits(trials=6)
)


@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("deaths", [1, 3])
def test_workers_that_die_change_neither_a_search_nor_its_values(
    deaths: int, tmp_path: Path
) -> None:
    straight, killed = Stage(tmp_path / "straight", ALONE), Stage(tmp_path / "killed", ALONE)
    for number in range(6):
        straight.train()
        if number in (0, 3):
            assert killed.die(deaths).number == number
        killed.train()
    assert straight.ending == killed.ending == ("finished", "")
    told = [
        [(one.number, one.config, one.objective) for one in stage.ledger.trials()]
        for stage in (straight, killed)
    ]
    assert told[0] == told[1]


def test_a_trial_that_rests_after_a_death_keeps_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 60.0)
    stage = Stage(tmp_path, ALONE)
    stage.die()
    assert stage.conductor.next_work() is None
    assert not stage.conductor.finished
    assert len(stage.ledger.trials()) == 1


@pytest.mark.usefixtures("without_pauses")
def test_a_trial_that_dies_again_after_a_clean_rehearsal_is_given_up_till_the_next_run(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, ALONE)
    stage.die(4)
    [given_up] = stage.ledger.trials()
    assert (given_up.cause, given_up.attempts) == ("worker_died", 4)
    assert given_up.reason.startswith("4 workers died under it after step 0")
    for _ in range(5):
        stage.train()
    assert stage.ending[0] == "incomplete"
    again = Stage(tmp_path, ALONE)
    again.train()
    assert again.ending == ("finished", "")


@pytest.mark.usefixtures("without_pauses")
def test_a_machine_on_which_the_base_dies_too_is_at_fault_and_not_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path, ALONE)
    stage.die(3)
    for _ in range(DEATHS - 1):
        rehearsal = stage.conductor.next_work()
        assert rehearsal is not None
        assert rehearsal.number == REHEARSAL
        stage.conductor.died(REHEARSAL, "the kernel killed it")
    assert stage.conductor.next_work() is not None
    with pytest.raises(SweeperError, match="workers die here whatever they train"):
        stage.conductor.died(REHEARSAL, "the kernel killed it")
    assert [one.over for one in stage.ledger.trials()] == [False]


def test_a_trial_that_dies_on_several_machines_is_at_fault() -> None:
    several = Retries(machines=lambda: 3)
    assert several.died(0, 250, {"a": 2}) == "go on"
    assert several.died(0, 250, {"a": 2, "b": 1}) == "give up"
    assert [several.died(1, 0, {"a": count}) for count in (3, 5, 6)] == [
        "go on",
        "go on",
        "rehearse",
    ]
    assert several.rests(1)
    several.rehearsed()
    assert several.died(1, 0, {"a": 7}) == "give up"


def test_pauses_double_and_end() -> None:
    assert [retries.pause(deaths) for deaths in (1, 2, 3, 20)] == [0.5, 1.0, 2.0, 60.0]
