"""A sweep whose data or extractor change: nothing is judged by values that cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.ablation.designs.leave_one_out import LeaveOneOut
from sweeper.ablation.search_statistics import TRIALS_PER_PARAMETER
from sweeper.cli.live import Progress
from sweeper.cli.main import run
from sweeper.errors import ProtocolChanged
from sweeper.home import Home
from sweeper.parts import RuleConfig
from sweeper.results import main_table, table_of
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.final_score import _changes
from sweeper.scheduling.recording.events import Event
from sweeper.scheduling.recording.events import ProtocolChanged as Told
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.messages import Changed, Report, Work
from sweeper.search.ledger import Ledger
from sweeper.search.reader import read_study
from sweeper.search.samplers.grid import Grid
from sweeper.search.samplers.nsga2 import Nsga2
from sweeper.search.samplers.random import Random
from sweeper.search.samplers.tpe import Tpe
from sweeper.search.stopping.asha import Asha
from sweeper.search.stopping.median import MedianRule
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.standings.against_base import against_base
from sweeper.standings.progress import progress_of
from sweeper.sweepfile.domains import Parameter, Range, Toggle, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Objective, Seeds
from sweeper.trial import Evaluation, FinalScore
from tests.fakes import next_trial
from tests.unit.report_sweeps import PROTOCOL

LR = "optimizer.generator.lr"
SWEEP = Sweep(
    name="probe",
    base={"data": "digits", "steps": 2, "evaluation": {"every": 1}},
    parameters=(Parameter(LR, Range(0.0001, 0.01)),),
    search=Random.Config(start_with_base=False),
    limits=Limits(trials=4, parallel=2),
)

OLD: Mapping[str, str] = PROTOCOL
NEW: Mapping[str, str] = {**PROTOCOL, "data_hash": "5e6f7a8b" * 8}
AVERAGED: Mapping[str, str] = {**PROTOCOL, "weights": "averaged"}


class Stage:
    """A conductor whose workers are played by hand, and what it says."""

    def __init__(self, home: Path, spec: Sweep = SWEEP, *, accept: bool = False) -> None:
        self.spec = spec
        self.folder = Home.at(home).sweep(spec.name)
        self.folder.create()
        self.folder.spec_json.write_text(json.dumps(spec.to_dict()))
        self.ledger = Ledger.open(spec, self.folder, accept_protocol=accept)
        self.heard: list[Event] = []
        recorder = Recorder(spec, self.folder, None)
        self.conductor = Conductor(spec, self.folder, self.ledger, recorder, self.heard.append)

    def begin(self) -> Work:
        work = next_trial(self.conductor)
        assert work is not None
        self.conductor.started(work.number)
        return work

    def finish(self, value: float, protocol: Mapping[str, str]) -> None:
        """Every trial that is left, each with the same value."""
        while (work := next_trial(self.conductor)) is not None:
            self.conductor.started(work.number)
            self.say(work.number, 1, value + 1, protocol)
            self.say(work.number, 2, value, protocol)
        assert self.conductor.complete

    def say(
        self, number: int, step: int, value: float, protocol: Mapping[str, str], last: int = 2
    ) -> bool:
        evaluation = Evaluation(step, 10.0 * number + step, {"fid": value}, protocol)
        return self.conductor.heard(number, Report((evaluation,), finished=step == last))

    def train(self, value: float, protocol: Mapping[str, str] = OLD) -> int:
        """One trial from its start to its end."""
        number = self.begin().number
        if not self.say(number, 1, value + 1, protocol):
            self.say(number, 2, value, protocol)
        return number


def more(spec: Sweep, trials: int) -> Sweep:
    return replace(spec, limits=spec.limits.model_copy(update={"trials": trials}))


def with_scheduler(scheduler: RuleConfig, trials: int = 4) -> Sweep:
    return replace(more(SWEEP, trials), scheduler=scheduler)


def test_a_value_of_another_protocol_is_not_written_and_the_words_name_the_ways_out(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    stage.train(5.0)
    number = stage.begin().number
    before = stage.folder.study_journal.read_bytes()
    with pytest.raises(ProtocolChanged) as refused:
        stage.say(number, 1, 0.1, NEW)
    told = str(refused.value)
    assert "contents of the data" in told
    assert "5e6f7a8b now" in told
    for way in ("restore what it was", "a new name", "--accept-protocol"):
        assert way in told
    assert stage.folder.study_journal.read_bytes() == before
    # The data are back: as if nothing had happened.
    again = Stage(tmp_path)
    assert again.begin().number == number
    again.say(number, 1, 6.0, OLD)


def test_a_protocol_is_known_before_anything_is_trained(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.train(5.0)
    work = stage.begin()
    assert work.protocol == OLD
    with pytest.raises(ProtocolChanged, match="contents of the data"):
        stage.conductor.heard(work.number, Report(changed=Changed(NEW)))


def test_averaged_weights_are_no_other_protocol_and_a_sweep_without_distances_has_none(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    stage.train(5.0, {})
    assert stage.ledger.measuring.protocol == {}
    stage.train(4.0)
    stage.train(3.0, AVERAGED)
    assert stage.ledger.standings().best.value == 3.0
    assert not any(isinstance(event, Told) for event in stage.heard)


@pytest.mark.parametrize(
    "scheduler",
    [
        Asha.Config(grace_steps=1, reduction_factor=2),
        MedianRule.Config(grace_steps=1, startup_trials=1),
        PopulationBased.Config(grace_steps=1, interval_steps=1, quantile=0.5),
    ],
    ids=["asha", "median", "pbt"],
)
def test_rungs_medians_and_donors_of_an_earlier_protocol_judge_nobody(
    scheduler: RuleConfig, tmp_path: Path
) -> None:
    spec = with_scheduler(scheduler)
    first = Stage(tmp_path, spec)
    first.train(2.0)
    first.train(1.0)
    second = Stage(tmp_path, spec, accept=True)
    number = second.begin().number
    # Hopeless beside the old ones, and the best of the new ones.
    assert not second.say(number, 1, 100.0, NEW)
    again = Stage(tmp_path, spec)
    assert again.begin().number == number
    assert not again.say(number, 2, 99.0, NEW, last=3)
    assert again.ledger.trial(number).donors == ()


def test_after_a_change_was_accepted_only_what_follows_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = replace(more(SWEEP, 6), search=Tpe.Config(startup_trials=1, start_with_base=True))
    first = Stage(tmp_path, more(spec, 3))
    for value in (3.0, 2.0, 1.0):
        first.train(value)
    second = Stage(tmp_path, spec, accept=True)
    for value in (60.0, 55.0, 50.0):
        second.train(value, NEW)
    told = [event for event in second.heard if isinstance(event, Told)]
    assert [event.protocol for event in told] == [NEW]
    assert second.conductor.complete  # what was spent before is spent

    standings = read_study(spec, second.folder).standings()
    assert standings.protocol == NEW
    assert (standings.best.trial.number, standings.best.value) == (5, 50.0)
    assert [one.rank for one in standings.order] == [1, 2, 3, None, None, None]
    assert {trial.number for trial in standings.measured_otherwise} == {0, 1, 2}
    assert [trial.role for trial in standings.trials].count("base") == 2
    assert standings.base.number == 4  # measured anew, as what it is compared with
    table = main_table(spec, table_of(standings))
    assert len(table) == 3
    compared = against_base(standings)
    assert (compared.differences[0].value, compared.differences[0].base) == (50.0, 55.0)
    assert "3 runs measured by another protocol" in " ".join(table.notes)

    progress = Progress(spec)
    progress.trials = {trial.number: trial for trial in standings.trials}
    progress.hear(told[0])
    assert "50" in progress.best_line()

    home = ("--home", str(tmp_path))
    assert run(["top", "probe", *home]) == 0
    shown = capsys.readouterr().out
    assert "00005" in shown
    assert "00002  " not in shown
    assert "3 trials were measured by another protocol (other contents of the data)" in shown
    assert run(["status", "probe", *home, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["best"], status["measured_otherwise"]) == (50.0, [0, 1, 2])
    assert (status["over"], status["budget"]) == (6, 6)


def test_a_sampler_sees_nothing_of_an_earlier_protocol(tmp_path: Path) -> None:
    spec = replace(more(SWEEP, 8), search=Tpe.Config(startup_trials=2, start_with_base=False))

    def ended(home: Path, protocol: Mapping[str, str]) -> list[Any]:
        """A search of four trials, and of four more that are measured by `protocol`."""
        stage = Stage(home, more(spec, 4))
        for value in (4.0, 3.0, 2.0, 1.0):
            stage.train(value)
        stage = Stage(home, spec, accept=True)
        for value in (14.0, 13.0, 12.0, 11.0):
            stage.train(value, protocol)
        return [trial.values for trial in stage.ledger.trials()]

    changed, straight = ended(tmp_path / "changed", NEW), ended(tmp_path / "straight", OLD)
    assert changed[:5] == straight[:5]
    assert changed[7] != straight[7]  # the model of the straight one has eight trials, ours three
    # Twelve have ended, eight of them under the present protocol: just enough to tell.
    longer = more(spec, 4 + TRIALS_PER_PARAMETER)
    stage = Stage(tmp_path / "changed", longer)
    for value in range(TRIALS_PER_PARAMETER - 4):
        assert stage.ledger.importances() == {}
        stage.train(20.0 + value, NEW)
    assert set(stage.ledger.importances()) == {LR}


def test_a_change_is_accepted_once_and_going_back_is_another_one(tmp_path: Path) -> None:
    Stage(tmp_path).train(5.0)
    stage = Stage(tmp_path, accept=True)
    stage.train(50.0, NEW)
    with pytest.raises(ProtocolChanged):
        stage.train(4.0, OLD)
    back = Stage(tmp_path, accept=True)
    work = back.begin()
    assert work.protocol == {}
    back.say(work.number, 1, 3.5, OLD)
    back.say(work.number, 2, 3.0, OLD)
    standings = back.ledger.standings()
    assert {trial.number: standings.comparable(trial) for trial in standings.finished} == {
        0: True,
        work.number: True,
    }


def test_a_trial_whose_checkpoint_is_of_other_data_begins_anew_where_that_is_accepted(
    tmp_path: Path,
) -> None:
    pbt = PopulationBased.Config(grace_steps=1, interval_steps=1, quantile=0.5)
    spec = with_scheduler(pbt)
    stage = Stage(tmp_path, spec)
    good, bad = stage.begin().number, stage.begin().number
    stage.say(good, 1, 1.0, OLD)
    assert stage.say(bad, 1, 2.0, OLD)  # it is to take over the other one's checkpoint
    drawn = [trial.values for trial in Stage(tmp_path, spec).ledger.trials()]

    stale = Report(changed=Changed(NEW, "the data are others"))
    refusing = Stage(tmp_path, spec)
    work = refusing.begin()
    with pytest.raises(ProtocolChanged):
        refusing.conductor.heard(work.number, stale)

    accepting = Stage(tmp_path, spec, accept=True)
    asked = [trial.values for trial in accepting.ledger.trials()]
    assert asked == drawn
    for _ in range(2):
        work = accepting.begin()
        assert not work.anew
        assert accepting.conductor.heard(work.number, stale)
        again = accepting.begin()
        assert (again.number, again.anew, again.recorded, again.take_over) == (
            work.number,
            True,
            (),
            None,
        )
    trials = accepting.ledger.trials()
    assert [trial.evaluations for trial in trials] == [(), ()]
    assert all(trial.donors == () for trial in trials)
    assert not accepting.say(good, 1, 70.0, NEW)
    assert accepting.ledger.scheduler.undecided(good) is False
    assert accepting.ledger.trial(good).curve("fid") == {1: 70.0}


def test_a_checkpoint_of_what_was_refused_is_given_up_when_the_data_are_back(
    tmp_path: Path,
) -> None:
    Stage(tmp_path).train(5.0)
    stage = Stage(tmp_path)
    number = stage.begin().number
    assert stage.conductor.heard(number, Report(changed=Changed(OLD, "of other data")))
    assert stage.begin().anew


def test_a_kill_between_a_protocol_and_its_first_value_leaves_the_earlier_one(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    stage.train(5.0)
    accepting = Stage(tmp_path, accept=True)
    number = accepting.begin().number
    journal = accepting.folder.study_journal
    before = len(journal.read_bytes().splitlines())
    accepting.say(number, 1, 50.0, NEW)
    lines = journal.read_bytes().splitlines(keepends=True)
    seen = set()
    for cut in range(before, len(lines) + 1):
        journal.write_bytes(b"".join(lines[:cut]))
        journal.with_suffix(".count").unlink()  # it follows what it counts
        again = Stage(tmp_path)
        assert (
            read_study(SWEEP, again.folder).standings().protocol == again.ledger.measuring.protocol
        )
        measured = bool(again.ledger.trial(number).evaluations)
        assert again.ledger.measuring.protocol == (NEW if measured else OLD)
        seen.add(measured)
    assert seen == {False, True}


def test_a_home_that_an_earlier_version_has_mixed_is_told_and_gone_on_with_only_when_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("sweeper.search.measuring.Measuring.admit", lambda *given: False)
        stage = Stage(tmp_path)
        stage.train(5.0)
        stage.train(50.0, NEW)
    standings = read_study(SWEEP, stage.folder).standings()
    assert (standings.protocol, standings.best.value) == (OLD, 5.0)
    with pytest.raises(ProtocolChanged, match="2 evaluations of 'probe'"):
        Stage(tmp_path)
    assert run(["status", "probe", "--home", str(tmp_path)]) == 0
    assert "1 trial was measured by another protocol" in capsys.readouterr().out
    accepting = Stage(tmp_path, accept=True)
    assert accepting.ledger.standings().best.value == 50.0
    assert accepting.ledger.measuring.accepted
    after = Stage(tmp_path, accept=True).ledger.measuring
    assert (after.protocol, after.accepted) == (NEW, False)


def test_the_cells_of_an_ablation_are_due_again_under_another_protocol(tmp_path: Path) -> None:
    spec = replace(
        SWEEP,
        parameters=(Parameter("tricks.ema", Toggle()),),
        ablation=LeaveOneOut.Config(seeds=2),
        limits=Limits(parallel=1),
    )
    first = Stage(tmp_path, spec)
    for value in (1.0, 2.0, 3.0):
        first.train(value)
    second = Stage(tmp_path, spec, accept=True)
    second.ledger.plan()
    second.finish(50.0, NEW)
    standings = second.ledger.standings()
    assert len(standings.trials) == 3 + 4
    assert [len(cell.values[0]) for cell in standings.cells] == [2, 2]
    assert {value for cell in standings.cells for value in cell.values[0]} == {50.0}
    assert progress_of(standings).state == "finished"


def test_a_grid_that_measures_its_base_again_is_not_further_than_its_end(tmp_path: Path) -> None:
    spec = replace(
        SWEEP,
        parameters=(Parameter(LR, Values((0.001, 0.002, 0.003))),),
        search=Grid.Config(start_with_base=True),
        limits=Limits(parallel=1),
    )
    first = Stage(tmp_path, spec)
    first.train(5.0)
    first.train(6.0)
    later = Stage(tmp_path, spec, accept=True)
    later.ledger.plan()
    later.finish(1.0, NEW)
    standings = later.ledger.standings()
    assert [trial.role for trial in standings.search].count("base") == 2
    progress = progress_of(standings)
    assert (progress.state, progress.over, progress.budget) == ("finished", 4, 4)


def test_the_race_is_held_among_those_of_one_protocol(tmp_path: Path) -> None:
    spec = replace(more(SWEEP, 4), seeds=Seeds(confirm_top=2, replicates=2, screen=2))
    first = Stage(tmp_path, more(spec, 2))
    first.finish(1.0, OLD)
    assert len(first.ledger.trials()) == 2 + 2 * 2
    second = Stage(tmp_path, spec, accept=True)
    second.finish(50.0, NEW)
    standings = second.ledger.standings()
    assert set(standings.replicates) == {6, 7}
    assert len(standings.trials) == 6 + 2 + 2 * 2
    assert all(value == 50.0 for held in standings.replicates.values() for value in held.values())


def test_no_parent_of_a_genetic_sampler_is_of_an_earlier_protocol(tmp_path: Path) -> None:
    both = (Objective(metric="fid"), Objective(metric="kid"))
    genetic = Nsga2.Config(population=2, start_with_base=False)
    spec = replace(more(SWEEP, 12), objective=both, search=genetic)

    def train(stage: Stage, protocol: Mapping[str, str]) -> None:
        while (work := stage.conductor.next_work()) is not None:
            stage.conductor.started(work.number)
            metrics = {"fid": 1.0 + work.number % 3, "kid": 1.0 - work.number % 2}
            evaluation = Evaluation(2, 10.0 + work.number, metrics, protocol)
            stage.conductor.heard(work.number, Report((evaluation,), finished=True))

    train(Stage(tmp_path, more(spec, 6)), OLD)
    stage = Stage(tmp_path, spec, accept=True)
    train(stage, NEW)
    study = stage.ledger._study
    later = {trial._trial_id for trial in study.get_trials()[6:]}
    remembered = study._storage.get_study_system_attrs(study._study_id)
    parents = [ids for name, ids in remembered.items() if ":parent:" in name and ids is not None]
    assert parents
    assert all(later.issuperset(ids) for ids in parents)


def test_a_final_score_that_would_be_measured_otherwise_is_none(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    trial = stage.ledger.trial(stage.train(5.0))
    more_images = FinalScore(2, {"fid_5k": 1.0}, {**OLD, "fake_count": "5000"})
    assert _changes(trial, more_images) == ""
    assert "contents of the data" in _changes(trial, replace(more_images, protocol=NEW))
