"""Events and logs as they happen: without a gap, bounded, and with an end where one is due."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sweeper.search.ledger import Ledger
from sweeper.service import events as hubs
from sweeper.service.api import logs as log_routes
from sweeper.service.events import Heard, Hub
from sweeper.service.state import accounts, events
from sweeper.service.state.accounts import Caller
from sweeper.sweepfile.load import read_stored
from tests.service import studies
from tests.service.conftest import Lab
from tests.service.serving import served

EVENTS = "/api/v1/events"
STREAM = {"accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "EVERY", 0.02)
    monkeypatch.setattr(hubs, "CHECK_EVERY", 0.1)
    monkeypatch.setattr(log_routes, "EVERY", 0.05)
    monkeypatch.setattr(log_routes, "HEARTBEAT", 0.2)


def _caller(lab: Lab, name: str) -> Caller:
    with lab.database.reading() as session:
        caller = accounts.caller_with_token(session, lab.tokens[name])
    assert caller is not None
    return caller


def _happen(lab: Lab, count: int, sweep_id: str | None = None) -> None:
    for number in range(count):
        with lab.database.writing() as session:
            events.add_event(session, sweep_id, "noted", {"n": number})


def _told(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream."""
    event: dict[str, Any] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            event[name] = value
        elif event:
            yield event
            event = {}


def test_events_are_listed_by_the_page(lab: Lab) -> None:
    sweep = lab.submit("bo", "small")
    _happen(lab, 5)
    dee = lab.client("dee")
    seen, after = [], 0
    while page := dee.get(EVENTS, params={"after": after, "limit": 2}).json():
        seen += [event["number"] for event in page["events"]]
        after = page["last"]
        if not page["events"]:
            break
    assert seen == [1, 2, 3, 4, 5, 6]
    own = dee.get(EVENTS, params={"sweep": "small"}).json()
    assert [(event["kind"], event["sweep_id"]) for event in own["events"]] == [
        ("submitted", sweep.id)
    ]
    assert own["last"] == 6
    assert dee.get(EVENTS, params={"sweep": "smal"}).status_code == 404
    assert dee.get(EVENTS, headers={"last-event-id": "4"}).json()["events"][0]["number"] == 5


def test_a_stream_that_is_cut_off_and_comes_back_has_no_gap(either_lab: Lab) -> None:
    lab, seen, count = either_lab, [], 120
    writers = [threading.Thread(target=_happen, args=(lab, count // 3)) for _ in range(3)]
    headers = {**STREAM, "authorization": f"Bearer {lab.tokens['dee']}", "last-event-id": "0"}
    with served(lab.service) as address, httpx.Client(base_url=address, timeout=20) as client:
        for writer in writers:
            writer.start()
        while len(seen) < count:
            with client.stream("GET", EVENTS, headers=headers) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                for taken, event in enumerate(_told(response)):
                    headers["last-event-id"] = event.get("id", headers["last-event-id"])
                    if "data" in event:
                        assert json.loads(event["data"])["number"] == int(event["id"])
                        seen.append(int(event["id"]))
                    if taken > 17 or len(seen) >= count:
                        break
    for writer in writers:
        writer.join()
    assert seen == list(range(1, count + 1))


def test_a_stream_ends_with_its_token_and_with_the_server(lab: Lab) -> None:
    def end_of(name: str) -> None:
        headers = {**STREAM, "authorization": f"Bearer {lab.tokens[name]}"}
        with httpx.stream("GET", address + EVENTS, headers=headers, timeout=20) as response:
            for _ in _told(response):
                begun.release()
        ended.append(name)

    begun, ended = threading.Semaphore(0), []
    with served(lab.service) as address:
        threads = [threading.Thread(target=end_of, args=(name,)) for name in ("bo", "dee")]
        for thread in threads:
            thread.start()
            assert begun.acquire(timeout=20)
        with lab.database.writing() as session:
            accounts.revoke(session, _caller(lab, "bo").token.id)
        threads[0].join(20)
        assert ended == ["bo"]
    threads[1].join(20)
    assert ended == ["bo", "dee"]


def test_many_listeners_cost_one_reader_and_a_slow_one_is_let_go(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "QUEUE", 20)
    reads = 0

    async def scene() -> None:
        hub, caller = Hub(lab.database, threading.Event()), _caller(lab, "dee")
        read = hub._read

        def counted(after: int, sweep_id: str | None) -> Any:
            nonlocal reads
            reads += 1
            return read(after, sweep_id)

        monkeypatch.setattr(hub, "_read", counted)
        slow = hub.listen(caller)
        assert await anext(slow) == Heard(0)
        quick = [hub.listen(caller) for _ in range(20)]
        for one in quick:
            await anext(one)

        async def hear(stream: Any) -> list[int]:
            return [(await anext(stream)).number for _ in range(10)]

        began = time.monotonic()
        for last in range(10, 61, 10):
            hearing = [asyncio.create_task(hear(one)) for one in quick]
            await asyncio.to_thread(_happen, lab, 10)
            heard = await asyncio.wait_for(asyncio.gather(*hearing), 20)
            assert heard == [list(range(last - 9, last + 1))] * 20
        assert reads <= 2 + (time.monotonic() - began) / hubs.EVERY
        left = [one.number async for one in slow]
        assert left == list(range(1, len(left) + 1))
        assert len(left) < 20
        for one in quick:
            await one.aclose()

    asyncio.run(scene())


def test_a_listener_of_one_sweep_hears_of_no_other(lab: Lab) -> None:
    mine, other = lab.submit("bo", "mine"), lab.submit("cy", "other")

    async def scene() -> list[int]:
        hub = Hub(lab.database, threading.Event())
        stream = hub.listen(_caller(lab, "dee"), 0, mine.id)
        heard = [await anext(stream), await anext(stream)]
        await asyncio.to_thread(_happen, lab, 3, other.id)
        await asyncio.to_thread(_happen, lab, 2, mine.id)
        heard += [await anext(stream), await anext(stream)]
        await stream.aclose()
        return [one.number for one in heard]

    assert asyncio.run(scene()) == [0, 1, 6, 7]


@pytest.fixture
def log(lab: Lab) -> Path:
    """The log of a running trial, number 0 of `small`, with three lines."""
    row = lab.submit("bo", "small")
    folder = lab.service.settings.home.sweep("small")
    studies.run(studies.begin(folder, row), ["running"])
    folder.trial(0).mkdir(parents=True)
    log = folder.trial(0) / "log.txt"
    log.write_text("one\ntwo\nthree token=hunter2hunter2\n")
    return log


def test_the_end_of_a_log_is_read_without_secrets(lab: Lab, log: Path) -> None:
    dee, at = lab.client("dee"), "/api/v1/sweeps/small/trials/0/log"
    assert dee.get(at, params={"tail": 2}).text == "two\nthree token=***\n"
    assert dee.get(at, params={"tail": 0}).text == ""
    log.write_bytes(b"\xff\xfe" + b"x" * 3_000_000)
    assert len(dee.get(at).text) < 3_000
    log.unlink()
    log.symlink_to("/etc/passwd")
    assert dee.get(at).text == ""


def test_a_log_is_followed_to_the_trial_s_end(lab: Lab, log: Path) -> None:
    at, folder = "/api/v1/sweeps/small/trials/0/log", lab.service.settings.home.sweep("small")
    headers = {**STREAM, "authorization": f"Bearer {lab.tokens['dee']}"}

    def write(text: str) -> None:
        with log.open("a") as file:
            file.write(text)

    with served(lab.service) as address, httpx.Client(base_url=address, timeout=20) as client:
        with client.stream("GET", at, headers=headers, params={"tail": 1}) as response:
            told = (event for event in _told(response) if "data" in event)
            assert next(told)["data"] == "three token=***"
            write("four\nfi")
            event = next(told)
            assert event["data"] == "four"
        write("ve\n")
        headers["last-event-id"] = event["id"]
        with client.stream("GET", at, headers=headers) as response:
            told = (event for event in _told(response) if "data" in event)
            assert next(told)["data"] == "five"
            write("six")
            ledger = Ledger.open(read_stored(folder.spec_json), folder)
            ledger.complete(0, [1.0])
            assert next(told)["data"] == "six"
            assert next(told)["event"] == "end"
            assert next(told, None) is None
