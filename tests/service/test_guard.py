"""The guard: what it lets through, and what not, whatever is behind it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from sweeper.service.people import guard
from sweeper.service.people.attempts import ALLOWED
from sweeper.service.people.guard import COOKIE
from sweeper.service.state import accounts
from sweeper.service.state.accounts import Scope
from sweeper.service.state.database import Database
from tests.service.conftest import ADDRESS, Lab

SPEC = "/api/v1/openapi.json"


def test_nothing_is_answered_without_a_token(lab: Lab) -> None:
    client = lab.client()
    for path in (SPEC, "/", "/mlflow/", "/optuna/", "/never/heard/of", "//health", "/health/"):
        answer = client.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/health").json() == {"status": "up"}


def test_a_page_leads_to_signing_in(lab: Lab) -> None:
    answer = lab.client().get("/sweeps/a?b=c", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/login?next=%2Fsweeps%2Fa%3Fb%3Dc",
    )


@pytest.mark.parametrize(
    ("page", "led"),
    [
        (f"{ADDRESS}/sweeps/a/enqueue?trial=7", "/sweeps/a/enqueue?trial=7"),
        (ADDRESS, "/"),
        ("http://[", "/"),
    ],
)
def test_a_form_sent_after_the_session_leads_by_signing_in_back_to_its_page(
    lab: Lab, page: str, led: str
) -> None:
    headers = {"accept": "text/html", "referer": page}
    answer = lab.client().post("/sweeps/a/enqueue", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/login?next={quote(led, safe='')}",
    )


def test_a_token_opens_it(lab: Lab) -> None:
    assert lab.client("dee").get(SPEC).status_code == 200
    wrong = lab.client()
    for header in ("Bearer ", "Bearer x", "Basic x", lab.tokens["ada"], "Bearer swp_a_b"):
        assert wrong.get(SPEC, headers={"authorization": header}).status_code == 401


def test_an_address_that_guesses_is_answered_no_more(lab: Lab) -> None:
    client = lab.client()
    bad = {"authorization": "Bearer swp_guess_guess"}
    assert {client.get(SPEC, headers=bad).status_code for _ in range(ALLOWED)} == {401}
    answer = client.get(SPEC, headers=bad)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil:8470"]
)
def test_another_host_is_not_answered(lab: Lab, host: str) -> None:
    assert lab.client("ada").get(SPEC, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_another_site_s_page_is_refused(lab: Lab, method: str) -> None:
    client = lab.client("ada")
    for origin in ("https://evil.example", "null", "http://127.0.0.1:8471"):
        assert client.request(method, SPEC, headers={"origin": origin}).status_code == 403
    assert client.get(SPEC, headers={"origin": ADDRESS}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "host", "origin"),
    [
        ({"public": "https://sweeps.lab:443"}, "sweeps.lab", "https://sweeps.lab"),
        ({"public": "https://sweeps.lab"}, "sweeps.lab:443", "https://sweeps.lab:443"),
        ({"public": "HTTPS://Sweeps.Lab/"}, "sweeps.lab", "https://sweeps.lab"),
        ({"public": "https://sweeps.lab:8443"}, "SWEEPS.lab:8443", "https://SWEEPS.lab:8443"),
        ({"host": "Sweeps.Lab", "port": 80}, "sweeps.lab", "http://sweeps.lab"),
        (
            {"host": "sweeps.lab", "port": 443, "certificate": Path()},
            "sweeps.lab",
            "https://sweeps.lab",
        ),
        ({"port": 80}, "localhost", "http://127.0.0.1"),
        ({"host": "::1", "port": 80}, "[::1]", "http://[::1]"),
    ],
)
def test_its_own_name_is_known_in_every_spelling(
    lab: Lab, settings: dict[str, Any], host: str, origin: str
) -> None:
    lab.service.settings = replace(lab.service.settings, **settings)
    client = lab.client("ada")
    assert client.get(SPEC, headers={"host": host, "origin": origin}).status_code == 200
    for other in (f"{host}:81", f"x{host}", f"{host}.evil.example"):
        assert client.get(SPEC, headers={"host": other}).status_code == 421, other
    for other in ("http://sweeps.lab:443", f"{origin}:81", "null"):
        answer = client.get(SPEC, headers={"host": host, "origin": other})
        assert answer.status_code == 403, other


def test_a_token_to_read_writes_nothing(lab: Lab) -> None:
    answer = lab.client("dee").post("/api/v1/never")
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/scope"


def test_a_browser_s_writes_carry_its_csrf_token(lab: Lab) -> None:
    with lab.database.writing() as session:
        caller = accounts.caller_with_token(session, lab.tokens["bo"])
        assert caller is not None
        words = accounts.sign_in(session, caller)
    with lab.database.reading() as session:
        signed_in = accounts.caller_with_cookie(session, words)
    assert signed_in is not None
    client = lab.client()
    client.cookies.set(COOKIE, words)
    assert client.get(SPEC).status_code == 200
    assert _refused_as(client, {}) == "/problems/csrf"
    assert _refused_as(client, {"x-csrf-token": "x"}) == "/problems/csrf"
    passed = client.post("/api/v1/never", headers={"x-csrf-token": signed_in.csrf or ""})
    assert passed.status_code == 404
    form = client.post("/api/v1/never", data={"csrf_token": signed_in.csrf, "other": "ü" * 100})
    assert form.status_code == 404


def test_a_body_is_of_bounded_size(lab: Lab) -> None:
    client = lab.client("bo")
    assert client.post("/api/v1/never", content=b"x" * (3 << 20)).status_code == 413

    def pieces():  # type: ignore[no-untyped-def]
        for _ in range(40):
            yield b"x" * (1 << 16)

    as_file = {"content-type": "application/yaml"}
    assert client.post("/api/v1/sweeps", content=pieces(), headers=as_file).status_code == 413


def _refused_as(client: TestClient, headers: dict[str, str]) -> str:
    answer = client.post("/api/v1/never", headers=headers)
    assert answer.status_code == 403
    kind: str = answer.json()["type"]
    return kind


def test_who_was_known_a_moment_ago_is_looked_up_again_once_anybody_has_written(
    either_lab: Lab,
) -> None:
    lab = either_lab
    lab.submit("bo", "small")
    bo, there = lab.client("bo"), "/api/v1/sweeps/small"
    for _ in range(3):
        assert bo.get(there).json()["priority"] == "normal"
        assert bo.get("/api/v1/sweeps").json()["items"][0]["priority"] == "normal"
    bo.patch(there, json={"priority": "high"})
    assert bo.get(there).json()["priority"] == "high"
    assert bo.get("/api/v1/sweeps").json()["items"][0]["priority"] == "high"
    # Another process, as `sweeper token revoke` is.
    with contextlib.closing(Database(lab.database.url)) as another, another.writing() as session:
        accounts.revoke(session, lab.tokens["bo"].split("_")[1])
    assert bo.get(there).status_code == 401
    assert bo.get("/api/v1/sweeps").status_code == 401


def test_a_token_that_ends_by_itself_opens_nothing_from_then_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.database.writing() as session:
        token, words = accounts.add_token(session, lab.person("bo"), "late", Scope.READ, days=3e-4)
    headers = {"authorization": f"Bearer {words}"}
    for _ in range(2):
        assert lab.client().get("/api/v1/sweeps", headers=headers).status_code == 200
    assert token.expires is not None
    late = token.expires + 1
    monkeypatch.setattr(guard.time, "time", lambda: late)
    assert lab.client().get("/api/v1/sweeps", headers=headers).status_code == 401
