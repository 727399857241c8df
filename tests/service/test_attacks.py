"""What somebody would try who means harm, or whose program is broken: each was once let through."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from sweeper.errors import UserError
from sweeper.home import Home
from sweeper.scheduling.working.failures import explain
from sweeper.service.actions import orders
from sweeper.service.actions.children import run_verb
from sweeper.service.api import logs, streams
from sweeper.service.people import bodies
from sweeper.service.people.attempts import ALLOWED
from sweeper.service.people.guard import COOKIE
from sweeper.service.problem import MEDIA_TYPE, Refusal
from sweeper.service.state import accounts, dispatch, sweeps
from sweeper.service.state.accounts import Caller, Scope
from sweeper.service.state.database import Database, DatabaseError
from sweeper.service.state.tables import Lease, Sweep, Token
from tests.service import studies
from tests.service.conftest import ADDRESS, SMALL, Lab

FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}


def signed_in(lab: Lab, person: str) -> TestClient:
    """A browser of this person."""
    client = lab.client()
    assert client.post("/login", data={"token": lab.tokens[person]}).status_code == 303
    return client


# Who asks ---------------------------------------------------------------------------------------


def test_who_guesses_keeps_nobody_else_of_the_same_address_out(lab: Lab) -> None:
    client = lab.client()
    for _ in range(ALLOWED + 1):
        guessed = client.get("/api/v1/me", headers={"authorization": "Bearer swp_a_b"})
    assert guessed.status_code == 429
    assert client.post("/login", data={"token": "swp_a_b"}).status_code == 429
    bearer = {"authorization": f"Bearer {lab.tokens['bo']}"}
    assert client.get("/api/v1/me", headers=bearer).status_code == 200
    assert client.post("/login", data={"token": lab.tokens["bo"]}).status_code == 303


def test_a_page_that_is_left_open_leads_to_signing_in_for_ever(lab: Lab) -> None:
    browser = lab.client()
    browser.cookies.set(COOKIE, "of-yesterday")
    asked = [browser.get("/", headers={"accept": "text/html"}) for _ in range(2 * ALLOWED)]
    assert {answer.status_code for answer in asked} == {303}


def test_a_database_that_is_away_is_said_to_be(lab: Lab) -> None:
    client = lab.client("bo")
    lab.database.close()
    assert lab.database.file is not None
    lab.database.file.rename(lab.database.file.with_suffix(".away"))
    answer = client.get("/api/v1/me")
    assert (answer.status_code, answer.headers["content-type"]) == (503, MEDIA_TYPE)


def test_a_database_that_takes_no_writes_is_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise DatabaseError("database or disk is full")

    monkeypatch.setattr(lab.database, "writing", full)
    assert lab.client("bo").get("/api/v1/me").status_code == 200


def test_a_form_of_too_many_fields_is_refused(lab: Lab) -> None:
    form = "&".join(f"a{number}=1" for number in range(1001))
    answer = signed_in(lab, "bo").post("/tokens", content=form, headers=FORM)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")


def test_a_body_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LONGEST", 0.05)

    async def trickling() -> dict[str, object]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(Refusal) as refused:
        asyncio.run(bodies.whole(bodies.bounded(trickling, Headers(), 1000), 1000))
    assert refused.value.status_code == 408


# Whose sweep ------------------------------------------------------------------------------------


def test_a_sweep_named_like_another_s_id_gets_none_of_its_requests(lab: Lab) -> None:
    ada = lab.submit("ada", "mine")
    lab.submit("cy", ada.id)
    assert lab.client("ada").get(f"/api/v1/sweeps/{ada.id}").json()["name"] == "mine"
    assert lab.client("cy").post(f"/api/v1/sweeps/{ada.id}:cancel").status_code == 403


@pytest.mark.parametrize("erased", [False, True])
def test_a_sweep_that_is_deleted_while_another_request_waits_stays_so(
    empty_database: str, make_lab: Callable[[Database], Lab], erased: bool
) -> None:
    database = Database(empty_database)
    database.upgrade()
    lab = make_lab(database)
    swept = lab.submit("bo", "mine")
    client = lab.client("bo")
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            gone = sweeps.changing(session, "mine").sweep
            resumed = pool.submit(client.post, "/api/v1/sweeps/mine:pause")
            wait_until_blocked(database)
            if erased:
                session.delete(gone)
            else:
                gone.deleted, gone.wanted = time.time(), "cancel"
        assert resumed.result(20).status_code == 404
    with database.reading() as session:
        kept = session.get(Sweep, swept.id)
        assert kept is None or kept.wanted == "cancel"
    database.close()


def wait_until_blocked(database: Database) -> None:
    """Until a transaction waits for another one's lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    for _ in range(500):
        with database.reading() as session:
            if session.scalar(waiting):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def test_what_is_wanted_after_the_clock_was_set_back_is_new(lab: Lab) -> None:
    swept = lab.submit("bo", "mine")
    with lab.database.writing() as session:
        entry = sweeps.changing(session, "mine")
        entry.sweep.asked = entry.lease.asked = time.time() + 3600
        entry.lease.state = "finished"
    assert lab.client("bo").post("/api/v1/sweeps/mine:resume").status_code == 200
    with lab.database.reading() as session:
        (waiting,) = dispatch.pending(session)
    assert (waiting.id, waiting.wanted_again) == (swept.id, True)


# What cannot be kept ----------------------------------------------------------------------------


@pytest.mark.parametrize("character", ["\\u0000", "\\ud800"])
def test_what_is_no_text_is_refused_with_its_line(lab: Lab, character: str) -> None:
    file = json.dumps({**SMALL, "description": "a", "notes": 1}).replace('"a"', f'"{character}"')
    answer = lab.client("bo").post("/api/v1/sweeps", content=file, headers=JSON)
    assert answer.status_code == 422
    described = next(one for one in answer.json()["problems"] if one["where"] == "description")
    assert described["line"]
    assert character[2:].upper() in described["what"]


def test_a_text_that_the_database_cannot_hold_is_refused(either_lab: Lab) -> None:
    either_lab.submit("bo", "mine")
    client = either_lab.client("bo")
    asked = client.patch("/api/v1/sweeps/mine", json={"description": "\0"})
    assert asked.status_code == 422
    with pytest.raises(UserError), either_lab.database.writing() as session:
        accounts.add_token(session, either_lab.person("bo"), "\ud800", Scope.READ)
    assert client.post("/login", data={"token": "swp_\0_a"}).status_code == 401


# What is left open ------------------------------------------------------------------------------


def test_a_request_that_ends_in_two_places_is_refused(lab: Lab) -> None:
    both = {**JSON, "content-length": "4", "transfer-encoding": "chunked"}
    answer = lab.client("bo").post("/api/v1/sweeps:validate", content=b"{}", headers=both)
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")


def test_every_origin_that_is_named_is_looked_at(lab: Lab) -> None:
    origins = [("origin", ADDRESS), ("origin", "https://evil.example")]
    assert lab.client("bo").get("/api/v1/me", headers=origins).status_code == 403


def test_nobody_takes_all_connections_with_streams(lab: Lab) -> None:
    caller = Caller(lab.person("bo"), Token())
    listening = {"accept": "text/event-stream"}

    async def told() -> AsyncIterator[bytes]:
        yield str(lab.service.streams[caller.person.id]).encode()

    async def listen() -> list[object]:
        return [piece async for piece in streams.stream(lab.service, caller, told()).body_iterator]

    assert asyncio.run(listen())[-1] == b"1"
    assert lab.service.streams[caller.person.id] == 0
    lab.service.streams[caller.person.id] = streams.MOST
    refused = lab.client("bo").get("/api/v1/events", headers=listening)
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-streams")


def test_a_busy_log_is_not_followed_with_a_token_that_was_revoked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab.service.settings.home.sweep("small")
    studies.run(studies.begin(folder, lab.submit("bo", "small")), ["running"])
    folder.trial(0).mkdir(parents=True)
    (folder.trial(0) / "log.txt").write_text("one\n")
    with lab.database.writing() as session:
        caller = accounts.caller_with_token(session, lab.tokens["dee"])
        assert caller is not None
        accounts.revoke(session, caller.token.id)
    reading = lab.service.readings.of("small")
    monkeypatch.setattr(logs, "HEARTBEAT", -1.0)

    async def follow() -> list[bytes]:
        told = logs._followed(lab.service, caller, reading, reading.by_number[0], 0)
        return [event async for event in told]

    assert asyncio.run(follow()) == []


# More than anybody needs ------------------------------------------------------------------------


def test_nobody_has_more_of_anything_than_the_server_bears(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = lab.client("bo")
    monkeypatch.setattr(accounts, "MOST_TOKENS", 2)
    monkeypatch.setattr(sweeps, "MOST_SWEEPS", 1)
    monkeypatch.setattr(sweeps, "MOST_ORDERS", 1)
    lab.submit("bo", "first")

    def second(path: str, given: object) -> tuple[int, str]:
        answer = client.post(f"/api/v1{path}", json=given)
        return answer.status_code, answer.json().get("title", "")

    one = {"values": {"optimizer.generator.lr": 1.0e-4}}
    assert second("/sweeps/first/trials:enqueue", one)[0] == 202
    assert second("/sweeps/first/trials:enqueue", one) == (
        422,
        "1 orders wait for the driver of first already",
    )
    assert second("/tokens", {"name": "a", "scope": "read"})[0] == 201
    assert second("/tokens", {"name": "b", "scope": "read"}) == (
        422,
        "bo has 2 tokens: revoke one first",
    )
    assert second("/sweeps", SMALL)[0] == 422
    assert lab.client("cy").post("/api/v1/sweeps", json=SMALL).status_code == 201


def test_an_ended_sweep_goes_on_where_its_owner_has_room_for_it(
    either_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "MOST_SWEEPS", 1)
    for name in ("one", "two"):
        ended = either_lab.submit("bo", name).id
        with either_lab.database.writing() as session:
            lease = session.get_one(Lease, ended)
            lease.state, lease.asked = "finished", time.time()
    ada = either_lab.client("ada")

    def go_on(name: str, verb: str, **given: object) -> tuple[int, str]:
        answer = ada.post(f"/api/v1/sweeps/{name}:{verb}", json=given)
        return answer.status_code, answer.json().get("title", "")

    full = (422, "bo has 1 sweeps that wait or run, and nobody may have more")
    assert [go_on("one", "resume")[0] for _ in range(2)] == [200, 200]
    # No dispatcher has looked since: by its state, the first has still ended.
    assert go_on("two", "resume") == go_on("two", "extend", trials=9) == full
    assert ada.get("/api/v1/sweeps/two").json()["limits"]["trials"] == 2


def test_the_first_of_many_browsers_is_signed_out(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "MOST_BROWSERS", 2)
    first, *others = [signed_in(lab, "bo") for _ in range(3)]
    assert first.get("/api/v1/me").status_code == 401
    assert [browser.get("/api/v1/me").status_code for browser in others] == [200, 200]


def test_a_reason_in_another_encoding_breaks_no_answer(lab: Lab) -> None:
    folder = lab.service.settings.home.sweep("small")
    ledger = studies.begin(folder, lab.submit("bo", "small"))
    (folder.trial(0)).mkdir(parents=True)
    failure = explain(OSError("no file \udce9.png"), folder.trial(0))
    assert failure.reason == "OSError: no file \\udce9.png"
    studies.run(ledger, ["running"])
    ledger.fail(0, "error", "as an old driver wrote it: \udce9", "\udce9")
    client = lab.client("dee")
    for path in ("trials", "trials/0", "table?format=csv", "dataset", "records"):
        assert client.get(f"/api/v1/sweeps/small/{path}").status_code == 200, path


# What people are told ---------------------------------------------------------------------------


def test_a_browser_is_refused_by_a_page_wherever_it_is_refused(lab: Lab) -> None:
    lab.submit("bo", "mine")
    browser, page = signed_in(lab, "bo"), {"accept": "text/html"}
    of_yesterday = {"csrf_token": "of-yesterday"}
    refused = browser.post("/sweeps/mine/cancel", data=of_yesterday, headers=page)
    assert refused.status_code == 403
    assert "load the page again" in refused.text
    assert refused.headers["content-type"].startswith("text/html")
    for host in ("[", "a:b", "evil.example"):
        odd = browser.post("/health", headers={"host": host, **page})
        assert odd.status_code == 405


def test_a_verb_of_the_server_s_knows_none_of_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nenv\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("SWEEPER_SMTP_PASSWORD", "for notices alone")
    monkeypatch.setenv("SWEEPER_BUCKET", "s3://lab")
    told = run_verb(Home(tmp_path), "preview").decode()
    assert "SWEEPER_BUCKET=s3://lab\n" in told
    assert "for notices alone" not in told


@pytest.mark.parametrize("reason", ["x" * 501, "a\0"])
def test_a_form_takes_no_more_than_the_api(lab: Lab, reason: str) -> None:
    folder = lab.service.settings.home.sweep("small")
    studies.run(studies.begin(folder, lab.submit("bo", "small")), ["running"])
    asked = {"reason": reason}
    stop = lab.client("bo").post("/sweeps/small/trials/0/stop", data=asked)
    assert stop.status_code == 422


def test_nothing_is_enqueued_for_a_sweep_that_ends_meanwhile(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.submit("bo", "small")
    with lab.database.writing() as session:
        before = sweeps.entry_named(session, "small")
    with lab.database.writing() as session:
        sweeps.changing(session, "small").lease.state = "finished"
    monkeypatch.setattr(orders, "entry_named", lambda *_: before)
    values = {"values": {"optimizer.generator.lr": 1.0e-4}}
    asked = lab.client("bo").post("/api/v1/sweeps/small/trials:enqueue", json=values)
    assert (asked.status_code, asked.json()["type"]) == (409, "/problems/not-now")
    with lab.database.reading() as session:
        assert sweeps.orders_of(session, before.sweep.id) == []
