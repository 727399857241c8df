"""Random histories of a sweep: whatever was compared was measured alike, and nothing is done twice.

A sweep is run, killed at any write, run again and extended, its data are changed and brought back,
it loses workers, more or fewer of them may be at work, its driver is frozen while another one takes
over, and other people write into its study, in any order. The study, the driver, the worker's part
without Ray, and every part that decides are the real ones; only the training is made up. Each of
its values says by what data it was measured: those of the n-th data lie between 1000 n and
1000 n + 500. So what meets in a decision can be checked without a word about protocols.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import random
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import create_trial

from sweeper.ablation import confirmation, matrix
from sweeper.errors import ProtocolChanged, Superseded
from sweeper.home import Home
from sweeper.results import finished_tables, table_of
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.departure import Departure
from sweeper.scheduling.working.messages import Report, Work
from sweeper.scheduling.working.trainable import Worker
from sweeper.scheduling.working.workplace import Workplace
from sweeper.search.ledger import Ledger
from sweeper.search.looking import look_at
from sweeper.search.reader import read_study
from sweeper.search.sampler_view import SamplerView
from sweeper.search.samplers.cmaes import CmaEs
from sweeper.search.samplers.random import Random
from sweeper.search.samplers.tpe import Tpe
from sweeper.search.scheduler import Scheduler
from sweeper.search.stopping.asha import Asha
from sweeper.search.stopping.hyperband import Hyperband
from sweeper.search.stopping.median import MedianRule
from sweeper.search.stopping.none import NoRule
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.standings import ranking
from sweeper.standings.against_base import against_base
from sweeper.standings.progress import progress_of
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits, Seeds
from sweeper.trial import Evaluation
from tests.fakes import FakeTraining, next_trial
from trials.errors import StaleCheckpointError

STEPS = 4
SHIFT, SPREAD = 1000.0, 500.0
SWEEP = Sweep(
    name="history",
    base={"data": "digits", "steps": STEPS, "evaluation": {"every": 1}},
    parameters=(Parameter("x", Range(0.0, 1.0)), Parameter("y", Range(0.0, 1.0))),
    limits=Limits(trials=2, parallel=2),
)
SAMPLERS = (
    Random.Config(start_with_base=False),
    Tpe.Config(startup_trials=2, start_with_base=False),
    CmaEs.Config(start_with_base=False),
)
RULES = (
    NoRule.Config(),
    Asha.Config(grace_steps=1, reduction_factor=2),
    Hyperband.Config(grace_steps=1, reduction_factor=2),
    MedianRule.Config(grace_steps=1, startup_trials=1),
    PopulationBased.Config(grace_steps=1, interval_steps=1, quantile=0.5),
)
SEEDS = (Seeds(), Seeds(confirm_top=2, replicates=3, screen=2))


class World:
    """What lies around a sweep: the data to train on, by their number, and the time."""

    data = 0
    clock = itertools.count()


def protocol_of(data: int) -> dict[str, str]:
    return {"extractor": "made up", "data_hash": f"{data:064x}"}


def value_of(config: Mapping[str, Any], step: int, data: int) -> float:
    """What a training measures: decided by its configuration, its step and the data."""
    told = json.dumps([config.get("x"), config.get("y"), config.get("seed"), step, data])
    return SHIFT * data + SPREAD * zlib.crc32(told.encode()) / 2**32


def data_behind(value: float) -> int:
    return int(value // SHIFT)


class Measured(FakeTraining):
    """A training on the data that lie on the disk when it is made."""

    def __init__(self, config: Mapping[str, Any], folder: Path, cache: Path) -> None:
        super().__init__(config, folder, cache)
        self.data = World.data

    @property
    def protocol(self) -> Mapping[str, str]:
        return protocol_of(self.data)

    def restore(self) -> bool:
        if not super().restore():
            return False
        self._refuse_other_data()
        return True

    def take_over(self, checkpoint: Path) -> None:
        super().take_over(checkpoint)
        self._refuse_other_data()

    def _refuse_other_data(self) -> None:
        if any(evaluation.protocol != self.protocol for evaluation in self.history):
            raise StaleCheckpointError("the data are others")

    def advance(self) -> Evaluation:
        step = self.step + 1
        metrics = {"fid": value_of(self.config, step, self.data)}
        evaluation = Evaluation(step, float(next(World.clock)), metrics, self.protocol)
        self.history.append(evaluation)
        self._save()
        return evaluation


def worker_of(work: Work) -> Worker:
    """The worker's part of a trial, without the process around it."""
    worker = object.__new__(Worker)
    worker._factory, worker._cache, worker._training = Measured, Path(), None
    worker._work, worker._run, worker._departure = Work.read(work.text()), "", Departure()
    worker._gauge = None
    return worker


class Decisions:
    """Looks at the values that meet wherever something is decided."""

    def __init__(self) -> None:
        self._kept = contextlib.ExitStack()
        self.seen = 0
        self._at(Scheduler, "verdict", self._curves)
        self._at(Scheduler, "take_over", self._curves)
        self._after(SamplerView, "_get_trials", self._sampled)
        self._at(CmaEs, "propose", lambda _, turn: self.met(one.loss for one in turn.results))
        self._at(ranking, "by_search", self._ranked)
        self._at(confirmation, "confirm", lambda outcomes, *_, **__: self.rows(outcomes.values()))
        self._after(matrix, "outcomes_from_table", lambda made: self.met(made.values.flat))

    def met(self, values: Iterable[float | None]) -> None:
        """These values were compared with one another."""
        numbers = [value for value in values if value is not None and math.isfinite(value)]
        self.seen += len(numbers) > 1
        assert len(set(map(data_behind, numbers))) < 2, numbers

    def rows(self, rows: Iterable[Mapping[int, float | None]]) -> None:
        self.met(value for row in rows for value in row.values())

    def forget(self) -> None:
        self._kept.close()

    def _curves(self, scheduler: Scheduler, number: int) -> None:
        self.rows(scheduler._curves.values())

    def _sampled(self, trials: list[Any]) -> None:
        self.met(value for trial in trials for value in trial.values or ())
        self.met(value for trial in trials for value in trial.intermediate_values.values())

    def _ranked(self, finished: Iterable[Any], goals: object) -> None:
        self.met(trial.objective[0] for trial in finished)

    def _at(self, owner: Any, name: str, look: Any) -> None:
        original = getattr(owner, name)

        def watched(*given: Any, **named: Any) -> Any:
            look(*given, **named)
            return original(*given, **named)

        self._kept.enter_context(mock.patch.object(owner, name, watched))

    def _after(self, owner: Any, name: str, look: Any) -> None:
        original = getattr(owner, name)

        def watched(*given: Any, **named: Any) -> Any:
            made = original(*given, **named)
            look(made)
            return made

        self._kept.enter_context(mock.patch.object(owner, name, watched))


class Histories(RuleBasedStateMachine):
    """One sweep, and everything that may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.room = tempfile.TemporaryDirectory()
        self.spec = SWEEP
        self.conductor: Conductor | None = None
        self.workers: dict[int, Worker] = {}
        self.enqueued: list[float] = []
        World.data = 0
        self.decisions = Decisions()
        # The disk is not what is tried here.
        self.patched = mock.patch("sweeper.search.journal.os.fsync", return_value=None)
        self.patched.start()

    def teardown(self) -> None:
        try:
            if self.conductor is not None or self.folder.study_journal.exists():
                self.bring_to_its_end()
        finally:
            self.patched.stop()
            self.decisions.forget()
            self.room.cleanup()

    @property
    def folder(self) -> Any:
        return Home.at(self.room.name).sweep("history")

    @initialize(
        sampler=st.sampled_from(SAMPLERS), rule=st.sampled_from(RULES), seeds=st.sampled_from(SEEDS)
    )
    def made(self, sampler: Any, rule: Any, seeds: Seeds) -> None:
        self.spec = replace(SWEEP, search=sampler, scheduler=rule, seeds=seeds)
        self.folder.create()

    # What a user does

    @precondition(lambda self: self.conductor is None)
    @rule(more=st.integers(0, 3), accept=st.booleans())
    def run(self, more: int, accept: bool) -> None:
        """Run the sweep, or go on with it, for some trials more."""
        limits = self.spec.limits.model_copy(update={"trials": self.spec.limits.trials + more})
        self.spec = replace(self.spec, limits=limits)
        ledger = Ledger.open(self.spec, self.folder, accept_protocol=accept)
        ledger.retry()
        recorder = Recorder(self.spec, self.folder, None)
        self.conductor = Conductor(self.spec, self.folder, ledger, recorder, lambda event: None)

    @rule(data=st.integers(0, 2))
    def change_data(self, data: int) -> None:
        World.data = data

    # What a sweep does

    @precondition(lambda self: self.conductor is not None)
    @rule(turns=st.integers(1, 12), dice=st.randoms(use_true_random=False))
    def train(self, turns: int, dice: random.Random) -> None:
        """Some evaluations, by workers that answer in any order."""
        for _ in range(turns):
            if not self.turn(dice):
                return

    def turn(self, dice: random.Random) -> bool:
        """One report of one worker. False when there is nothing more to do."""
        assert self.conductor is not None
        while (work := next_trial(self.conductor)) is not None:
            self.conductor.started(work.number)
            self.workers[work.number] = worker_of(work)
        if not self.workers:
            self.stop()
            return False
        number = dice.choice(sorted(self.workers))
        report = self.trained(self.workers[number])
        try:
            if self.conductor.heard(number, report):
                self.workers.pop(number)
        except ProtocolChanged:
            self.stop()
            return False
        return True

    def trained(self, worker: Worker) -> Report:
        """What the worker says next, as it is sent."""
        folder = Path(worker._work.folder)
        folder.mkdir(parents=True, exist_ok=True)
        return Report.read(worker._advance(Workplace(worker._work)).text())

    def stop(self) -> None:
        self.conductor, self.workers = None, {}

    # What befalls it

    @precondition(lambda self: self.conductor is not None)
    @rule(dice=st.randoms(use_true_random=False), share=st.floats(0, 1))
    def kill(self, dice: random.Random, share: float) -> None:
        """SIGKILL in the midst of what is written of one report: some of it is on the disk."""
        journal = self.folder.study_journal
        count = journal.with_suffix(".count")
        before, counted = len(journal.read_bytes().splitlines()), count.read_bytes()
        self.turn(dice)
        lines = journal.read_bytes().splitlines(keepends=True)
        kept = before + round(share * (len(lines) - before))
        journal.write_bytes(b"".join(lines[:kept]))
        count.write_bytes(counted)  # it follows what it counts
        asked = {one.number for one in self.study.trials if "config" in one.user_attrs}
        for place in self.folder.trials.iterdir():
            if int(place.name) not in asked:  # no worker had it: asking comes first
                shutil.rmtree(place)
        self.stop()

    @precondition(lambda self: self.workers)
    @rule(dice=st.randoms(use_true_random=False))
    def lose_a_worker(self, dice: random.Random) -> None:
        assert self.conductor is not None
        number = dice.choice(sorted(self.workers))
        lost = self.workers.pop(number)
        if dice.random() < 0.5:  # it had trained and saved, and nobody heard of it
            self.trained(lost)
        self.conductor.died(number, "gone")

    @precondition(lambda self: self.conductor is not None)
    @rule(parallel=st.none() | st.integers(0, 3))
    def lease(self, parallel: int | None) -> None:
        """More or fewer trials may be at work than so far."""
        assert self.conductor is not None
        self.conductor.lease(parallel)

    @precondition(lambda self: self.workers)
    @rule(dice=st.randoms(use_true_random=False))
    def freeze(self, dice: random.Random) -> None:
        """Another driver takes the sweep up; then the first one wakes, and a report comes in."""
        frozen, number = self.conductor, dice.choice(sorted(self.workers))
        assert frozen is not None
        self.stop()
        self.run(0, accept=False)
        before = self.folder.study_journal.read_bytes()
        late = Evaluation(STEPS + 1, 0.0, {"fid": 0.0}, {})
        with pytest.raises(Superseded):
            frozen.heard(number, Report((late,)))
        assert self.folder.study_journal.read_bytes() == before

    @precondition(lambda self: self.folder.study_journal.exists())
    @rule(x=st.floats(0, 1), sound=st.booleans())
    def enqueue(self, x: float, sound: bool) -> None:
        """Somebody tries a guess, or what is no point of the space."""
        self.study.enqueue_trial({"x" if sound else "z": x})
        if sound:
            self.enqueued.append(x)

    @precondition(lambda self: self.folder.study_journal.exists())
    @rule(running=st.booleans())
    def add(self, running: bool) -> None:
        """Somebody leaves a trial of another program: better than all, or never ended."""
        if running:
            self.study.ask()
            return
        between = FloatDistribution(0.0, 1.0)
        self.study.add_trial(
            create_trial(
                value=-5 * SHIFT,
                params={"x": 0.5, "y": 0.5},
                distributions={"x": between, "y": between},
            )
        )

    @property
    def study(self) -> optuna.Study:
        """The study as Optuna's own tools open it."""
        storage = JournalStorage(JournalFileBackend(str(self.folder.study_journal)))
        return optuna.load_study(study_name="history", storage=storage)

    # What must hold

    @invariant()
    def whatever_is_shown_can_be_compared(self) -> None:
        study = read_study(self.spec, self.folder)
        if study is None:
            return
        standings = study.standings()
        looked, foreign = look_at(self.folder, self.spec)  # by the digest, which is made here
        assert looked.trials == standings.trials
        assert (looked.planned, looked.protocol) == (standings.planned, standings.protocol)
        assert foreign == study.foreign()
        if standings.best is not None:
            self.decisions.met(
                [standings.best.value, *standings.scores.values(), standings.best.own_value]
            )
        self.decisions.rows(standings.replicates.values())
        self.decisions.rows(standings.curve(trial) for trial in standings.trials)
        self.decisions.met(standing.value for standing in standings.order)
        if (found := against_base(standings)) is not None:
            for one in found.differences:
                self.decisions.met([one.value, one.base])
        finished_tables(self.spec, table_of(standings))
        study.importances()

    def bring_to_its_end(self) -> None:
        """Run it until there is nothing to do, then look at the books."""
        patient = random.Random(0)
        for _ in range(4):
            if self.conductor is None:
                self.run(0, accept=True)
            for _ in range(500):
                if not self.turn(patient):
                    break
        study = read_study(self.spec, self.folder)
        assert study is not None
        standings = study.standings()
        assert progress_of(standings).state == "finished"
        assert len({trial.number for trial in standings.trials}) == len(standings.trials)
        assert len(standings.search) == self.spec.limits.trials
        asked = [trial.config["x"] for trial in standings.search if not trial.donors]
        for x in set(self.enqueued):
            assert asked.count(x) <= self.enqueued.count(x)
        for trial in standings.trials:
            assert trial.over
            for evaluation in trial.evaluations:
                data = data_behind(evaluation.metrics["fid"])
                assert evaluation.protocol == protocol_of(data)
            if not trial.donors:
                exact = {
                    one.step: value_of(trial.config, one.step, data_behind(one.metrics["fid"]))
                    for one in trial.evaluations
                }
                assert {one.step: one.metrics["fid"] for one in trial.evaluations} == exact
            if trial.state == "completed":
                assert [one.step for one in trial.evaluations] == list(range(1, STEPS + 1))
                assert trial.objective == (trial.evaluations[-1].metrics["fid"],)
                assert len({one.protocol["data_hash"] for one in trial.evaluations}) == 1
        raced = [
            (trial.of, trial.config["seed"], trial.protocol.get("data_hash"))
            for trial in standings.trials
            if trial.role == "replicate"
        ]
        assert len(set(raced)) == len(raced)


Histories.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    # A history is short enough to be read as it is, and shrinking one takes minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestHistories = Histories.TestCase
