"""How many trials may be at work, when that changes while they are."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.home import Home
from sweeper.scheduling.conductor import Conductor
from sweeper.scheduling.events import Event, TrialEnded
from sweeper.scheduling.messages import REHEARSAL, Report
from sweeper.scheduling.recorder import Recorder
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.tpe import Tpe
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Evaluation, Trial

STEPS = 3
SWEEP = Sweep(
    name="leased",
    base={"steps": STEPS},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    search=Tpe.Config(startup_trials=2, start_with_base=False),
)


class Driven:
    """A sweep whose workers report in any order; `steps` is where each trial stands."""

    def __init__(self, folder: Path, parallel: int, trials: int) -> None:
        spec = Sweep(**{**vars(SWEEP), "limits": Limits(trials=trials, parallel=parallel)})
        place = Home.at(folder).sweep(spec.name)
        place.create()
        self.ledger = Ledger.open(spec, place)
        self.heard: list[Event] = []
        recorder = Recorder(spec, place, None)
        self.conductor = Conductor(spec, place, self.ledger, recorder, self.heard.append)
        self.at_work: dict[int, float] = {}
        self.steps: dict[int, int] = {}
        self.begun: list[int] = []

    def hand_out(self) -> None:
        while (work := self.conductor.next_work()) is not None:
            self.conductor.started(work.number)
            self.at_work[work.number] = float(work.config.get("x", 0.0))
            if work.number != REHEARSAL:
                self.begun.append(work.number)

    def report(self, number: int) -> None:
        x = self.at_work[number]
        if number == REHEARSAL:
            report = Report(finished=True)
        else:
            step = self.steps[number] = self.steps.get(number, 0) + 1
            value = (x - 0.3) ** 2 + 1 / step
            report = Report((Evaluation(step, float(step), {"fid": value}),), step == STEPS)
        if self.conductor.heard(number, report):
            del self.at_work[number]

    def to_the_end(self) -> list[Trial]:
        self.conductor.lease(None)
        while not self.conductor.finished:
            self.hand_out()
            self.report(min(self.at_work))
        return self.ledger.trials()


@contextmanager
def driven(parallel: int, trials: int = 5) -> Iterator[Driven]:
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("sweeper.search.journal.os.fsync", return_value=None),
    ):
        yield Driven(Path(folder), parallel, trials)


@settings(max_examples=40, deadline=None)
@given(
    parallel=st.integers(1, 4),
    leases=st.lists(st.none() | st.integers(0, 5), max_size=12),
    dice=st.randoms(use_true_random=False),
)
def test_never_more_at_work_than_the_lease_and_every_trial_once(
    parallel: int, leases: list[int | None], dice: random.Random
) -> None:
    with driven(parallel) as sweep:
        for lease in leases:
            sweep.conductor.lease(lease)
            allowed = parallel if lease is None else min(lease, parallel)
            before = len(sweep.at_work)
            sweep.hand_out()
            assert len(sweep.at_work) <= max(before, allowed)
            for number in dice.sample(sorted(sweep.at_work), len(sweep.at_work)):
                sweep.report(number)
            assert len(sweep.at_work) <= allowed
            sweep.hand_out()
            assert len(sweep.at_work) <= allowed
            over = sum(trial.over for trial in sweep.ledger.trials())
            assert sweep.conductor.finished == (over == 5)
        trials = sweep.to_the_end()
    assert [trial.number for trial in trials] == list(range(5))
    for trial in trials:
        assert [one.step for one in trial.evaluations] == list(range(1, STEPS + 1))
        assert trial.state == "completed"


@settings(max_examples=20, deadline=None)
@given(leases=st.lists(st.integers(0, 1), max_size=25))
def test_one_at_a_time_the_search_is_the_same_under_any_lease(leases: list[int]) -> None:
    with driven(parallel=1) as straight:
        expected = [trial.config for trial in straight.to_the_end()]
    with driven(parallel=1) as sweep:
        for lease in leases:
            sweep.conductor.lease(lease)
            sweep.hand_out()
            for number in list(sweep.at_work):
                sweep.report(number)
        assert [trial.config for trial in sweep.to_the_end()] == expected


def test_the_latest_begun_make_way_and_the_first_of_them_goes_on_first() -> None:
    with driven(parallel=4) as sweep:
        while len(sweep.at_work) < 4:
            sweep.hand_out()
            if REHEARSAL in sweep.at_work:
                sweep.report(REHEARSAL)
        sweep.conductor.lease(2)
        for number in (3, 0, 2, 1):
            sweep.report(number)
        assert sorted(sweep.at_work) == [0, 1]
        told = [event for event in sweep.heard if isinstance(event, TrialEnded)]
        assert [(one.number, one.state) for one in told] == [(3, "interrupted"), (2, "interrupted")]
        sweep.hand_out()
        assert sorted(sweep.at_work) == [0, 1]
        sweep.conductor.lease(3)
        sweep.hand_out()
        assert sorted(sweep.at_work) == [0, 1, 2]
        assert sweep.begun == [0, 1, 2, 3, 2]
        assert len(sweep.ledger.trials()) == 4


def test_without_a_lease_nothing_is_at_work_and_the_sweep_is_not_over() -> None:
    with driven(parallel=2) as sweep:
        sweep.conductor.lease(0)
        sweep.hand_out()
        assert sweep.at_work == {}
        assert not sweep.conductor.finished
        assert not sweep.conductor.may_work
        assert sweep.ledger.trials() == []
        assert len(sweep.to_the_end()) == 5
