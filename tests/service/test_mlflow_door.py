"""MLflow behind the login: its own client works through it, and what is closed stays closed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from sweeper.home import Home
from sweeper.service.app import Service, application
from sweeper.service.doors import OPENINGS, Doors
from sweeper.service.doors.owners import Owners
from sweeper.service.doors.proxy import ReverseProxy
from sweeper.service.doors.tracking import PREFIX, TrackingDoor
from sweeper.service.people.guard import COOKIE
from sweeper.service.problem import Refusal
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import accounts, sweeps
from sweeper.service.state.accounts import Caller, Scope
from sweeper.service.state.database import Database
from sweeper.service.state.tables import Person, Token
from sweeper.tracking.routes import CLOSED, is_judged, use_of
from sweeper.tracking.server import server_command, server_environment
from sweeper.tracking.writes import Subjects
from tests.mlflow_server import Server
from tests.service.served import free_port, served

CLIENT = """
import hashlib, json, os, pathlib, sys, tempfile, mlflow
mlflow.set_experiment("mine")
with mlflow.start_run(run_name="first") as run:
    mlflow.log_params({"lr": 1e-3, "loss": "hinge"})
    for step in range(3):
        mlflow.log_metric("fid", 10.0 - step, step=step)
    folder = pathlib.Path(tempfile.mkdtemp())
    content = os.urandom(20 << 20)
    (folder / "weights ü.bin").write_bytes(content)
    mlflow.log_artifact(str(folder / "weights ü.bin"), "models")
    mlflow.set_tag("note/with/slash", "ü")
found = mlflow.search_runs(experiment_names=["mine"], filter_string="params.loss = 'hinge'")
(file,) = mlflow.artifacts.list_artifacts(run_id=run.info.run_id, artifact_path="models")
fetched = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=file.path)
history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "fid")
print(json.dumps({
    "run": run.info.run_id, "found": list(found.run_id), "root": run.info.artifact_uri,
    "same": pathlib.Path(fetched).read_bytes() == content,
    "history": [one.value for one in history],
}))
"""
"""What anybody does with MLflow, in MLflow's own words."""

ATTEMPT = """
import mlflow
try:
    mlflow.set_experiment("forbidden")
except mlflow.exceptions.MlflowException as error:
    print(error)
"""


@dataclass
class Place:
    """A service with MLflow behind it. `tokens` are those of a reader and a submitter."""

    address: str
    behind: str
    tokens: dict[str, str]
    cookie: str
    http: httpx.Client

    def get(self, path: str, **options: object) -> httpx.Response:
        return self.ask("GET", path, **options)

    def ask(self, method: str, path: str, who: str = "submit", **options: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.tokens[who]}"} if who in self.tokens else {}
        headers |= options.pop("headers", {})  # type: ignore[arg-type]
        return self.http.request(method, self.address + path, headers=headers, **options)  # type: ignore[arg-type]

    def client(self, script: str, token: str | None) -> str:
        """What MLflow's client prints that runs this."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        told = {"MLFLOW_TRACKING_URI": f"{self.address}/mlflow", "MLFLOW_DISABLE_TELEMETRY": "true"}
        if token:
            told["MLFLOW_TRACKING_TOKEN"] = token
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**kept, **told, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("door")
    home = Home(folder / "sweeps")
    home.path.mkdir()
    behind = Server(home.path, server_command)
    behind.start()
    database = Database(f"sqlite:///{folder}/service.db")
    database.upgrade()
    settings = replace(ServiceSettings(home, database.url), port=free_port())
    tokens = {}
    with database.writing() as session:
        person = accounts.add_person(session, "bo")
        for scope in Scope:
            tokens[scope.word] = accounts.add_token(session, person, "test", scope)[1]
        for owner, name in ((person, "bo-s"), (accounts.add_person(session, "cy"), "cy-s")):
            sweeps.add_sweep(session, owner, name=name, source="", spec={})
        caller = accounts.caller_with_token(session, tokens["submit"])
        assert caller is not None
        cookie = accounts.sign_in(session, caller)
    doors = Doors(behind.address)
    app = application(Service(settings, database), [doors.install], OPENINGS)
    behind.wait()
    with served(app, settings.port), httpx.Client(timeout=60) as http:
        yield Place(settings.address, behind.address, tokens, cookie, http)
    behind.kill()
    database.close()


def test_mlflow_s_own_client_works_through_it(place: Place) -> None:
    *_, said = place.client(CLIENT, place.tokens["submit"]).splitlines()
    told = json.loads(said)
    assert told["found"] == [told["run"]]
    assert told["same"]
    assert told["history"] == [10.0, 9.0, 8.0]
    assert told["root"].startswith("mlflow-artifacts:/")
    reader = place.client(
        "import mlflow; print(*mlflow.search_runs(experiment_names=['mine']).run_id)",
        place.tokens["read"],
    )
    assert reader.split() == [told["run"]]


def test_a_client_without_the_right_token_is_told_so(place: Place) -> None:
    assert "needs submit" in place.client(ATTEMPT, place.tokens["read"])
    assert "valid token" in place.client(ATTEMPT, None)


def test_a_token_to_read_writes_nothing(place: Place) -> None:
    for method, path in (
        ("POST", "/mlflow/api/2.0/mlflow/runs/create"),
        ("PUT", "/mlflow/api/2.0/mlflow-artifacts/artifacts/a/b"),
        ("DELETE", "/mlflow/ajax-api/2.0/mlflow-artifacts/artifacts/a/b"),
        ("POST", "/mlflow/api/2.0/mlflow/logged-models/search/params"),
        ("POST", "/mlflow/api/2.0/mlflow/runs/search/../create"),
        ("POST", "/mlflow/api/2.0/mlflow/runs/search%2f..%2fcreate"),
    ):
        answer = place.ask(method, path, "read", json={})
        assert answer.status_code == 403, path
    search = place.ask(
        "POST", "/mlflow/api/2.0/mlflow/experiments/search", "read", json={"max_results": 5}
    )
    assert search.status_code == 200


@pytest.mark.parametrize("line", CLOSED.strip().splitlines(), ids=lambda line: line.split()[1])
def test_what_is_closed_is_closed_to_everybody(line: str, place: Place) -> None:
    method, pattern, *_ = line.split()
    for way in ("", "/api/", "/ajax-api/")[slice(1) if pattern[0] == "/" else slice(1, 3)]:
        path = f"/mlflow{way}{pattern}".replace("/**", "/x").replace("*", "x")
        for one in ("GET", "POST", "PUT", "PATCH", "DELETE") if method == "*" else (method,):
            answer = place.ask(one, path)
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/closed"), path


def test_every_route_of_the_installed_mlflow_is_judged() -> None:
    """A later MLflow brings routes: each must be read in its source before it is opened, and
    written down in `sweeper.tracking.routes` as read, write or closed."""
    script = """
import warnings; warnings.simplefilter("ignore")
from fastapi.routing import iter_route_contexts
from mlflow.server.fastapi_app import app
from mlflow.server import app as flask
for route in iter_route_contexts(app.routes):
    for method in getattr(route, "methods", None) or ():
        print(method, route.path)
for rule in flask.url_map.iter_rules():
    for method in rule.methods - {"HEAD", "OPTIONS"}:
        print(method, rule.rule)
"""
    environment = {**server_environment(), "PYTHONWARNINGS": "ignore"}
    listed = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(listed) > 300
    routes = [(m, re.sub(r"<[^>]*>|\{[^}]*\}", "x", p)) for m, p in map(str.split, listed)]
    assert [route for route in routes if not is_judged(*route)] == []
    assert ("POST", "/gateway/x/mlflow/invocations") in routes
    assert use_of("POST", "/gateway/x/mlflow/invocations") == "closed"


def test_artifacts_can_be_nothing_but_mlflow_s_own(place: Place) -> None:
    create = "/mlflow/api/2.0/mlflow/experiments/create"
    twice = json.dumps(json.dumps({"name": "c", "artifactLocation": "file:///etc"}))
    for body in (
        json.dumps({"name": "a", "artifact_location": "file:///etc"}),
        json.dumps({"name": "b", "artifactLocation": "/etc"}),
        twice,
    ):
        answer = place.ask("POST", create, content=body)
        assert answer.status_code == 403, body
    version = {"name": "m", "source": "http://169.254.169.254/latest", "run_id": "x"}
    path = "/mlflow/api/2.0/mlflow/model-versions/create"
    assert place.ask("POST", path, json=version).status_code == 403
    assert place.ask("POST", create, json={"name": "d"}).status_code == 200


@pytest.mark.parametrize("spelling", ["run_id", "runId", "run_uuid"])
def test_the_runs_of_a_sweep_are_changed_by_its_owner(place: Place, spelling: str) -> None:
    runs = {}
    for name in ("bo-s", "cy-s"):
        # As drivers do, who do not come through the door.
        api = f"{place.behind}/api/2.0/mlflow"
        httpx.post(f"{api}/experiments/create", json={"name": name})
        found = httpx.get(f"{api}/experiments/get-by-name", params={"experiment_name": name})
        number = found.json()["experiment"]["experiment_id"]
        made = httpx.post(f"{api}/runs/create", json={"experiment_id": number}).json()
        runs[name] = (number, made["run"]["info"]["run_id"])

    def status(who: str, name: str, path: str, body: object, method: str = "POST") -> int:
        experiment, run = runs[name]
        path = path.format(experiment=experiment, run=run)
        return place.ask(method, f"/mlflow/api/2.0/{path}", who, json=body).status_code

    tag = {"key": "a", "value": "b"}
    for who, name, expected in (
        ("submit", "bo-s", 200),
        ("submit", "cy-s", 403),
        ("admin", "cy-s", 200),
    ):
        experiment, run = runs[name]
        told = {spelling: run, **tag}
        for body in (told, json.dumps(told)):
            found = status(who, name, "mlflow/runs/set-tag", body)
            assert (found == 403) == (expected == 403)  # MLflow does not like every spelling
        file = "mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/a.txt"
        assert status(who, name, file, {}, "PUT") == expected
        body = {"experiment_id": experiment}
        assert status(who, name, "mlflow/runs/create", body) == expected
        assert status(who, name, "mlflow/logged-models", body) == expected
    assert status("read", "bo-s", "mlflow/runs/search", {"experiment_ids": ["1"]}) == 200


def test_a_write_has_mlflow_asked_a_handful_of_questions_at_most(place: Place) -> None:
    path = "/mlflow/api/2.0/mlflow/runs/log-metric"
    metric = {"key": "a", "value": 1.0, "timestamp": 1}
    for run in ([str(number) for number in range(9)], "x" * 70_000, "\ud800"):
        refused = place.ask("POST", path, content=json.dumps({"run_id": run, **metric}))
        assert (refused.status_code, refused.json()["type"]) == (400, "/problems/invalid")
        assert "at most 8 ids" in refused.json()["title"]
    many = "&".join(f"run_id={number}" for number in range(9))
    assert place.ask("POST", f"{path}?{many}").status_code == 400


@pytest.mark.parametrize("told", [{"run": None}, {"run": {"info": None}}, {"run": []}, [], None])
def test_an_answer_of_mlflow_s_without_the_run_names_no_owner(told: object, tmp_path: Path) -> None:
    asked = []

    async def ask(path: str, query: dict[str, str]) -> object:
        asked.append((path, query))
        return told

    database = Database(f"sqlite:///{tmp_path}/service.db")
    caller = Caller(Person(name="bo"), Token(scope="submit"))
    about = Subjects(frozenset(), frozenset({"a"}), frozenset())
    asyncio.run(Owners(ask, database).check(caller, about))
    assert asked == [("/api/2.0/mlflow/runs/get", {"run_id": "a"})]
    database.close()


def test_nothing_is_written_where_only_mlflow_sees_whose_it_is(place: Place) -> None:
    """MLflow decodes an artifact's place once more, and takes it apart as a URL."""
    api = f"{place.behind}/api/2.0/mlflow"
    httpx.post(f"{api}/experiments/create", json={"name": "cy-s"})
    found = httpx.get(f"{api}/experiments/get-by-name", params={"experiment_name": "cy-s"})
    number = found.json()["experiment"]["experiment_id"]
    run = httpx.post(f"{api}/runs/create", json={"experiment_id": number}).json()
    inside = f"{run['run']['info']['run_id']}/artifacts/kept.txt"
    below = "/api/2.0/mlflow-artifacts/artifacts/"
    kept = f"{place.behind}{below}{number}/{inside}"
    httpx.put(kept, content=b"kept")
    encoded = "".join(f"%25{ord(digit):02x}" for digit in number)
    for where in (encoded, f"file:{number}", f"{number}%09", f"%20{number}", f"%09{number}"):
        for method in ("PUT", "DELETE"):
            answer = place.ask(method, f"/mlflow{below}{where}/{inside}", content=b"another's")
            assert answer.status_code == 403, (method, where)
    assert place.ask("DELETE", f"/mlflow{below}%252e").status_code == 403  # all of everybody
    assert httpx.get(kept).content == b"kept"


def test_what_mlflow_does_not_say_the_owner_of_is_not_written() -> None:
    async def behind(scope, receive, send):  # type: ignore[no-untyped-def]
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    port = free_port()
    proxy = ReverseProxy("MLflow", f"http://127.0.0.1:{port}", PREFIX)

    async def asked() -> None:
        try:
            await proxy.ask("/api/2.0/mlflow/runs/get", {"run_id": "a"})
        finally:
            await proxy.close()

    with served(behind, port), pytest.raises(Refusal) as refused:
        asyncio.run(asked())
    assert refused.value.status_code == 502


def test_mlflow_s_pages_are_found_below_it_and_call_nobody_else(place: Place) -> None:
    assert place.get("/mlflow").headers["location"].endswith("/mlflow/")
    page = place.get("/mlflow/")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    (script,) = re.findall(r'src="(static-files/[^"]*main[^"]*\.js)"', page.text)
    assert place.get(f"/mlflow/{script}").status_code == 200
    assert place.get("/mlflow/", who="nobody").status_code == 401


def test_mlflow_learns_nothing_of_who_asks(tmp_path: Path) -> None:
    """Seen from behind: a server that says what it was told."""
    seen: list[dict[str, str]] = []

    async def behind(scope, receive, send):  # type: ignore[no-untyped-def]
        assert scope["type"] == "http"  # what else a server asks first, it need not have
        seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        told = [
            (b"location", f"http://127.0.0.1:{port}/get-artifact?x=1".encode()),
            (b"set-cookie", b"theirs=1"),
            (b"access-control-allow-origin", b"*"),
            (b"connection", b"x-theirs"),
            (b"x-theirs", b"1"),
        ]
        await send({"type": "http.response.start", "status": 302, "headers": told})
        await send({"type": "http.response.body", "body": b""})

    port, front = free_port(), free_port()
    door = TrackingDoor(f"http://127.0.0.1:{port}", Database(f"sqlite:///{tmp_path}/a.db"))

    async def known(scope, receive, send):  # type: ignore[no-untyped-def]
        assert scope["type"] == "http"
        await door(scope, receive, send)
        await door.close()

    with served(behind, port), served(known, front):
        answer = httpx.get(
            f"http://127.0.0.1:{front}/mlflow/version?a=%C3%BC",
            headers={
                "authorization": "Bearer secret",
                "cookie": f"{COOKIE}=secret",
                "origin": "https://sweeps.lab",
                "x-forwarded-for": "1.2.3.4",
                "connection": "close, x-own",
                "x-own": "1",
                "x-kept": "1",
            },
        )
    (headers,) = seen
    assert headers["host"] == f"127.0.0.1:{port}"
    assert headers["x-kept"] == "1"
    assert not {"authorization", "cookie", "origin", "x-forwarded-for", "x-own"} & headers.keys()
    assert answer.headers["location"] == "/mlflow/get-artifact?x=1"
    assert not {"set-cookie", "access-control-allow-origin", "x-theirs"} & answer.headers.keys()


def test_a_browser_s_write_says_from_which_page_it_comes(place: Place) -> None:
    path = "/mlflow/ajax-api/2.0/mlflow/experiments/create"
    cookies = {"cookie": f"{COOKIE}={place.cookie}"}
    body = {"name": "from the page"}
    assert place.ask("POST", path, "nobody", headers=cookies, json=body).status_code == 403
    other = cookies | {"origin": "https://evil.example"}
    assert place.ask("POST", path, "nobody", headers=other, json=body).status_code == 403
    own = cookies | {"origin": place.address}
    assert place.ask("POST", path, "nobody", headers=own, json=body).status_code == 200


def test_mlflow_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    doors, front = Doors(f"http://127.0.0.1:{free_port()}"), free_port()
    database = Database(f"sqlite:///{tmp_path}/service.db")
    database.upgrade()
    settings = ServiceSettings(Home(tmp_path), database.url, port=front)
    with database.writing() as session:
        person = accounts.add_person(session, "bo")
        token = accounts.add_token(session, person, "test", Scope.READ)[1]
    with served(application(Service(settings, database), [doors.install], OPENINGS), front):
        answer = httpx.get(
            f"{settings.address}/mlflow/version", headers={"authorization": f"Bearer {token}"}
        )
    assert (answer.status_code, answer.json()["type"]) == (502, "/problems/away")
    database.close()
