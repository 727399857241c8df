"""The Python client against the real application, served by uvicorn: what it gives, what it raises,
and what it sends again."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweeper.ablation.dataset import read_dataset
from sweeper.cli.remote import standings_from
from sweeper.client import Client
from sweeper.client import transport as transport_module
from sweeper.client.streams import Sent, parsed
from sweeper.errors import SpecConflict, SpecError, UnknownSweep, Unreachable, UserError
from sweeper.service.app import Service, application
from sweeper.service.state import events, sweeps
from sweeper.service.state.tables import Sweep
from sweeper.standings.forecast import forecast_of
from sweeper.trial import Trial
from tests.service import studies
from tests.service.conftest import SMALL, Lab, listening
from tests.service.receivers import until
from tests.service.served import free_port, served

FILE = """\
name: sent
base: {data: digits, steps: 4}
parameters:
  optimizer.generator.lr: {values: [1.0e-4, 2.0e-4]}
limits: {trials: 2}
"""
ENDINGS = ["completed", "failed", "completed", "running"]


@pytest.fixture
def bo(lab: Lab, address: str) -> Iterator[Client]:
    with Client(address, lab.tokens["bo"], patience=20) as client:
        yield client


@pytest.fixture
def study(lab: Lab) -> Sweep:
    """Bo's sweep `small`, with a trial of each ending."""
    row = lab.submit("bo", "small", trials=50)
    studies.run(studies.begin(lab.service.settings.home.sweep("small"), row), ENDINGS)
    return row


# What it gives ------------------------------------------------------------------------------------


def test_a_sweep_is_submitted_steered_and_deleted(lab: Lab, bo: Client) -> None:
    made = bo.sweeps.submit(FILE, overrides=["limits.trials=7", "name=mine"], priority="high")
    assert (made.name, made.owner, made.priority) == ("mine", "bo", "high")
    assert bo.sweeps.get("mine").limits["trials"] == 7
    assert yaml.safe_load(bo.sweeps.file("mine"))["limits"]["trials"] == 7
    assert bo.sweeps.submit({**SMALL, "name": "mapped"}).name == "mapped"
    assert bo.sweeps.pause("mine").wanted == "pause"
    assert bo.sweeps.resume("mine").wanted == "run"
    assert bo.sweeps.change("mine", priority="low", description="ü").description == "ü"
    assert bo.sweeps.extend("mine", trials=9).limits["trials"] == 9
    assert bo.sweeps.fork("mine", "forked", overrides=["limits.trials=3"]).name == "forked"
    assert bo.sweeps.stop("mine").wanted == "stop"
    assert bo.sweeps.cancel(made.id).wanted == "cancel"
    bo.sweeps.delete("mine")
    assert [sweep.name for sweep in bo.sweeps.list(sort="name", descending=False)] == [
        "forked",
        "mapped",
    ]


def test_lists_go_over_their_pages(lab: Lab, bo: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"sweep-{number:02d}" for number in range(7)]
    for name in names:
        lab.submit("cy" if name.endswith("3") else "bo", name)
    get, asked = bo.sweeps._http.get, []

    def small_pages(path: str, shape: type, **params: object) -> object:
        asked.append(params)
        return get(path, shape, **{**params, "limit": 2})

    monkeypatch.setattr(bo.sweeps._http, "get", small_pages)
    assert [sweep.name for sweep in bo.sweeps.list(sort="name", descending=False)] == names
    assert len(asked) == 4
    assert [sweep.name for sweep in bo.sweeps.list(owner="cy", state=["queued"])] == ["sweep-03"]


@pytest.mark.usefixtures("study")
def test_trials_are_looked_at_and_asked_things_of(lab: Lab, bo: Client) -> None:
    assert [trial.number for trial in bo.trials.list("small", sort="rank")] == [0, 2, 1, 3]
    assert bo.trials.get("small", 1).symptom == "error"
    assert bo.trials.curves("small", number=[0]).curves[0].steps == [1, 2]
    assert bo.trials.samples("small", 0) == [1, 2]
    assert yaml.safe_load(bo.trials.file("small", 0))["base"]["steps"] == 4
    assert bo.trials.retry("small", 1, anew=True).payload == {"anew": True}
    assert bo.trials.stop("small", 3, "looks hopeless").reason == "looks hopeless"
    values = {"optimizer.generator.lr": 1.0e-4}
    assert bo.trials.enqueue("small", values).kind == "enqueue"
    assert [order.kind for order in bo.trials.orders("small")] == ["retry", "stop", "enqueue"]
    assert bo.sweeps.fork("small", "from-best", trial=0).name == "from-best"


@pytest.mark.usefixtures("study")
def test_records_are_the_study_s_own(lab: Lab, bo: Client) -> None:
    known = lab.service.readings.of("small").standings
    records = bo.trials.records("small")
    assert records.trials == known.trials
    assert records.head.spec == json.loads(json.dumps(known.sweep.to_dict()))
    brief = bo.trials.records("small", whole=False)
    last = [trial.evaluations[-1:] for trial in known.trials]
    assert [trial.evaluations[-1:] for trial in brief.trials] == last
    assert forecast_of(standings_from(brief)) == forecast_of(known)
    some = bo.trials.records("small", number=[0], above=2).trials
    assert [trial.number for trial in some] == [0, 3]
    waiting = lab.submit("bo", "waits\N{LINE SEPARATOR}"[:5])
    assert bo.trials.records(waiting.name).trials == ()
    again = [Trial.from_dict(json.loads(json.dumps(t.as_dict()))) for t in known.trials]
    assert tuple(again) == known.trials


@pytest.mark.usefixtures("study")
def test_results_are_taken_out(bo: Client, tmp_path: Path) -> None:
    assert bo.results.standings("small").counts == {"completed": 2, "failed": 1, "running": 1}
    assert b"\\toprule" in bo.results.table("small", "latex", limit=1)
    file = tmp_path / "trials.parquet"
    file.write_bytes(bo.results.dataset("small"))
    assert len(read_dataset(file)) == len(ENDINGS)
    assert bo.results.importances("small").reason
    assert bo.results.figures("small") == []
    with pytest.raises(UserError, match="markdown"):
        bo.results.table("small", "latx")


def test_files_are_checked_and_chosen_from(bo: Client) -> None:
    checked, problems = bo.files.validate(FILE)
    assert (checked.valid, checked.trials, problems) == (True, 2, [])
    assert bo.files.preview(FILE, count=1).first[0].keys() == {"optimizer.generator.lr"}
    assert "digits" in {part.name for part in bo.files.parts("data source")}
    assert (
        bo.files.trick("ema").formula
        == next(t for t in bo.files.tricks() if t.name == "ema").formula
    )
    assert bo.files.preset(bo.files.presets()[0].name).config
    assert bo.files.schema()["properties"]


def test_people_ask_for_word(bo: Client) -> None:
    made = bo.notices.subscribe("webhook", "https://1.1.1.1/x", occasions=["failed"])
    assert made.secret.startswith("whsec_")
    assert [one.id for one in bo.notices.list()] == [made.id]
    bo.notices.remove(made.id)
    assert bo.notices.list() == []


def test_people_and_tokens_are_managed(lab: Lab, address: str, bo: Client) -> None:
    assert (bo.people.me().person.name, bo.people.me().token.scope) == ("bo", "submit")
    made = bo.people.make_token("laptop", days=2)
    with Client(address, made.token) as laptop:
        assert laptop.people.me().token.name == "laptop"
    bo.people.revoke_token(made.id)
    assert {token.id: token.revoked is not None for token in bo.people.tokens()}[made.id]
    with pytest.raises(UserError, match="admin"):
        bo.people.list()
    with Client(address, lab.tokens["ada"]) as ada:
        assert ada.people.add("eve").name == "eve"
        assert ada.people.change("eve", weight=2.0, max_gpus=4.0).weight == 2.0
        assert "eve" in {person.name for person in ada.people.list()}
        assert ada.people.make_token("first", person="eve").token.startswith("swp_")
        assert next(ada.people.deeds()).action == "make a token"


def test_the_queue_says_who_waits(lab: Lab, bo: Client) -> None:
    lab.submit("bo", "mine")
    lab.submit("cy", "theirs")
    owners = {place.name: place.owner for place in bo.cluster.queue()}
    assert owners == {"mine": "bo", "theirs": "cy"}
    with pytest.raises(Unreachable, match="no cluster"):
        bo.cluster.machines()


# What it raises -----------------------------------------------------------------------------------

WRONG = FILE.replace("steps: 4", "stepz: 4").replace("trials: 2", "trials: -2")


def test_problems_of_a_file_are_those_that_the_terminal_would_say(bo: Client) -> None:
    with pytest.raises(SpecError) as refused:
        bo.sweeps.submit(WRONG, filename="my.yaml")
    where = {problem.path: problem for problem in refused.value.problems}
    assert (where["base.stepz"].file, where["base.stepz"].line) == ("my.yaml", 2)
    assert where["base.stepz"].nearest == "steps"
    assert where["limits.trials"].line == 5
    _, told = bo.files.validate(WRONG, filename="my.yaml")
    assert sorted(map(str, told)) == sorted(map(str, refused.value.problems))


def test_problems_beside_overrides_are_where_they_were_written(bo: Client) -> None:
    given = ["limits.parallel=many", "base.batch_size=16"]
    with pytest.raises(SpecError) as refused:
        bo.sweeps.submit(WRONG, overrides=given, filename="my.yaml")
    where = {problem.path: (problem.file, problem.line) for problem in refused.value.problems}
    assert where["base.stepz"] == ("my.yaml", 2)
    assert where["limits.trials"] == ("my.yaml", 5)
    assert where["limits.parallel"] == ("--set limits.parallel=many", None)
    with pytest.raises(SpecError, match="is not an override"):
        bo.sweeps.submit(FILE, overrides=["limits"])
    with pytest.raises(SpecError):
        bo.sweeps.submit("- 1\n- 2\n", overrides=["limits.trials=2"])


def test_refusals_are_our_own_exceptions(lab: Lab, address: str, bo: Client) -> None:
    lab.submit("cy", "theirs")
    with pytest.raises(UnknownSweep, match="did you mean 'theirs'"):
        bo.sweeps.get("their")
    for path in ("../../health", "a/b", "%2e%2e", "..", "", "\0", "x?y#z"):
        with pytest.raises(UserError):
            bo.sweeps.get(path)
    with pytest.raises(SpecConflict, match="already"):
        bo.sweeps.submit({**SMALL, "name": "theirs"})
    with pytest.raises(UserError, match="cy"):
        bo.sweeps.pause("theirs")
    with pytest.raises(UnknownSweep):
        bo.sweeps.get("a/b")
    with pytest.raises(SpecError, match="names none that is to be raised"):
        bo.sweeps.extend("theirs")
    with pytest.raises(UserError, match="cannot be sent"):
        bo.trials.enqueue("theirs", {"optimizer.generator.lr": math.nan})
    with pytest.raises(SpecError, match="cannot be written"):
        bo.sweeps.submit({**SMALL, "base": object()})
    with pytest.raises(UserError, match=r"expected here\.\n  query\.count"):
        bo.files.preview(FILE, count=1000, filename="my.yaml")
    with pytest.raises(UserError, match="no trial 7"):
        bo.trials.get("theirs", 7)
    dee = Client(address, lab.tokens["dee"])
    with dee, pytest.raises(UserError, match="submit"):
        dee.sweeps.submit(FILE)
    stranger = Client(address, "swp_x_y")
    with stranger, pytest.raises(UserError, match="does not know the token") as refused:
        stranger.people.me()
    assert "swp_x_y" not in str(refused.value)


async def _another(scope: Scope, receive: Receive, send: Send) -> None:
    """A web server that is no sweep service."""
    assert scope["type"] in ("http", "lifespan")
    if scope["type"] == "http":
        status = 404 if "404" in scope["path"] else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>welcome</html>"})


def test_a_server_that_is_away_or_is_another_is_told_in_a_sentence() -> None:
    port = free_port()
    with (
        Client(f"http://127.0.0.1:{port}", "swp_a_b", patience=0) as client,
        pytest.raises(Unreachable, match=rf"127\.0\.0\.1:{port} does not answer"),
    ):
        client.sweeps.get("x")
    with served(_another, port), Client(f"http://127.0.0.1:{port}", "swp_a_b") as client:
        with pytest.raises(Unreachable, match="no sweep service"):
            client.sweeps.get("x")
        with pytest.raises(Unreachable, match="no sweep service"):
            client.sweeps.get("404")
        with pytest.raises(Unreachable):
            client.trials.records("x")


@pytest.mark.parametrize(
    ("address", "token"),
    [
        ("sweeps.lab", "swp_a_b"),
        ("ftp://sweeps.lab", "swp_a_b"),
        ("https://", "swp_a_b"),
        ("https://user:word@sweeps.lab", "swp_a_b"),
        ("https://sweeps.lab:port", "swp_a_b"),
        ("https://sweeps.lab?token=x", "swp_a_b"),
        ("http://ä..de", "swp_a_b"),
        (f"http://{'a' * 70}.de", "swp_a_b"),
        ("http://xn--a", "swp_a_b"),
        ("http://[v1.x]", "swp_a_b"),
        ("http://1.2.3.400", "swp_a_b"),
        ("http://a b", "swp_a_b"),
        ("https://sweeps.lab", ""),
        ("https://sweeps.lab", "swp a"),
        ("https://sweeps.lab", "swp_ä"),
        ("https://sweeps.lab", "swp_a\nhost: x"),
    ],
)
def test_what_is_no_address_or_token_is_refused_at_once(address: str, token: str) -> None:
    with pytest.raises(UserError) as refused:
        Client(address, token)
    assert "word" not in str(refused.value)


# What it sends again ------------------------------------------------------------------------------


def flaky(times: int, paths: list[str]) -> Callable[[ASGIApp], ASGIApp]:
    """Between a server and its clients: does what is asked, and loses the answer, so many times."""

    def around(app: ASGIApp) -> ASGIApp:
        left = times

        async def lost(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal left
            if scope["type"] != "http" or left == 0:
                await app(scope, receive, send)
                return
            left -= 1

            async def nowhere(message: Message) -> None:
                pass

            await app(scope, receive, nowhere)
            paths.append(scope["path"])
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        return lost

    return around


def test_what_may_be_sent_twice_is_and_is_done_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "FIRST_WAIT", 0.01)
    lost: list[str] = []
    with listening(lab, flaky(3, lost)) as address, Client(address, lab.tokens["bo"]) as bo:
        assert bo.sweeps.submit(FILE).name == "sent"
    assert lost == ["/api/v1/sweeps"] * 3
    with lab.database.reading() as session:
        assert sweeps.names(session) == ["sent"]
    with listening(lab, flaky(2, lost)) as address, Client(address, lab.tokens["bo"]) as bo:
        assert bo.sweeps.get("sent").owner == "bo"
    with (
        listening(lab, flaky(1, lost)) as address,
        Client(address, lab.tokens["bo"]) as bo,
    ):
        with pytest.raises(Unreachable):  # whether it was done is not known: it is not done again
            bo.trials.enqueue("sent", {"optimizer.generator.lr": 1.0e-4})
        assert len(bo.trials.orders("sent")) == 1


def test_a_server_that_comes_back_is_waited_for(lab: Lab) -> None:
    with listening(lab) as address:
        port = lab.service.settings.port
    lab.submit("bo", "small")
    with Client(address, lab.tokens["bo"], patience=0.5) as hasty, pytest.raises(Unreachable):
        hasty.sweeps.get("small")
    with Client(address, lab.tokens["bo"]) as bo, served(application(lab.service), port):
        assert bo.sweeps.get("small").name == "small"


def test_events_go_on_over_a_restart_without_a_gap(lab: Lab) -> None:
    """Told by two servers, one after the other; the client is connected when the first ends."""
    told: list[int] = []
    with listening(lab) as address:
        port = lab.service.settings.port
        client = Client(address, lab.tokens["dee"])
        lab.submit("bo", "first")

        def listen() -> None:
            for event in client.events.follow(after=0):
                told.append(event.number)
                if event.kind == "done":
                    return

        listener = threading.Thread(target=listen)
        listener.start()
        until(lambda: told)
        lab.service.ending.set()
    for number in range(3):
        lab.submit("bo", f"later-{number}")
    again = Service(lab.service.settings, lab.database)
    with served(application(again), port):
        with lab.database.writing() as session:
            last = events.add_event(session, None, "done", {})
        listener.join()
        assert told == list(range(1, last + 1))
        assert [event.number for event in client.events.list(after=2)] == told[2:]
        assert [event.data["name"] for event in client.events.list("first")] == ["first"]
        again.ending.set()
    client.close()


def test_a_stream_is_read_whatever_its_pieces() -> None:
    text = 'retry: 2000\n\n: hello\n\nid: 7\ndata: {"a": "\u2028\x85"}\n\nid: 9\n\n'
    text += "event: end\r\ndata: one\r\ndata:  two\r\n\r\nid: 10\ndata: cut off"
    content = text.encode()
    whole = [
        Sent("7", '{"a": "\u2028\x85"}'),
        Sent("9", None),
        Sent("", "one\n two", "end"),
    ]
    for size in (1, 3, len(content)):
        pieces = (content[at : at + size] for at in range(0, len(content), size))
        assert list(parsed(pieces)) == whole


def test_shapes_are_read_without_what_a_server_needs() -> None:
    code = (
        "import sys, sweeper.client.client;"
        "print([m for m in ('fastapi', 'sqlalchemy', 'uvicorn', 'optuna', 'ray', 'mlflow', 'torch')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
