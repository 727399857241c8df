"""Trials that share a machine by what they were seen to take, on the real Ray."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.home import Home
from sweeper.scheduling.recording.events import Event, TrialEnded, TrialStarted
from sweeper.scheduling.run import run
from sweeper.search.samplers.random import Random
from sweeper.sharing.learnt import Learnt
from sweeper.sharing.shape import shape_of
from sweeper.sharing.shares import Taken
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.resources import Resources
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Trial
from tests.fakes import FakeGauge, fake
from tests.integration.own_ray import own_ray

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
]

GIB = 2**30
MEMORY = 4 * GIB


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A machine of two cores, a GPU that nobody looks for, and so much memory as Ray knows."""
    with own_ray(num_gpus=1, _memory=MEMORY):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def sweep(base: dict[str, Any] | None = None, **fields: Any) -> Sweep:
    spec = Sweep(
        name="shared",
        base={"steps": 3, "every": 1, "seconds": 1.0, **(base or {})},
        parameters=(Parameter("x", Range(0.0, 1.0)),),
        search=Random.Config(start_with_base=False),
        limits=Limits(trials=4, parallel=4),
        resources=Resources(cpu="auto"),
    )
    return replace(spec, **fields)


class Watched:
    """A sweep that has run: how many trials were at work at once, and the trials."""

    def __init__(self, spec: Sweep, home: Home) -> None:
        self.at_work: set[int] = set()
        self.at_once: list[set[int]] = []
        outcome = run(spec, home, events=self._hear, factory=fake, record=False, report=False)
        assert outcome.state == "finished"
        self.trials = outcome.trials
        assert all(trial.state == "completed" for trial in self.trials)

    def _hear(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self.at_work |= {event.number}
            self.at_once.append(set(self.at_work))
        elif isinstance(event, TrialEnded):
            self.at_work -= {event.trial.number}

    @property
    def most(self) -> int:
        return max(map(len, self.at_once))


def numbers(trials: tuple[Trial, ...]) -> list[Any]:
    return [
        (one.values, one.objective, [(found.step, found.metrics) for found in one.evaluations])
        for one in trials
    ]


@pytest.mark.timeout(300)
def test_trials_that_need_little_of_a_core_run_more_at_once_with_the_same_numbers(
    home: Home, tmp_path: Path
) -> None:
    alone = Watched(sweep(resources=Resources(cpu=2)), Home(tmp_path / "alone"))
    shared = Watched(sweep(), home)
    assert alone.most == 1
    assert shared.most > 2
    assert numbers(shared.trials) == numbers(alone.trials)
    assert all(trial.given is None for trial in alone.trials)
    assert all(trial.given and 0 < trial.given["cpu"] < 1 for trial in shared.trials)


@pytest.mark.timeout(300)
def test_memory_is_never_given_twice_and_a_wrong_share_is_corrected(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.scheduling.tune_loop.ProcessGauge", FakeGauge)
    spec = sweep(
        {"takes": {"cores": 0.1, "memory": int(1.4 * GIB)}}, limits=Limits(trials=8, parallel=6)
    )
    Learnt(home.cache).note(shape_of(spec.base), Taken(1.0, 3 * GIB))  # which is far too much
    watched = Watched(spec, home)
    given = {trial.number: trial.given for trial in watched.trials}
    for together in watched.at_once:
        memory = sum(has["memory"] for number in together if (has := given[number]))
        assert memory <= MEMORY
    assert watched.most == 2
    first, last = given[0], given[7]
    assert first is not None
    assert last is not None
    assert first["memory"] > 3 * GIB
    assert last["memory"] < 2 * GIB


@pytest.mark.timeout(300)
def test_trials_share_a_gpu_by_its_memory_and_its_time(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.scheduling.tune_loop.ProcessGauge", FakeGauge)
    takes = {"gpu_memory": 2 * GIB, "gpu_total": 80 * GIB, "gpu_context": GIB, "gpu_busy": 0.3}
    resources = Resources(cpu=0.1, gpu="auto")
    watched = Watched(sweep({"takes": takes}, resources=resources), home)
    assert watched.most == 3  # as 3 · 1.1 · 0.3 of its time is as much as there is
    assert all(trial.given == {"cpu": 0.1, "gpu": 0.3333, "memory": 0} for trial in watched.trials)
