"""Every route of every mounted application, found by looking: closed to who has no business there.

A route that somebody adds is in here without a word about it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import select
from starlette.routing import Mount
from starlette.testclient import TestClient

from sweeper.service.api import install
from sweeper.service.app import application
from sweeper.service.doors import OPENINGS, Doors
from sweeper.service.people import attempts
from sweeper.service.people.guard import PUBLIC, PUBLIC_BELOW
from sweeper.service.state import accounts
from sweeper.service.state.accounts import Scope
from sweeper.service.state.database import Database
from sweeper.service.state.tables import Event, Order, Person, Sweep, Token
from tests.service import studies
from tests.service.conftest import ADDRESS, Lab, lab_in

NOWHERE = "http://127.0.0.1:9"
READING = ("GET", "HEAD", "OPTIONS")
BELOW = (
    "",
    "/",
    "/x",
    "/api/studies",
    "/ajax-api/2.0/mlflow/experiments/search",
    "/ajax-api/3.0/jobs",
    "/api/3.0/mlflow/webhooks",
    "/graphql",
    "/get-artifact",
    "/server-info",
)
"""Paths that are tried below what is mounted and says nothing of its routes."""

VALUES = {"name": "small", "number": "0", "step": "1", "figure": "x.png", "trick": "ema"}

TRAVERSALS = (
    "../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/%2e%2e/marker",
    "%252e%252e%252fmarker",
    "....//....//marker",
    "..%5c..%5cmarker",
    "%2fetc%2fpasswd",
    "file:%2f%2f%2fetc%2fpasswd",
    "small%00",
    "%c0%ae%c0%ae%2fmarker",
    "%ff%fe",
)
_OWN = (":fork", ":validate", "new", "notices", "tokens", "logout", "mlflow", "optuna", "static")
"""Words of paths that are to no sweep of somebody else's."""

MARKER = "only the server's own user reads this"

Route = tuple[str, str]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """bo's sweep `small`, which has run, and a file beside it that is nobody's business."""
    place = tmp_path_factory.mktemp("every")
    database = Database(f"sqlite:///{place}/service.db")
    database.upgrade()
    lab = lab_in(place, database)
    folder = lab.service.settings.home.sweep("small")
    studies.run(studies.begin(folder, lab.submit("bo", "small")), ["completed", "running"])
    for there in (place, folder.path, folder.path.parent, folder.trial(0)):
        there.mkdir(exist_ok=True)
        (there / "marker").write_text(MARKER)
    yield lab
    database.close()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "ALLOWED", 10**9)


@pytest.fixture(scope="module")
def app(lab: Lab) -> Any:
    return application(lab.service, (Doors(NOWHERE).install,), OPENINGS)


@pytest.fixture(scope="module")
def routes(app: Any) -> list[Route]:
    found = sorted(set(_routes(app._app._app)))
    assert len(found) > 80
    return found


def _routes(app: FastAPI) -> Iterator[Route]:
    """Method and path, with values in place of what it names, of all that is answered."""
    for context in iter_route_contexts(app.routes):
        path = context.path or ""
        if isinstance(context.original_route, Mount):
            yield from _mounted(context.original_route, path)
        else:
            for method in context.methods or ("GET",):
                yield method, _filled(path)


def _mounted(mount: Mount, prefix: str) -> Iterator[Route]:
    inner = getattr(mount.app, "routes", None) or ()
    paths = {getattr(route, "path", "") for route in inner} | set(BELOW)
    for path in paths:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            yield method, prefix + _filled(path)


def _filled(path: str) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: VALUES.get(found[1], "x"), path)


def _client(app: Any, words: str | None = None) -> TestClient:
    headers = {"authorization": f"Bearer {words}"} if words else {}
    return TestClient(
        app,
        base_url=ADDRESS,
        headers=headers,
        follow_redirects=False,
        raise_server_exceptions=False,
    )


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


def _rows(lab: Lab) -> list[Any]:
    """All that a request may have changed, but for the log of what was asked."""
    with lab.database.reading() as session:
        kept: list[Any] = []
        for table in (Sweep, Order, Event, Person, Token):
            for row in session.scalars(select(table)):
                shown = {key: value for key, value in vars(row).items() if key[0] != "_"}
                shown.pop("used", None)
                kept.append((table.__name__, shown))
    return kept


def test_nobody_is_answered_without_a_token_that_holds(
    lab: Lab, app: Any, routes: list[Route]
) -> None:
    with lab.database.writing() as session:
        bo = accounts.person_named(session, "bo")
        assert bo is not None
        _, revoked = accounts.add_token(session, bo, "revoked", Scope.ADMIN)
        accounts.revoke(session, revoked.split("_")[1])
        late, expired = accounts.add_token(session, bo, "late", Scope.ADMIN)
        late.expires = 1.0
    before = _rows(lab)
    cut, other = lab.tokens["ada"][:-1], lab.tokens["ada"] + "x"
    for words in (None, revoked, expired, "", "x", cut, other):
        client = _client(app, words)
        for method, path in routes:
            if not _is_public(path):
                answer = client.request(method, path)
                assert answer.status_code == 401, (words and words[:8], method, path)
    assert _rows(lab) == before


def test_a_token_to_read_changes_nothing(lab: Lab, app: Any, routes: list[Route]) -> None:
    before = _rows(lab)
    client = _client(app, lab.tokens["dee"])
    for method, path in routes:
        if method not in READING and not _is_public(path):
            answer = client.request(method, path)
            # Some of them only read, for the sake of their bodies.
            only_reads = path in app._openings.searches
            assert only_reads or answer.status_code == 403, (method, path)
    assert _rows(lab) == before


def test_a_browser_that_another_site_s_page_leads_here_changes_nothing(
    lab: Lab, app: Any, routes: list[Route]
) -> None:
    """Its cookie comes with links from elsewhere: it is `lax`."""
    browser = _client(app)
    assert browser.post("/login", data={"token": lab.tokens["ada"]}).status_code == 303
    before = _rows(lab)
    for method, path in routes:
        if not _is_public(path):
            answer = browser.request(method, path)
            assert method in READING or answer.status_code == 403, (method, path)
    assert _rows(lab) == before


def test_another_s_sweep_is_nobody_else_s_to_change(
    lab: Lab, app: Any, routes: list[Route]
) -> None:
    before = _rows(lab)
    client = _client(app, lab.tokens["cy"])
    for method, path in routes:
        if method in READING or _is_public(path) or any(word in path for word in _OWN):
            continue
        for body in ({}, {"trials": 99}, {"values": {}}, {"priority": "urgent"}):
            answer = client.request(method, path, json=body)
            assert answer.status_code in (400, 403, 415, 422), (method, path, answer.text)
    assert _rows(lab) == before


def test_the_api_s_document_is_made_once_and_beside_the_event_loop(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make = [], install.get_openapi

    def beside(**given: Any) -> dict[str, Any]:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        made.append(given)
        return make(**given)

    monkeypatch.setattr(install, "get_openapi", beside)
    client = lab.client("bo")
    for _ in range(2):
        assert client.get("/api/v1/openapi.json").json()["info"]["title"] == "GAN sweeper"
    assert len(made) == 1


def test_head_is_answered_wherever_get_is(lab: Lab, app: Any, routes: list[Route]) -> None:
    stranger, client = _client(app), _client(app, lab.tokens["ada"])
    followed = {"accept": "text/event-stream"}
    for path in [path for method, path in routes if method == "GET"]:
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b""), path
        for name in ("content-type", "etag", "location"):
            assert head.headers.get(name) == whole.headers.get(name), (path, name)
        if not _is_public(path):
            assert stranger.head(path).status_code == 401, path
    stream = client.head("/api/v1/events", headers=followed)  # whose body has no end
    assert stream.headers["content-type"].startswith("text/event-stream")
    refused = client.head("/api/v1/sweeps:validate")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert client.delete("/api/v1/queue").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("host", "evil.example", 421),
        ("host", "127.0.0.1:8470.evil.example", 421),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
    ],
)
def test_another_host_or_origin_is_refused_everywhere(
    lab: Lab, app: Any, routes: list[Route], header: str, value: str, status: int
) -> None:
    client = _client(app, lab.tokens["ada"])
    for method, path in routes:
        if path != "/health":  # which watchers ask by whatever name they know
            answer = client.request(method, path, headers={header: value})
            assert answer.status_code == status, (method, path)


def test_no_path_or_parameter_leads_out_of_its_place(lab: Lab, app: Any) -> None:
    client = _client(app, lab.tokens["ada"])
    tried = 0
    for method, path, names in _readings(app._app._app):
        for word in TRAVERSALS:
            ways = [path.replace(f"{{{name}}}", word, 1) for name in re.findall(r"\{(\w+)\}", path)]
            there = [_filled(way) for way in ways]
            there += [f"{_filled(path)}?{name}={word}" for name in names]
            for address in there:
                answer = client.request(method, address)
                assert answer.status_code < 500 or answer.status_code == 503, address
                assert MARKER not in answer.text, address
                assert "root:x:" not in answer.text, address
                tried += 1
    assert tried > 500


def _readings(app: FastAPI) -> Iterator[tuple[str, str, list[str]]]:
    """What may be read: method, path and the names of its query parameters."""
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, Mount):
            yield from (("GET", context.path + path, ["path"]) for path in ("/{below}", "/x"))
        elif "GET" in (context.methods or ()):
            dependant = getattr(context.original_route, "dependant", None)
            names = [field.alias for field in dependant.query_params] if dependant else []
            path = re.sub(r":\w+\}", "}", context.path or "")
            yield "GET", path, names
