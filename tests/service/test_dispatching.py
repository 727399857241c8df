"""The dispatcher: what becomes of sweeps, and that it may end at any instant."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sweeper.home import Home
from sweeper.search.reader import read_study
from sweeper.search.samplers.random import Random
from sweeper.service.dispatching import dispatcher, states
from sweeper.service.dispatching.asking import asked
from sweeper.service.dispatching.dispatcher import Dispatcher, Replaced, Term
from sweeper.service.dispatching.states import Heartbeats, Life, next_step
from sweeper.service.driving import post
from sweeper.service.queue.asking import Machine, Needs, Person
from sweeper.service.state import accounts, dispatch, events, sweeps
from sweeper.service.state.database import Database
from sweeper.service.state.dispatch import Pending
from sweeper.service.state.sweeps import Entry
from sweeper.service.state.tables import ENDS, Driver, Event, Lease, Wanted
from sweeper.service.state.tables import Sweep as Row
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from tests.service.jobs import Threads

STEPS = 3
BOX = [Machine.all_ours("box", 2)]


class Lab:
    """People, their sweeps, and a dispatcher whose drivers are threads."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.home = Home(folder / "sweeps")
        self.home.path.mkdir()
        self.jobs = Threads(database, self.home, BOX)
        self.erased: list[str] = []

    def submit(self, name: str, owner: str = "ada", trials: int = 3, seconds: float = 0.01) -> None:
        sweep = Sweep(
            name=name,
            base={"steps": STEPS, "every": 1, "seconds": seconds},
            parameters=(Parameter("x", Range(0.0, 1.0)),),
            search=Random.Config(start_with_base=False),
            limits=Limits(trials=trials, parallel=2),
        )
        with self.database.writing() as session:
            person = accounts.person_named(session, owner) or accounts.add_person(session, owner)
            sweeps.add_sweep(session, person, name=name, source="", spec=sweep.to_dict())

    def want(self, name: str, wanted: Wanted) -> None:
        with self.database.writing() as session:
            sweeps.want(session, sweeps.entry_named(session, name), wanted, by="ada")

    def entry(self, name: str) -> Entry:
        with self.database.reading() as session:
            return sweeps.entry_named(session, name)

    def state(self, name: str) -> str:
        return self.entry(name).lease.state

    def stream(self, name: str) -> list[Event]:
        with self.database.reading() as session:
            return events.events_after(session, 0, self.entry(name).sweep.id)

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def term(self) -> Term:
        with self.database.writing() as session:
            return Term(dispatch.take_term(session), self.jobs, self._erase)

    def look(self, term: Term, *, act: bool = True) -> None:
        with self.database.writing() as session:
            term.look(session, tuple(BOX))
        if act:
            term.act()

    def was_heard_once(self, name: str) -> None:
        """As a driver leaves it that has begun its search, long ago, and says nothing more."""
        with self.database.writing() as session:
            driver = session.get_one(Driver, self.entry(name).sweep.id)
            driver.heartbeat, driver.phase, driver.host, driver.pid = 1.0, "searching", "box", 7

    def _erase(self, sweep_id: str) -> bool:
        self.erased.append(sweep_id)
        return True

    @contextmanager
    def dispatching(self) -> Iterator[None]:
        dispatcher = Dispatcher(self.database, self.jobs, self._erase)
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        try:
            yield
        finally:
            dispatcher.stop()
            thread.join()
            self.jobs.join()


@pytest.fixture
def lab(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(dispatcher, "LOOK_EVERY", 0.1)  # what is waited for is not what is tried
    monkeypatch.setattr(post, "READ_EVERY", 0.05)
    monkeypatch.setattr(post, "WRITE_EVERY", 0.1)
    return Lab(database, tmp_path)


def check_stream(lab: Lab, name: str) -> None:
    """The stream has each evaluation and each end of the study, once."""
    entry = lab.entry(name)
    study = read_study(sweep_from_dict(entry.sweep.spec), lab.home.sweep(name))
    assert study is not None
    trials, told = study.trials(), lab.stream(name)
    evaluated = Counter(
        (event.data["number"], event.data["step"], event.time)
        for event in told
        if event.kind == "trial_evaluated"
    )
    assert evaluated == {
        (trial.number, evaluation.step, evaluation.time): 1
        for trial in trials
        for evaluation in trial.evaluations
    }
    ended = Counter(
        event.data["number"]
        for event in told
        if event.kind == "trial_ended" and event.data["state"] == "completed"
    )
    assert ended == {trial.number: 1 for trial in trials if trial.state == "completed"}


def test_sweeps_of_two_people_run_to_their_end(lab: Lab) -> None:
    for name, owner in (("a", "ada"), ("b", "ben"), ("c", "ada")):
        lab.submit(name, owner)
    with lab.dispatching():
        lab.wait(lambda: all(lab.state(name) == "finished" for name in "abc"))
    for name in "abc":
        check_stream(lab, name)
        entry = lab.entry(name)
        assert entry.driver is not None
        assert (entry.driver.attempt, entry.driver.over, entry.lease.parallel) == (1, 3, 0)
        assert entry.driver.best["words"].startswith("fid ")
        with lab.database.reading() as session:
            used = [use for use in sweeps.usage_since(session, 0) if use.sweep_id == entry.sweep.id]
        assert sum(use.cpu_seconds for use in used) == entry.driver.cpu_seconds > 0
    with lab.database.reading() as session:
        numbers = [event.id for event in events.events_after(session, 0)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_is_wanted_is_done_and_can_be_taken_back(lab: Lab) -> None:
    lab.submit("a", trials=400, seconds=0.03)
    with lab.dispatching():
        lab.wait(lambda: (driver := lab.entry("a").driver) is not None and driver.over > 1)
        lab.want("a", "pause")
        lab.wait(lambda: lab.state("a") == "paused")
        over = lab.entry("a").driver.over
        lab.want("a", "run")
        lab.wait(lambda: lab.entry("a").driver.over > over)
        lab.want("a", "stop")
        lab.wait(lambda: lab.state("a") == "stopped")
        assert lab.entry("a").driver.attempt == 1
        lab.want("a", "run")
        lab.wait(lambda: lab.state("a") == "running")
        lab.want("a", "cancel")
        lab.wait(lambda: lab.state("a") == "cancelled")
        assert lab.entry("a").driver.attempt == 2
    check_stream(lab, "a")


def test_a_sweep_that_never_began_needs_no_driver_to_end_or_pause(lab: Lab) -> None:
    term = lab.term()
    for wanted, state in (("pause", "paused"), ("stop", "stopped"), ("cancel", "cancelled")):
        lab.submit(wanted)
        lab.want(wanted, wanted)
        lab.look(term)
        assert lab.state(wanted) == state
    lab.look(term)
    assert not lab.jobs.started
    lab.want("stop", "run")
    lab.jobs.deaf = True
    lab.look(term)
    assert lab.state("stop") == "starting"
    term.close()


def test_a_dispatcher_that_ended_before_it_started_what_it_had_begun_is_made_good(
    lab: Lab,
) -> None:
    lab.submit("a")
    lab.look(lab.term(), act=False)
    assert not lab.jobs.started
    with lab.dispatching():
        lab.wait(lambda: lab.state("a") == "finished")
    assert lab.entry("a").driver.attempt == 1


def test_a_dispatcher_that_has_lost_its_lock_writes_nothing_more(lab: Lab) -> None:
    lab.submit("a")
    old = lab.term()
    lab.term()
    with pytest.raises(Replaced):
        lab.look(old)
    assert lab.state("a") == "queued"


def test_drivers_that_never_come_up_are_started_again_a_few_times(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "START_WITHIN", -1.0)
    lab.jobs.refuses = "the job server says no"
    lab.submit("a")
    term = lab.term()
    for attempt in range(1, states.STARTS + 1):
        lab.look(term)
        assert (lab.state("a"), lab.entry("a").driver.attempt) == ("starting", attempt)
        what = f"start {lab.entry('a').driver.job}"
        lab.wait(lambda what=what: bool(term._hands.failed(what)))
        lab.look(term)
        if attempt < states.STARTS:
            lab.look(term)
            assert lab.state("a") == "queued"
            assert "started again in about" in lab.entry("a").lease.reason
            with lab.database.writing() as session:
                session.get_one(Lease, lab.entry("a").sweep.id).since -= 1000
    assert lab.state("a") == "failed"
    assert lab.entry("a").lease.message == (
        f"{states.STARTS} drivers in a row ended before any trial began, the last one: the job "
        "server says no"
    )
    lab.jobs.refuses = ""
    monkeypatch.undo()
    lab.want("a", "run")
    with lab.dispatching():
        lab.wait(lambda: lab.state("a") == "finished")
    term.close()


def test_a_driver_that_falls_silent_is_ended_and_another_one_goes_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.submit("a")
    lab.jobs.deaf = True
    term = lab.term()
    lab.look(term)
    lab.was_heard_once("a")
    lab.look(term)
    assert lab.state("a") == "running"
    monkeypatch.setattr(states, "SILENT", -1.0)
    lab.look(term)
    entry = lab.entry("a")
    assert (entry.lease.state, entry.driver.attempt, entry.lease.starts) == ("starting", 2, 0)
    assert entry.lease.message == "its driver on box (process 7) was lost"
    first, second = (f"a-{entry.sweep.id[:8]}-{attempt}" for attempt in (1, 2))
    lab.wait(lambda: second in lab.jobs.started)
    assert lab.jobs.ended == [first]
    term.close()


@pytest.mark.parametrize("wanted", ["stop", "cancel"])
def test_a_sweep_that_ends_without_its_driver_is_closed_by_another(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, wanted: Wanted
) -> None:
    monkeypatch.setattr(states, "PAUSE", 0.0)
    lab.submit("a", trials=400)
    lab.jobs.deaf = True
    term = lab.term()
    lab.look(term)
    lab.was_heard_once("a")
    lab.look(term)
    lab.want("a", wanted)
    lab.jobs.deaf = False
    with monkeypatch.context() as patched:
        patched.setattr(states, "SILENT", -1.0)
        lab.look(term)
    lab.look(term)
    assert lab.entry("a").driver.attempt == 2
    lab.wait(lambda: lab.entry("a").driver.outcome is not None)
    lab.look(term)
    entry = lab.entry("a")
    assert (entry.lease.state, entry.driver.over) == (WOUND_UP[wanted], 0)
    assert entry.lease.asked == entry.sweep.asked
    term.close()


def test_a_sweep_that_nobody_can_close_ends_all_the_same(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "PAUSE", 0.0)
    lab.submit("a")
    lab.jobs.deaf = True
    term = lab.term()
    lab.look(term)
    with lab.database.writing() as session:
        driver = session.get_one(Driver, lab.entry("a").sweep.id)
        driver.heartbeat, driver.cpu_seconds = 1.0, 5.0
    lab.want("a", "cancel")
    monkeypatch.setattr(states, "SILENT", -1.0)
    monkeypatch.setattr(states, "START_WITHIN", -1.0)
    looks = 0
    while lab.state("a") != "cancelled":
        lab.look(term)
        looks += 1
        assert looks < 4 * states.STARTS
    assert lab.entry("a").driver.attempt == states.STARTS
    term.close()


def test_drivers_are_begun_a_few_at_a_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "BEGUN_AT_ONCE", 1)
    lab.jobs.deaf = True
    lab.submit("a", "ada")
    lab.submit("b", "ben")
    term = lab.term()
    for _ in range(2):
        lab.look(term)
        assert (lab.state("a"), lab.state("b")) == ("starting", "queued")
        assert lab.entry("b").lease.parallel == 1
    with lab.database.writing() as session:
        session.get_one(Driver, lab.entry("a").sweep.id).heartbeat = 1.0
    lab.look(term)
    assert (lab.state("a"), lab.state("b")) == ("running", "starting")
    term.close()


def test_machines_that_do_not_answer_for_a_while_are_believed_to_be_there(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = dispatcher.Dispatcher(lab.database, lab.jobs, lambda sweep_id: True)
    assert asked._machines() == tuple(BOX)
    lab.jobs.away = "no answer"
    assert asked._machines() == tuple(BOX)
    monkeypatch.setattr(dispatcher, "BELIEVED", -1.0)
    assert asked._machines() == ()


def test_a_deleted_sweep_is_erased_when_nobody_drives_it(lab: Lab) -> None:
    lab.submit("a", trials=400, seconds=0.03)
    key = lab.entry("a").sweep.id
    with lab.dispatching():
        lab.wait(lambda: lab.state("a") == "running")
        with lab.database.writing() as session:
            row = session.get_one(Row, key)
            row.deleted, row.wanted, row.asked = time.time(), "cancel", time.time()
        lab.wait(lambda: key in lab.erased)
        with lab.database.reading() as session:
            assert session.get_one(Driver, key).outcome == "cancelled"


def _pending(
    state: str, wanted: str, driver: Driver | None, *, settled: int = 0, asked: float = 1.0
) -> Pending:
    lease = Lease(sweep_id="s", state=state, since=0.0, parallel=1, settled=settled, asked=0.5)
    lease.starts, lease.message = 0, ""
    facts = ("s", "s", 1, "normal", wanted, asked, 0.0, None, {}, {})
    return Pending(*facts, lease, driver)


def _driver(outcome: str | None = None, phase: str = "searching", at_work: int = 1) -> Driver:
    driver = Driver(sweep_id="s", attempt=1, job="s-1", heartbeat=1.0, outcome=outcome, host="")
    driver.phase, driver.at_work, driver.message, driver.asked, driver.pid = (
        phase,
        at_work,
        "",
        1,
        1,
    )
    return driver


WANTED = ("run", "pause", "stop", "cancel")
WOUND_UP = {"run": "queued", "pause": "paused", "stop": "stopped", "cancel": "cancelled"}


@pytest.mark.parametrize("wanted", WANTED)
def test_what_becomes_of_a_sweep_without_a_driver(wanted: str) -> None:
    for state in ("queued", "starting", "running", "paused"):
        assert next_step(_pending(state, wanted, None), Life.NONE).state == WOUND_UP[wanted]
    for state in ENDS:
        ended = next_step(_pending(state, wanted, None, asked=0.5), Life.NONE)
        assert ended.state == state
        again = next_step(_pending(state, wanted, None), Life.NONE)
        assert again.state == ("queued" if wanted == "run" else state)


@pytest.mark.parametrize("wanted", WANTED)
def test_what_becomes_of_a_sweep_whose_driver_has_ended(wanted: str) -> None:
    for outcome in ENDS:
        step = next_step(_pending("running", wanted, _driver(outcome)), Life.OVER)
        assert (step.state, step.settled, step.obeyed) == (outcome, True, 1.0)
    for driver, life in ((_driver("interrupted"), Life.OVER), (_driver(), Life.LOST)):
        step = next_step(_pending("running", wanted, driver), life)
        to_close = life is Life.LOST and wanted in ("stop", "cancel")
        assert (step.state, step.settled) == ("queued" if to_close else WOUND_UP[wanted], True)


@pytest.mark.parametrize("wanted", WANTED)
def test_what_becomes_of_a_sweep_while_its_driver_lives(wanted: str) -> None:
    for phase, at_work in itertools.product(("searching", "draining", "paused"), (0, 1)):
        driver = _driver(phase=phase, at_work=at_work)
        state = next_step(_pending("starting", wanted, driver), Life.ALIVE).state
        pauses = wanted == "pause" and not at_work and phase != "draining"
        assert state == ("paused" if pauses else "running")


def test_a_driver_that_goes_on_with_trials_has_done_something() -> None:
    for at_work, starts in ((0, 5), (1, 0)):
        driver = _driver(phase="starting", at_work=at_work)
        sweep = _pending("running", "run", driver)
        sweep.lease.starts = 4
        assert next_step(sweep, Life.LOST).starts == starts


@pytest.mark.parametrize(("phase", "others"), [("starting", 4), ("searching", 0)])
def test_while_a_disk_is_full_a_sweep_rests_and_does_not_fail(phase: str, others: int) -> None:
    sweep = _pending("running", "run", _driver("no_space", phase=phase, at_work=0))
    sweep.lease.starts = 4
    for _ in range(2 * states.STARTS):
        step = next_step(sweep, Life.OVER)
        assert (step.state, step.starts) == ("queued", others)
        sweep.lease.starts, sweep.lease.settled = step.starts, 1
        assert states.rests(sweep, 0.0) == states.FULL_PAUSE
        sweep.lease.settled = 0


def test_a_clock_that_is_set_back_lets_no_sweep_rest_for_as_long() -> None:
    sweep = _pending("queued", "run", _driver("interrupted"))
    sweep.lease.since, sweep.lease.starts, sweep.lease.settled = 1e9, 1, 1
    rest = [states.rests(sweep, 1e9 + late) for late in (-86400.0, 0.0, 2.0, states.PAUSE)]
    assert rest == [0.0, states.PAUSE, states.PAUSE - 2.0, 0.0]


def test_a_driver_lives_while_its_heartbeat_changes_whatever_its_clock_says() -> None:
    hearts, driver = Heartbeats(), _driver()
    sweep = _pending("running", "run", driver)
    now = 1000.0
    for beat in (5.0, 4.0, 1e9):  # a clock that was set back, and one that is far ahead
        driver.heartbeat = beat
        assert hearts.life(sweep, now) is Life.ALIVE
        now += states.SILENT
        assert hearts.life(sweep, now) is Life.ALIVE
    assert hearts.life(sweep, now + 1.0) is Life.LOST
    assert Heartbeats().life(sweep, now + 1.0) is Life.ALIVE  # who has just begun to look waits


@pytest.mark.parametrize(
    ("resources", "each", "needs"),
    [
        ({"cpu": 2, "gpu": 0.5}, {"cpu": 9.0, "gpu": 9.0}, Needs(2, 0.5)),
        ({"cpu": 1, "gpu": "auto"}, None, Needs(1, 1)),  # nothing is known of it yet
        ({"cpu": 1, "gpu": "auto"}, {"cpu": 1.0, "gpu": 0.125}, Needs(1, 0.125)),
        ({}, None, Needs(1, 0)),
    ],
)
def test_trials_that_share_are_given_leases_by_the_share_that_they_have(
    resources: dict[str, object], each: dict[str, float] | None, needs: Needs
) -> None:
    driver = Driver(at_work=1, wants=None, forecast={"each": each}, machines={}, attempt=1)
    sweep = Pending(
        *("an id", "a sweep", 1, "normal", "run", 0.0, 0.0, None),
        *(resources, {"parallel": 4}, Lease(settled=0), driver),
    )
    (asking,) = asked([sweep], {1: Person("ada")})
    assert asking.needs == needs
