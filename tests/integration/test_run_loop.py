"""Sweeps of trainings that train nothing, through the real Ray Tune."""

from __future__ import annotations

import gc
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.tune.experiment import Trial as TuneTrial

from sweeper.errors import SpecConflict, Superseded, SweepBusy, UserError
from sweeper.home import Home, Request
from sweeper.scheduling.conducting import setbacks
from sweeper.scheduling.conducting.meter import Meter
from sweeper.scheduling.conducting.steering import Pulse, Steering
from sweeper.scheduling.recording.events import (
    Event,
    Outcome,
    PhaseChanged,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
)
from sweeper.scheduling.run import run
from sweeper.scheduling.working import attempts
from sweeper.search.sampler import Sampler, Turn
from sweeper.search.stopping.asha import Asha
from sweeper.search.stopping.pbt import PopulationBased
from sweeper.sweepfile.domains import Parameter, Range, Values
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.resources import Resources
from sweeper.sweepfile.sections import Limits, Seeds
from sweeper.sweepfile.space import Draw, walk
from sweeper.trial import Trial
from tests.fakes import FakeTraining, fake
from tests.integration.own_ray import own_ray
from trials.origins import origin_of
from trials.part import temporary_parts

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

X, Y = Parameter("x", Range(0.0, 1.0)), Parameter("y", Range(0.0, 1.0))


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One Ray for all of these tests, as a program would have that uses Ray itself."""
    with own_ray(num_gpus=2):  # that there are none, no fake finds out
        yield


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def sweep(*parameters: Parameter, trials: int = 6, parallel: int = 2, **fields: Any) -> Sweep:
    limits = fields.pop("limits", {})
    search = {"sampler": "tpe", "start_with_base": False, **fields.pop("search", {})}
    base = {"steps": 4, "every": 1, **fields.pop("base", {})}
    return Sweep(
        name="probe",
        base=base,
        parameters=parameters or (X, Y),
        search=Sampler.named(search.pop("sampler")).Config(**search),
        limits=Limits(trials=trials, parallel=parallel, **limits),
        **fields,
    )


def go(
    spec: Sweep, home: Home, hear: Callable[[Event], None] = lambda event: None
) -> tuple[Outcome, list[Event]]:
    heard: list[Event] = []

    def listen(event: Event) -> None:
        heard.append(event)
        hear(event)

    outcome = run(spec, home, events=listen, factory=fake, record=False, report=False)
    return outcome, heard


def essence(records: tuple[Trial, ...]) -> list[tuple[Any, ...]]:
    """All of a trial that does not depend on the clock."""
    return [
        (
            one.number,
            one.state,
            one.role,
            one.of,
            one.values,
            one.config,
            [(found.step, found.metrics) for found in one.evaluations],
            one.objective,
            one.donors,
        )
        for one in records
    ]


def at(event: TrialEvaluated) -> tuple[int, int]:
    return event.number, event.evaluation.step


def steps_heard(events: list[Event]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for event in events:
        if isinstance(event, TrialEvaluated):
            found.setdefault(event.number, []).append(event.evaluation.step)
    return found


def seeing(config: Mapping[str, Any], folder: Path, cache: Path) -> FakeTraining:
    (folder / "sees").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    return fake(config, folder, cache)


def test_a_trial_that_is_given_no_gpu_sees_none(home):
    outcome = run(sweep(trials=1), home, factory=seeing, record=False, report=False)
    assert outcome.state == "finished"
    [sees] = outcome.folder.glob("trials/*/sees")
    assert sees.read_text() == ""


def test_a_sweep_spends_its_budget_confirms_its_best_and_says_everything_once(home):
    outcome, events = go(sweep(seeds=Seeds(confirm_top=2, replicates=2)), home)
    assert (outcome.state, outcome.exit_code) == ("finished", 0)
    assert [one.number for one in outcome.trials] == list(range(10))
    assert [one.role for one in outcome.trials] == ["search"] * 6 + ["replicate"] * 4
    assert all(one.state == "completed" for one in outcome.trials)
    ranked = sorted(outcome.trials[:6], key=lambda one: one.objective)
    assert outcome.standings.best.trial == ranked[0]
    assert {one.of for one in outcome.trials[6:]} == {one.number for one in ranked[:2]}
    assert steps_heard(events) == {number: [1, 2, 3, 4] for number in range(10)}
    started = [event.number for event in events if isinstance(event, TrialStarted)]
    ended = [event.number for event in events if isinstance(event, TrialEnded)]
    assert sorted(started) == sorted(ended) == list(range(10))
    again, events = go(sweep(seeds=Seeds(confirm_top=2, replicates=2)), home)
    assert essence(again.trials) == essence(outcome.trials)
    assert steps_heard(events) == {}


@pytest.mark.slow
def test_nothing_holds_what_tune_knew_of_trials_that_are_over(home):
    held: list[int] = []

    def count(event: Event) -> None:
        if isinstance(event, TrialEnded):
            gc.collect()
            known = (one for one in gc.get_objects() if type(one) is TuneTrial)
            held.append(len({one.trial_id for one in known}))

    outcome, _ = go(sweep(trials=30, base={"steps": 1}), home, count)
    assert outcome.state == "finished"
    # Two at work, and those that have ended in this turn of Tune's loop.
    assert max(held) <= 6, held


SCHEDULERS = {
    "asha": Asha.Config(grace_steps=1),
    "pbt": PopulationBased.Config(interval_steps=1, grace_steps=1),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_one_at_a_time_the_same_seed_gives_the_same_sweep_also_when_it_was_interrupted(
    scheduler, tmp_path
):
    search = {"sampler": "random"} if scheduler == "pbt" else {}
    spec = sweep(trials=12, parallel=1, scheduler=SCHEDULERS[scheduler], search=search)
    straight, _ = go(spec, Home(tmp_path / "straight"))

    def interrupt(event: Event) -> None:
        if isinstance(event, TrialEvaluated) and at(event) in ((3, 1), (8, 1)):
            os.kill(os.getpid(), 2)

    stopped = Home(tmp_path / "stopped")
    states = []
    while not states or states[-1] != "finished":
        outcome, _ = go(spec, stopped, interrupt)
        states.append(outcome.state)
        assert len(states) < 5
    assert states.count("interrupted") == 2
    assert essence(outcome.trials) == essence(straight.trials)
    if scheduler == "asha":
        assert {one.state for one in straight.trials} == {"completed", "pruned"}
        folders = [Home(tmp_path / "straight").sweep("probe").trial(number) for number in range(11)]
        assert all((one / "abandoned").exists() for one in folders)  # before the worker's next
        return
    assert {one.state for one in straight.trials} == {"completed"}
    heirs = [one for one in straight.trials if one.donors]
    assert heirs
    for one in heirs:
        folder = stopped.sweep("probe").trial(one.number)
        assert (folder / "taken_over").exists()
        assert [found.step for found in one.evaluations] == [1, 2, 3, 4]
        donor = straight.trials[one.donors[0][1]]
        assert donor.objective[0] < max(other.objective[0] for other in straight.trials)


def test_a_raised_limit_extends_the_sweep(home):
    first, _ = go(sweep(trials=3, parallel=1), home)
    longer, _ = go(sweep(trials=7, parallel=1), home)
    assert essence(longer.trials)[:3] == essence(first.trials)
    assert len(longer.trials) == 7
    with pytest.raises(SpecConflict, match="parameters"):
        go(sweep(X, trials=7), home)


def test_what_goes_wrong_in_a_training_is_recorded_and_the_sweep_goes_on(home):
    kinds = ("none", "raise", "memory", "nan", "mode_collapse", "divergence", "die", "die once")
    spec = sweep(Parameter("trouble", Values(kinds)), trials=None, search={"sampler": "grid"})
    outcome, events = go(spec, home)
    assert (outcome.state, outcome.exit_code) == ("incomplete", 1)
    found = {one.values["trouble"]: one for one in outcome.trials}
    ended = {kind: (one.state, one.cause) for kind, one in found.items()}
    assert ended == {
        "none": ("completed", None),
        "raise": ("failed", "error"),
        "memory": ("failed", "out_of_memory"),
        "nan": ("failed", "divergence"),
        "mode_collapse": ("pruned", "mode_collapse"),
        "divergence": ("failed", "divergence"),
        "die": ("failed", "worker_died"),
        "die once": ("completed", None),
    }
    assert found["raise"].reason == "RuntimeError: a training that raises"
    assert "the last thing it printed" in found["raise"].log_tail
    assert "RuntimeError: a training that raises" in found["raise"].log_tail
    assert found["die"].attempts == 4  # the last one after a clean rehearsal
    assert found["die once"].attempts == 2
    folder = home.sweep("probe").trial(found["die once"].number)
    assert (folder / "restored").read_text() == "1\n"
    assert steps_heard(events)[found["die once"].number] == [1, 2, 3, 4]
    assert found["memory"].attempts == 2
    assert "out of memory again, alone on " in found["memory"].reason
    assert found["memory"].number not in beside(events)
    assert found["nan"].objective is None
    assert found["nan"].curve("fid").keys() == {1}


def beside(events: list[Event]) -> set[int]:
    """The trials that others trained beside while they were tried a second time."""
    found, alone = set(), set()
    for event in events:
        if isinstance(event, TrialStarted) and event.attempt == 2:
            alone.add(event.number)
        elif isinstance(event, TrialEnded):
            alone.discard(event.number)
        elif isinstance(event, TrialEvaluated):
            found |= alone - {event.number}
    return found


@pytest.mark.slow
def test_a_trial_goes_on_alone_or_elsewhere_from_where_it_was(home):
    kinds = ("none", "memory once", "leave once")
    spec = sweep(Parameter("trouble", Values(kinds)), trials=None, search={"sampler": "grid"})
    outcome, events = go(spec, home)
    assert outcome.state == "finished"
    straight, *disturbed = (one.curve("fid") for one in outcome.trials)
    assert disturbed == [straight] * 2
    found = {one.values["trouble"]: one for one in outcome.trials}
    ended = [one for one in events if isinstance(one, TrialEnded) and one.trial is None]
    assert {one.number: (one.state, one.cause) for one in ended if one.state != "interrupted"} == {
        found["memory once"].number: ("retrying", "out_of_memory"),
        found["leave once"].number: ("moved", None),
    }
    for kind in kinds[1:]:
        folder = home.sweep("probe").trial(found[kind].number)
        assert (folder / "restored").read_text().startswith("1\n")
        assert found[kind].attempts >= 2
    assert found["memory once"].number not in beside(events)


@pytest.mark.slow
def test_a_gpu_that_is_wrong_is_guarded_and_no_trial_is_lost_by_it(home, monkeypatch):
    monkeypatch.setattr(setbacks, "REST", 4.0)
    base = {"trouble": "GPU 0", "seconds": 0.5}
    spec = sweep(X, trials=5, base=base, resources=Resources(cpu=1, gpu=1))
    outcome, events = go(spec, home)
    assert outcome.state == "finished"
    assert [one.state for one in outcome.trials] == ["completed"] * 5
    [note] = [note for one in outcome.trials for note in one.notes]
    assert f"GPU 0 of {platform.node()} is avoided from now on" in note
    retries = [one for one in events if isinstance(one, TrialEnded) and one.state == "retrying"]
    assert {one.cause for one in retries} == {"device_fault"}
    assert len(retries) == 2  # of one trial, until the guard had it
    deadline = time.monotonic() + 60
    while ray.available_resources().get("GPU") != 2:  # until the guard has given it back
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_trial_that_hangs_is_ended_tried_once_more_and_given_up(home):
    spec = sweep(
        Parameter("trouble", Values(("hang", "none"))),
        trials=None,
        search={"sampler": "grid"},
        limits={"trial_silence": 2.0},
    )
    outcome, events = go(spec, home)
    hung, other = outcome.trials
    assert (hung.state, hung.cause, hung.attempts, other.state) == (
        *("failed", "no_progress", 2),
        "completed",
    )
    assert "no progress for 2.0 s (limits.trial_silence)" in hung.reason
    log = (home.sweep("probe").trial(hung.number) / "log.txt").read_text()
    assert log.count("in _trouble") == 2  # where it stood, each time
    assert steps_heard(events)[hung.number] == [1]


def test_the_sweep_stops_when_too_many_trials_have_failed_and_says_so(home):
    spec = sweep(base={"trouble": "raise"}, trials=20, limits={"failed": 3})
    outcome, _ = go(spec, home)
    assert (outcome.state, outcome.exit_code) == ("failed", 1)
    assert "3 trials have failed, and limits.failed is 3; none of" in outcome.message
    assert 3 <= sum(one.state == "failed" for one in outcome.trials) <= 4
    again, events = go(spec, home)
    assert again.state == "failed"
    assert steps_heard(events) == {}


def test_an_interrupted_trial_goes_on_from_its_checkpoint_under_its_number(home):
    spec = sweep(base={"steps": 6, "seconds": 0.1}, trials=4)

    done: list[Event] = []

    def interrupt(event: Event) -> None:
        if isinstance(event, TrialEvaluated) and event.evaluation.step == 3 and not done:
            done.append(event)
            os.kill(os.getpid(), 2)

    outcome, _ = go(spec, home, interrupt)
    assert (outcome.state, outcome.exit_code) == ("interrupted", 130)
    assert "run the sweep again" in outcome.message
    assert {one.state for one in outcome.trials} <= {"running", "waiting"}
    outcome, events = go(spec, home)
    assert outcome.state == "finished"
    assert [one.steps for one in outcome.trials] == [6] * 4
    resumed = [one for one in events if isinstance(one, TrialStarted) and one.resumed]
    assert resumed
    for one in resumed:
        assert (home.sweep("probe").trial(one.number) / "restored").exists()
        assert min(steps_heard(events)[one.number]) > 1


def test_what_no_trial_can_do_without_starts_none(home):
    spec = sweep(Parameter("x", Values((0.0, 1.0))), base={"trouble": "no data"})
    outcome, _ = go(spec, home)
    assert (outcome.state, outcome.exit_code, outcome.trials) == ("failed", 1, ())
    assert "no trial was started" in outcome.message
    assert "there are no pictures" in outcome.message


def test_a_worker_that_has_lost_its_trial_to_another_writes_nothing_and_leaves(home):
    spec = sweep(trials=1, base={"seconds": 0.3})
    folder = home.sweep("probe").trial(0)
    lost = []

    def take_back(event: Event) -> None:
        if isinstance(event, TrialEvaluated) and not lost:
            attempts.take_back(folder)
            lost.append((folder / "checkpoint.json").read_bytes())
        if isinstance(event, TrialEnded) and event.state == "retrying":
            lost.append((folder / "checkpoint.json").read_bytes())

    outcome, events = go(spec, home, take_back)
    assert lost[0] == lost[1]
    assert [one.state for one in outcome.trials] == ["completed"]
    assert steps_heard(events) == {0: [1, 2, 3, 4]}


@pytest.mark.parametrize("twice", [True, False])
def test_a_second_interrupt_and_a_cancel_end_at_once(home, twice):
    spec = sweep(base={"steps": 50, "seconds": 0.2}, trials=4)

    done: list[Event] = []

    def end(event: Event) -> None:
        if isinstance(event, TrialEvaluated) and event.evaluation.step == 2 and not done:
            done.append(event)
            if twice:
                os.kill(os.getpid(), 2)
                os.kill(os.getpid(), 2)
            else:
                home.sweep("probe").ask(Request.CANCEL)

    outcome, _ = go(spec, home, end)
    assert outcome.state == ("interrupted" if twice else "cancelled")
    assert all(one.steps < 20 for one in outcome.trials)
    assert not any(one.over for one in outcome.trials)


def test_stop_lets_running_trials_end_and_pause_hands_out_none(home):
    spec = sweep(base={"seconds": 0.2}, trials=12)
    folder = home.sweep("probe")
    lifted = []

    def pause(event: Event) -> None:
        if isinstance(event, TrialEvaluated) and at(event) == (2, 1):
            folder.ask(Request.PAUSE)
        if isinstance(event, PhaseChanged) and event.phase == "paused":
            threading.Timer(2.0, folder.clear_request).start()
        if isinstance(event, PhaseChanged) and event.message == "resumed":
            lifted.append(event)
        if isinstance(event, TrialStarted) and lifted:  # the pause may have come after trial 4
            folder.ask(Request.STOP)

    outcome, events = go(spec, home, pause)
    phases = [event.phase for event in events if isinstance(event, PhaseChanged)]
    assert phases[:4] == ["rehearsing", "searching", "paused", "searching"]
    assert outcome.state == "stopped"
    assert 5 <= len(outcome.trials) < 12
    assert all(one.state == "completed" for one in outcome.trials)
    assert go(spec, home)[0].state == "finished"


@pytest.mark.slow
def test_a_trial_for_which_ray_has_no_place_keeps_no_sweep_from_its_end(home):
    holder = ray.remote(num_cpus=1)(Holder).remote()
    ray.get(holder.holds.remote())

    def stop(event: Event) -> None:
        if isinstance(event, TrialEvaluated):
            home.sweep("probe").ask(Request.STOP)

    outcome, events = go(sweep(base={"seconds": 0.2}, trials=4), home, stop)
    assert outcome.state == "stopped"
    assert [(one.number, one.state) for one in outcome.trials] == [
        (0, "completed"),
        (1, "waiting"),
    ]
    assert [event.number for event in events if isinstance(event, TrialStarted)] == [0]
    ray.kill(holder)
    assert go(sweep(base={"seconds": 0.2}, trials=4), home)[0].state == "finished"


class Holder:
    def holds(self) -> None:
        """It has a core."""


class Lease(Steering):
    """Two trials, then one, then none until the cluster's CPUs are free, then two again."""

    def __init__(self) -> None:
        self.stage = 0
        self.pulses: list[Pulse] = []

    def asked(self) -> None:
        return None

    def parallel(self) -> int:
        return (2, 1, 0, 2)[self.stage]

    def beat(self, pulse: Pulse) -> None:
        self.pulses.append(pulse)
        at_work = len(pulse.at_work)
        if self.stage == 2:
            self.stage += at_work == 0 and ray.available_resources().get("CPU") == 2.0
        elif self.stage < 2:
            self.stage += at_work == self.parallel()


@pytest.mark.timeout(300)
def test_a_sweep_obeys_its_lease_and_gives_back_what_it_may_not_use(home):
    spec = sweep(base={"seconds": 0.4, "steps": 8}, trials=5, limits={"cpu_hours": 1.0})
    lease = Lease()
    outcome = run(spec, home, factory=fake, record=False, steering=lease)
    assert outcome.state == "finished"
    assert lease.stage == 3
    for record in outcome.trials:
        assert record.state == "completed"
        trained = (home.sweep("probe").trial(record.number) / "trained").read_text().split()
        assert trained == [str(step) for step in range(1, 9)]
    last = lease.pulses[-1]
    trained = 5 * 8 * 0.4
    assert trained <= last.cpu_seconds + 8 * 0.4
    assert last.gpu_seconds == 0.0
    assert (last.over, last.at_work) == (5, ())
    assert {pulse.phase for pulse in lease.pulses} >= {"searching"}


class Gone(Steering):
    """Another driver has the sweep."""

    def __init__(self) -> None:
        return

    def asked(self) -> None:
        return None

    def beat(self, pulse: Pulse) -> None:
        if pulse.at_work:
            raise Superseded("attempt 2 drives it now")


def test_a_driver_whose_steering_says_that_it_was_superseded_ends(home):
    outcome = run(sweep(base={"seconds": 0.5}), home, factory=fake, record=False, steering=Gone())
    assert (outcome.state, outcome.message) == ("failed", "attempt 2 drives it now")
    assert not any(home.sweep("probe").report.iterdir())
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU") != 2:  # its workers hold nothing any more
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_time_that_is_up_lets_running_trials_end_and_starts_no_more(home, monkeypatch):
    late: list[TrialEnded] = []
    clock = lambda: time.monotonic() + (3600.0 if len(late) >= 3 else 0.0)  # noqa: E731
    monkeypatch.setattr(
        "sweeper.scheduling.conducting.conductor.Meter", partial(Meter, clock=clock)
    )

    def hear(event: Event) -> None:
        if isinstance(event, TrialEnded):
            late.append(event)

    spec = sweep(base={"seconds": 0.2}, trials=50, limits={"hours": 1.0})
    outcome, events = go(spec, home, hear)
    assert outcome.state == "stopped"
    assert "limits.hours" in outcome.message
    begun = {event.number for event in events if isinstance(event, TrialStarted)}
    completed = {one.number for one in outcome.trials if one.state == "completed"}
    assert completed == begun  # what has no worker yet, where those start slowly, is taken back
    assert {one.state for one in outcome.trials} <= {"completed", "waiting"}, outcome.trials
    assert 3 <= len(completed) <= 5  # the third, and what was at work when it ended
    assert go(spec, home)[0].state == "stopped"


def test_a_worker_that_grows_makes_way_for_a_new_one_and_no_trial_notices(home):
    outcome, events = go(sweep(base={"trouble": "leak", "steps": 1}, trials=10, parallel=1), home)
    assert {(one.state, one.attempts) for one in outcome.trials} == {("completed", 1)}
    assert len([event for event in events if isinstance(event, TrialStarted)]) == 10
    processes = {file.name for file in home.sweep("probe").trials.glob("*/process *")}
    assert 3 <= len(processes) <= 6


def test_only_one_process_drives_a_sweep(home):
    with home.sweep("probe").lock(), pytest.raises(SweepBusy, match=str(os.getpid())):
        go(sweep(), home)


def test_what_no_machine_of_the_cluster_has_is_refused(home):
    with pytest.raises(UserError, match=r"resources\.gpu is 4"):
        go(replace(sweep(), resources=Resources(gpu=4)), home)


def test_a_machine_that_loses_sight_of_the_folder_ends_the_sweep_and_no_trial(home):
    mark = home.sweep("probe").driver_mark

    def hide(event):
        if isinstance(event, TrialEnded):
            mark.unlink(missing_ok=True)

    outcome, _ = go(sweep(trials=4, parallel=1), home, hide)
    assert outcome.state == "failed"
    assert "does not see" in outcome.message
    assert [one.state for one in outcome.trials] == ["completed", "running"]
    again, _ = go(sweep(trials=4, parallel=1), home)
    assert [one.state for one in again.trials] == ["completed"] * 4


def test_a_sampler_that_raises_ends_the_run_in_a_sentence_and_the_next_goes_on(home: Home) -> None:
    with temporary_parts():

        class Moody(Sampler):
            key = "moody"
            summary = "raises at its second trial until it is mended"
            mended = False

            def propose(self, turn: Turn) -> Draw:
                if turn.index and not self.mended:
                    raise ValueError("no idea")
                return walk(self.sweep, lambda parameter: 0.5)

        spec = sweep(trials=3, parallel=1, search={"sampler": "moody"})
        outcome, _ = go(spec, home)
        place = f"Moody.propose of {origin_of(Moody)} (test_run_loop.py, line "
        assert outcome.state == "failed"
        assert outcome.message.startswith(f"ValueError: no idea, in {place}")
        assert outcome.exit_code == 1
        assert len(outcome.standings.trials) == 1

        Moody.mended = True
        outcome, _ = go(spec, home)
        assert outcome.state == "finished"
        assert [trial.state for trial in outcome.standings.trials] == ["completed"] * 3
