"""What the driver decides and says, without Ray: workers are played by hand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import SweeperError
from sweeper.home import Home
from sweeper.parts import RuleConfig
from sweeper.scheduling.closing import closing
from sweeper.scheduling.conductor import Conductor
from sweeper.scheduling.events import Event, PhaseChanged, TrialStarted
from sweeper.scheduling.failure_counts import FALSE_STARTS
from sweeper.scheduling.messages import Failure, Report, Work
from sweeper.scheduling.recorder import Recorder
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.random import Random
from sweeper.search.stopping.asha import Asha
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.sweepfile.domains import Parameter, Range, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Seeds
from sweeper.trial import Evaluation

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
        given = self.conductor.next_work()
        assert given is not None
        return given

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
    stage.conductor.pause(True)
    stage.conductor.stop("no_new", "stopped on request")
    stage.conductor.pause(False)
    assert stage.phases == ["searching", "paused", "draining"]
    assert stage.conductor.next_work() is None


def test_a_confirmation_that_was_paused_goes_on_as_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path, replace(SWEEP, seeds=Seeds(confirm_top=1, replicates=2)))
    stage.train()
    stage.train()
    stage.train()
    stage.conductor.pause(True)
    stage.conductor.pause(False)
    assert stage.phases == ["searching", "confirming", "paused", "confirming"]
    stage.train()
    assert stage.ending == ("finished", "")


def test_a_sweep_that_is_paused_says_what_lets_it_go_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.conductor.pause(True)
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
    with pytest.raises(SweeperError, match=f"there are no weights; mend that, then .*{advice}$"):
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
    assert "1 trial came to nothing" in message
    assert message.endswith("the kernel killed it; run the sweep again to try it once more")
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
    assert straight[1].donors or straight[1].symptom == "scheduler"
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


def test_a_start_that_a_cancel_has_overtaken_starts_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    work = stage.work()
    stage.conductor.stop("at_evaluation", "cancelled")
    stage.conductor.interrupt_all()
    before = stage.ledger.trials()
    stage.conductor.started(work.number)
    assert stage.ledger.trials() == before
    assert not any(isinstance(event, TrialStarted) for event in stage.heard)
    assert stage.conductor.heard(work.number, Report())
