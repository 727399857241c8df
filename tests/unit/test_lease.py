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

from sweeper.scheduling.recording.events import TrialEnded
from tests.driven import STEPS, Driven


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
        sweep.begin()
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
