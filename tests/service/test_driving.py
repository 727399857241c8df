"""A driver's side: what it says arrives once, whatever happens to the database or to itself."""

from __future__ import annotations

import contextlib
import errno
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from sweeper.errors import LedgerError, Superseded, SweepBusy, UserError
from sweeper.home import Home, Request, writing
from sweeper.scheduling.conducting.steering import Pulse
from sweeper.scheduling.recording.events import (
    Event,
    Outcome,
    PhaseChanged,
    ProtocolChanged,
    SweepStarted,
    TrialEnded,
    TrialEvaluated,
)
from sweeper.service.driving import post as posts
from sweeper.service.driving import steering as steerings
from sweeper.service.driving.drive import drive
from sweeper.service.driving.post import Post
from sweeper.service.driving.steering import ServiceSteering
from sweeper.service.driving.summary import Summary
from sweeper.service.driving.telling import Teller, Told
from sweeper.service.state import dispatch, drivers, events, sweeps
from sweeper.service.state.database import Database, DatabaseError
from sweeper.service.state.tables import Driver, Lease, Order, Sweep, Usage, Wanted
from sweeper.sweepfile import load_sweep
from sweeper.trial import Evaluation, Trial
from tests.service.conftest import SMALL, Lab

SWEEP = load_sweep(SMALL)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posts, "READ_EVERY", 0.01)
    monkeypatch.setattr(posts, "WRITE_EVERY", 0.02)
    monkeypatch.setattr(posts, "PATIENCE", 20.0)


@pytest.fixture
def driven(either_lab: Lab) -> Lab:
    """A lab with the sweep `small` of bo's, whose first driver was begun and may run two trials."""
    either_lab.submit("bo", "small")
    begin(either_lab)
    with either_lab.database.writing() as session:
        session.get_one(Lease, sweep_id(either_lab)).parallel = 2
    return either_lab


def sweep_id(lab: Lab) -> str:
    with lab.database.reading() as session:
        return sweeps.entry_named(session, "small").sweep.id


def begin(lab: Lab) -> int:
    with lab.database.writing() as session:
        [sweep] = dispatch.pending(session)
        return dispatch.begin_driver(session, sweep).attempt


def want(lab: Lab, wanted: Wanted) -> None:
    with lab.database.writing() as session:
        sweeps.want(session, sweeps.entry_named(session, "small"), wanted, by="bo")


def row(lab: Lab) -> Driver:
    with lab.database.reading() as session:
        return session.get_one(Driver, sweep_id(lab))


def told(lab: Lab, kind: str = "noted") -> list[Any]:
    with lab.database.reading() as session:
        happened = events.events_after(session, 0, sweep_id(lab))
    return [event.data for event in happened if event.kind == kind]


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Broken(Database):
    """A database that can be taken away: before it is asked, or after it has written."""

    away = ""

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        if self.away:
            raise DatabaseError("it is away")
        with super().reading() as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        if self.away == "before":
            raise DatabaseError("it is away")
        with super().writing() as session:
            yield session
        if self.away == "after":
            raise DatabaseError("its answer was lost")


def pulse(seconds: float = 0.0, at_work: tuple[int, ...] = (0, 1)) -> Pulse:
    return Pulse(at_work, 3, 2 * seconds, seconds, "searching", 2)


@pytest.mark.parametrize("away", ["before", "after"])
def test_a_database_that_is_away_is_endured_and_everything_is_written_once(
    driven: Lab, away: str
) -> None:
    database = Broken(driven.database.url)
    with Post(database, sweep_id(driven), 1) as post:
        wait(lambda: post.word.parallel == 2)
        post.tell(("noted", {"n": 0}, 1.0))
        wait(lambda: bool(told(driven)))
        database.away = away
        post.tell(("noted", {"n": 1}, 2.0), ("noted", {"n": 2}, 3.0))
        post.beat(pulse(10.0), {"box": 2})
        time.sleep(0.2)
        post.tell(("noted", {"n": 3}, 4.0))
        assert post.word.parallel == 2
        database.away = ""
        wait(lambda: len(told(driven)) == 4)
        post.end(lambda word: ("finished", ""))
    assert [data["n"] for data in told(driven)] == [0, 1, 2, 3]
    with driven.database.reading() as session:
        [used] = session.query(Usage).all()
    assert (used.gpu_seconds, used.cpu_seconds) == (20.0, 10.0)
    assert (row(driven).outcome, row(driven).over, row(driven).machines) == ("finished", 3, {})
    assert told(driven, "driver_ended") == [{"outcome": "finished", "message": ""}]
    database.close()


def test_an_end_whose_answer_was_lost_is_told_once(driven: Lab) -> None:
    database = Broken(driven.database.url)
    with Post(database, sweep_id(driven), 1) as post:
        database.away = "after"
        threading.Timer(0.3, lambda: setattr(database, "away", "")).start()
        post.end(lambda word: ("stopped", "on request"))
    assert told(driven, "driver_ended") == [{"outcome": "stopped", "message": "on request"}]
    database.close()


def test_a_driver_with_a_successor_writes_nothing_and_is_told_so(driven: Lab) -> None:
    with Post(driven.database, sweep_id(driven), 1) as old:
        assert begin(driven) == 2
        with Post(driven.database, sweep_id(driven), 2):
            old.tell(("noted", {"n": "old"}, 1.0))
            old.beat(pulse(10.0), {})
            with pytest.raises(Superseded):
                wait(lambda: old.word is None)
            with pytest.raises(Superseded):
                old.end(lambda word: ("finished", ""))
    assert not told(driven)
    assert (row(driven).outcome, row(driven).cpu_seconds) == (None, 0.0)
    with pytest.raises(Superseded), Post(driven.database, sweep_id(driven), 1):
        raise AssertionError("it was let in")


def test_a_driver_that_was_taken_for_lost_does_not_come_back(driven: Lab) -> None:
    with Post(driven.database, sweep_id(driven), 1) as post:
        with driven.database.writing() as session:
            session.get_one(Lease, sweep_id(driven)).settled = 1
        with pytest.raises(Superseded, match="lost"):
            wait(lambda: post.word is None)


def test_use_is_counted_once_over_drivers(driven: Lab) -> None:
    with Post(driven.database, sweep_id(driven), 1) as post:
        post.beat(pulse(10.0), {})
        wait(lambda: row(driven).cpu_seconds == 10.0)
    begin(driven)
    with Post(driven.database, sweep_id(driven), 2) as post:
        post.beat(pulse(8.0), {})  # as the study had it when the first one was killed
        post.beat(pulse(12.0), {})
        wait(lambda: row(driven).cpu_seconds == 12.0)
    with driven.database.reading() as session:
        assert sum(used.cpu_seconds for used in session.query(Usage)) == 12.0


def test_orders_are_brought_until_they_are_done(driven: Lab) -> None:
    with driven.database.writing() as session:
        entry = sweeps.entry_named(session, "small")
        sweeps.add_order(session, entry.sweep, entry.owner, "stop", number=3, reason="dull")
    steering_of = driven.service.settings.home.sweep("small")
    with Post(driven.database, sweep_id(driven), 1) as post:
        steering = ServiceSteering(steering_of, post)
        wait(lambda: len(steering.orders()) == 1)
        [order] = steering.orders()
        assert (order.kind, order.number, order.reason, order.by) == ("stop", 3, "dull", "bo")
        steering.done(order, "trial 00003 is stopped")
        assert not steering.orders()
        wait(lambda: not post.word.ordered)
    with driven.database.reading() as session:
        [done] = session.query(Order).all()
    assert done.done
    assert done.outcome == "trial 00003 is stopped"


def test_a_driver_does_what_is_wanted_and_ends_when_it_has_nothing_to_do(driven: Lab) -> None:
    now = [0.0]
    folder = driven.service.settings.home.sweep("small")
    with Post(driven.database, sweep_id(driven), 1) as post:
        steering = ServiceSteering(folder, post, lambda: now[0])
        wait(lambda: steering.parallel() == 2)
        for wanted, request in (("pause", Request.PAUSE), ("stop", Request.STOP), ("run", None)):
            want(driven, wanted)
            wait(lambda wanted=wanted: post.word.wanted == wanted)
            assert steering.asked() is request
        now[0] += 2 * steerings.IDLE
        assert steering.asked() is None  # it may work
        with driven.database.writing() as session:
            session.get_one(Lease, sweep_id(driven)).parallel = 0
        wait(lambda: steering.parallel() == 0)
        steering.beat(pulse())
        now[0] += 0.9 * steerings.IDLE
        assert steering.asked() is None
        now[0] += 0.2 * steerings.IDLE
        assert steering.asked() is Request.CANCEL
        assert steering.stood_aside


FULL = OSError(errno.ENOSPC, "No space left on device", "/tmp/x")


def no_room_for_a_sweep() -> UserError:
    with pytest.raises(UserError) as refused, writing(Path("/sweeps/small")):
        raise FULL
    return refused.value


@pytest.mark.parametrize(
    ("ends", "wanted", "outcome"),
    [
        ("finished", "run", "finished"),
        ("stopped", "stop", "stopped"),
        ("stopped", "run", "stopped"),  # at a limit of its own
        ("cancelled", "cancel", "cancelled"),
        (SweepBusy("small", 7), "run", "interrupted"),
        (LedgerError("the study is away"), "run", "interrupted"),
        (FULL, "run", "no_space"),
        (no_room_for_a_sweep(), "run", "no_space"),
        (Outcome("failed", "said", Path(), None, lost="disk"), "run", "no_space"),
        (Outcome("failed", "said", Path(), None, lost="surroundings"), "run", "interrupted"),
        (UserError("there is no such data"), "run", "failed"),
        (RuntimeError("oh"), "run", "failed"),
    ],
)
def test_how_a_driver_ends_is_what_became_of_its_sweep(
    driven: Lab, ends: Any, wanted: Wanted, outcome: str
) -> None:
    want(driven, wanted)

    def run(*_: Any, steering: ServiceSteering, **__: Any) -> Outcome:
        wait(lambda: steering.asked() is (Request(wanted) if wanted != "run" else None))
        if isinstance(ends, Exception):
            raise ends
        if isinstance(ends, Outcome):
            return ends
        return Outcome(ends, "said", Path(), None)  # type: ignore[arg-type]

    home = driven.service.settings.home
    assert drive(driven.database, home, sweep_id(driven), 1, run) == 0
    assert row(driven).outcome == outcome
    with driven.database.reading() as session:
        assert row(driven).asked == sweeps.entry_named(session, "small").sweep.asked


def test_a_sweep_that_is_to_go_on_after_all_was_only_interrupted(driven: Lab) -> None:
    want(driven, "stop")

    def run(*_: Any, steering: ServiceSteering, **__: Any) -> Outcome:
        wait(lambda: steering.asked() is Request.STOP)
        want(driven, "run")
        return Outcome("stopped", "on request", Path(), None)  # type: ignore[arg-type]

    drive(driven.database, driven.service.settings.home, sweep_id(driven), 1, run)
    assert row(driven).outcome == "interrupted"


def test_a_sweep_whose_limits_were_raised_as_it_ended_goes_on(driven: Lab) -> None:
    def run(*_: Any, steering: ServiceSteering, **__: Any) -> Outcome:
        assert steering.limits() == SWEEP.limits
        with driven.database.writing() as session:
            entry = sweeps.entry_named(session, "small")
            entry.sweep.spec = {**entry.sweep.spec, "limits": {"trials": 3}}
        return Outcome("finished", "", Path(), None)  # type: ignore[arg-type]

    drive(driven.database, driven.service.settings.home, sweep_id(driven), 1, run)
    assert row(driven).outcome == "interrupted"


def test_what_is_asked_for_once_is_done_by_one_driver(driven: Lab) -> None:
    bo, there = driven.client("bo"), "/api/v1/sweeps/small"
    old, new = {"data_hash": "1a2b"}, {"data_hash": "3c4d"}
    fresh = SweepStarted(SWEEP, Path(), 2, 0, False, (), {}, 0.0)
    started = replace(fresh, resumed=True, trials=(_trial(0, 1),), protocol=old)
    diverged = TrialEvaluated(0, None, Evaluation(2, 5.0, {}))
    by_old = TrialEvaluated(0, 9.0, Evaluation(2, 5.0, {"fid": 9.0}, old))
    evaluated = TrialEvaluated(0, 9.0, Evaluation(2, 5.0, {"fid": 9.0}, new))
    changed = ProtocolChanged(new, "", 5.0)
    given: list[tuple[list[str], bool]] = []

    def driver(*happens: Event | Callable[[], Any]) -> tuple[list[str], bool]:
        """One that hears this, and is lost; what it was asked for."""

        def run(
            *_: Any,
            events: Callable[[Event], None],
            retry_failed: list[str] = [],  # noqa: B006
            accept_protocol: bool = False,
            **__: Any,
        ) -> Outcome:
            given.append((retry_failed, accept_protocol))
            for one in happens:
                one() if callable(one) else events(one)
            raise LedgerError("the study is away")

        attempt = row(driven).attempt
        drive(driven.database, driven.service.settings.home, sweep_id(driven), attempt, run)
        begin(driven)
        return given[-1]

    def resume(*causes: str, accept: bool = False) -> None:
        params = {"retry_failed": causes, "accept_protocol": accept}
        assert bo.post(f"{there}:resume", params=params).is_success

    resume("error", accept=True)
    assert driver() == (["error"], True)
    assert driver(started) == (["error"], True), "its predecessor died before it did anything"
    assert driver(started) == ([], True), "nothing was measured yet by what was accepted"
    assert driver(started, diverged, by_old) == ([], True), "nor by this one"
    assert driver(started, changed, evaluated, evaluated) == ([], True)
    assert bo.post(f"{there}:extend", json={"trials": 5}).is_success
    assert driver(started, evaluated) == ([], False)
    resume(accept=True)
    assert driver(replace(started, accepted=True)) == ([], True)
    assert driver(started) == ([], False), "it was taken as the study was opened"
    resume(accept=True)
    assert driver(fresh, diverged) == ([], True)
    assert driver(fresh, evaluated) == ([], True), "the sweep was not measured at all yet"
    assert driver(started) == ([], False)
    resume("error")
    assert driver(lambda: resume("out_of_memory", accept=True), started) == (["error"], False)
    assert driver(started, changed, evaluated, lambda: resume("error")) == (["out_of_memory"], True)
    assert driver(started, evaluated) == (["error"], False)
    assert driver(started) == ([], False)
    assert not any(bo.get(there).json()["options"].values())


def test_what_is_asked_for_while_the_lock_is_waited_for_is_kept(lab: Lab) -> None:
    lab.submit("bo", "small")
    given, more = {"accept_protocol": True}, {"retry_failed": ["error"]}
    with lab.database.writing() as session:
        sweep = sweeps.entry_named(session, "small").sweep
        sweep.options = given
        session.flush()
        asked = update(Sweep).values(options={**given, **more})
        # As another's commit between two reads of one transaction.
        session.execute(asked, execution_options={"synchronize_session": False})
        drivers.done_once(session, sweep.id, given)
    with lab.database.reading() as session:
        assert sweeps.entry_named(session, "small").sweep.options == more


def test_other_limits_are_brought_to_a_driver_that_runs(driven: Lab) -> None:
    with Post(driven.database, sweep_id(driven), 1) as post:
        steering = ServiceSteering(Home(Path()).sweep("small"), post)
        assert steering.limits().trials == 2
        asked = {"limits": {"trials": 5, "hours": 1.5}}
        assert driven.client("bo").patch("/api/v1/sweeps/small", json=asked).is_success
        wait(lambda: steering.limits().trials == 5)
        assert steering.limits().hours == 1.5


def _trial(number: int, steps: int, ended: float | None = None) -> Trial:
    evaluations = tuple(Evaluation(s, 10.0 * number + s, {"fid": s}) for s in range(1, steps + 1))
    state = "running" if ended is None else "completed"
    return Trial(number, state, evaluations=evaluations, ended=ended)


def test_a_new_driver_tells_first_what_the_stream_lacks() -> None:
    """Whatever the stream had when a driver was killed, afterwards it has everything once."""
    heard: list[Any] = []
    whole = [_trial(0, 3, ended=4.0), _trial(1, 2)]
    started = SweepStarted(SWEEP, Path(), 2, 0, True, tuple(whole), {}, 0.0)
    Teller(lambda *happened: heard.extend(happened), Told())(started)
    everything = heard[1:]
    assert len(everything) == 6
    for kept in range(len(everything) + 1):
        heard.clear()
        Teller(lambda *happened: heard.extend(happened), Told(everything[:kept]))(started)
        assert [*everything[:kept], *heard[1:]] == everything
    # Tried again from nothing, a trial has the same steps at other times, and ends again.
    again = Trial(0, "completed", evaluations=(Evaluation(1, 50.0, {"fid": 1.0}),), ended=51.0)
    lacks = list(Told(everything).lacks(SWEEP, [again]))
    assert [kind for kind, _, _ in lacks] == ["trial_evaluated", "trial_ended"]


def test_a_sweep_that_only_writes_its_report_wants_no_lease() -> None:
    row: dict[str, Any] = {}
    summary = Summary(SWEEP, lambda **values: row.update(values))
    summary(SweepStarted(SWEEP, Path(), 2, 0, False, (), {}, 0.0))
    summary(TrialEnded(0, "completed", None, None, 4.0, _trial(0, 3, ended=4.0)))
    assert row["budget"] == 2
    summary(PhaseChanged("finishing", "writing the report", 5.0))
    assert (row["phase"], row["wants"], row["at_work"]) == ("finishing", 0, 0)
    summary.write()
    assert row["forecast"]["trials"] == 1


def test_what_json_has_not_is_null() -> None:
    heard: list[Any] = []
    teller = Teller(lambda *happened: heard.extend(happened), Told())
    metrics = {"fid": math.nan, "is": math.inf, "kid": 0.5}
    happened: list[Event] = [
        TrialEvaluated(0, math.nan, Evaluation(1, 1.0, metrics)),
        TrialEnded(0, "failed", "nan", "it is NaN", 2.0),
    ]
    for event in happened:
        teller(event)
    assert heard[0][1]["metrics"] == {"fid": None, "is": None, "kid": 0.5}
    assert heard[0][1]["value"] is None


def test_the_process_reads_its_settings_from_the_environment(
    driven: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sweeper.service.driving import __main__ as process

    called: list[Any] = []
    monkeypatch.setattr(process, "drive", lambda *given: called.append(given) or 0)
    monkeypatch.setenv("SWEEPER_HOME", str(driven.service.settings.home.path))
    monkeypatch.setenv("SWEEPER_DATABASE", driven.database.url)
    assert process.main(["some-id", "3"]) == 0
    [(database, home, *rest)] = called
    assert (database.url, home, rest[:2]) == (
        driven.database.url,
        Home(driven.service.settings.home.path),
        ["some-id", 3],
    )
    assert process.main(["some-id"]) == 2
    monkeypatch.setenv("SWEEPER_DATABASE", "postgresql+psycopg://ada:secret@host/db")
    assert process.main(["some-id", "3"]) == 2
    assert "secret" not in capsys.readouterr().err


def test_names_that_no_database_holds_are_spelt_out_at_the_end(driven: Lab) -> None:
    with driven.database.writing() as session:
        entry = sweeps.entry_named(session, "small")
        order = sweeps.add_order(session, entry.sweep, entry.owner, "stop", number=3).id
    with Post(driven.database, sweep_id(driven), 1) as post:
        wait(lambda: len(post.orders) == 1)
        post.done(post.orders[0], "no file \udce9.png")
        post.end(lambda word: ("failed", "no file \udce9.png\0"))
    assert row(driven).message == "no file \\udce9.png\\x00"
    with driven.database.reading() as session:
        assert session.get_one(Order, order).outcome == "no file \\udce9.png"
