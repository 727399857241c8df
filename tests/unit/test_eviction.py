"""Notices that a machine goes away: who gives them, what a worker does, what the driver does."""

from __future__ import annotations

import http.server
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import UserError
from sweeper.scheduling.cluster.room import TO_COME
from sweeper.scheduling.machines import avoided, eviction, watching
from sweeper.scheduling.machines.avoided import Avoided
from sweeper.scheduling.machines.eviction import (
    Aws,
    Azure,
    File,
    Gcp,
    Notices,
    Unheard,
    notices_asked_for,
)
from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.machines.watching import Watching, watch
from sweeper.scheduling.recording.events import Noted, TrialEnded
from sweeper.scheduling.working.departure import Departure
from sweeper.scheduling.working.messages import Report
from sweeper.scheduling.working.trainable import Worker
from sweeper.testing.small import comparable, small_config, tensors_of
from tests.driven import HERE, Driven
from trials.errors import Preempted
from trials.trainer import Training

# Who gives notices ---------------------------------------------------------------------------


class Metadata(http.server.ThreadingHTTPServer):
    """A metadata server: `says` has status and text by method and path, `asked` what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.says: dict[str, tuple[int, str]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.takes: dict[str, float] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Metadata

    def do_GET(self) -> None:
        asked = f"{self.command} {self.path}"
        self.server.asked.append((asked, {k.lower(): v for k, v in self.headers.items()}))
        time.sleep(self.server.takes.pop(asked, 0.0))
        status, text = self.server.says.get(asked, (404, "nothing"))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"http://{self.server.address}/elsewhere")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with Metadata() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


TOKEN, ACTION = "PUT /latest/api/token", "GET /latest/meta-data/spot/instance-action"


def test_amazon_is_asked_with_a_token_that_is_fetched_anew_when_it_is_over(
    metadata: Metadata,
) -> None:
    aws = Aws(metadata.address)
    metadata.says[TOKEN] = (200, "secret")
    assert aws.look() == aws.look() == ""
    assert [asked for asked, _ in metadata.asked] == [TOKEN, ACTION, ACTION]
    assert metadata.asked[0][1]["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
    assert metadata.asked[1][1]["x-aws-ec2-metadata-token"] == "secret"
    metadata.says[ACTION] = (401, "")
    with pytest.raises(Unheard, match="status 401"):
        aws.look()
    assert [asked for asked, _ in metadata.asked][3:] == [ACTION, TOKEN, ACTION]
    told = {"action": "terminate", "time": "2026-11-29T08:22:00Z"}
    metadata.says[ACTION] = (200, json.dumps(told))
    assert aws.look() == "EC2 will terminate it at 2026-11-29T08:22:00Z"


def test_google_says_true_or_false(metadata: Metadata) -> None:
    asked = "GET /computeMetadata/v1/instance/preempted"
    metadata.says[asked] = (200, "FALSE")
    assert Gcp(metadata.address).look() == ""
    assert metadata.asked[0][1]["metadata-flavor"] == "Google"
    metadata.says[asked] = (200, "TRUE")
    assert Gcp(metadata.address).look() == "Compute Engine preempts it"


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"EventType": "Preempt", "Resources": ["mine"]}, "Azure has a Preempt for it"),
        ({"EventType": "Preempt", "Resources": ["another"]}, ""),
        ({"EventType": "Freeze", "Resources": ["mine"]}, ""),
        ({"EventType": "Preempt", "Resources": None}, ""),
        ("nonsense", ""),
    ],
)
def test_azure_tells_of_all_machines_and_only_ones_own_counts(
    event: Any, told: str, metadata: Metadata
) -> None:
    metadata.says["GET " + Azure._NAME] = (200, "mine")
    metadata.says["GET " + Azure._EVENTS] = (200, json.dumps({"Events": [event]}))
    found = Azure(metadata.address).look()
    assert found.startswith(told)
    assert bool(found) == bool(told)
    assert all(headers["metadata"] == "true" for _, headers in metadata.asked)


def test_azure_is_waited_for_while_it_switches_the_events_on(metadata: Metadata) -> None:
    metadata.says["GET " + Azure._NAME] = (200, "mine")
    metadata.says["GET " + Azure._EVENTS] = (200, '{"Events": []}')
    metadata.takes["GET " + Azure._EVENTS] = eviction.ANSWER_IN + 0.5
    assert Azure(metadata.address).look() == ""


@pytest.mark.parametrize("says", [(302, ""), (500, ""), (200, "<html>"), (200, "[]")])
@pytest.mark.parametrize("cloud", [Aws, Azure])
def test_what_is_no_answer_is_no_notice_and_no_redirection_is_followed(
    cloud: Any, says: tuple[int, str], metadata: Metadata
) -> None:
    metadata.says = {
        TOKEN: (200, "secret"),
        "GET " + Azure._NAME: (200, "mine"),
        ACTION: says,
        "GET " + Azure._EVENTS: says,
    }
    with pytest.raises(Unheard, match=r"the metadata server at 127\.0\.0\.1"):
        cloud(metadata.address).look()
    assert not any("elsewhere" in asked for asked, _ in metadata.asked)


def test_by_default_only_link_local_addresses_are_asked_and_nobody_without_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(eviction.VARIABLE, raising=False)
    assert notices_asked_for() is None
    for name, kind in (("aws", Aws), ("gcp", Gcp), ("azure", Azure)):
        monkeypatch.setenv(eviction.VARIABLE, name)
        made = notices_asked_for()
        assert isinstance(made, kind)
        assert made._server == "169.254.169.254:80"


@pytest.mark.parametrize("given", ["asw", "file:", "file:notice", "http://192.0.2.1/"])
def test_what_nobody_understands_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(eviction.VARIABLE, given)
    with pytest.raises(UserError, match="one of aws, gcp, azure, file:/PATH") as refused:
        notices_asked_for()
    assert ("is aws meant?" in str(refused.value)) == (given == "asw")


# A machine -------------------------------------------------------------------------------------


class Told(Notices):
    """Says one thing after another."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)

    def look(self) -> str:
        said = self.said.pop(0)
        if said == "?":
            raise Unheard("nobody is there")
        return said


def test_a_watcher_leaves_the_notice_on_its_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.scheduling.machines.watching.ASK_EVERY", 0.0)
    file = tmp_path / "leaving"
    assert watch(Told("?", "?", "", "?", "?", "?", "it goes"), file) == ("it goes", "")
    assert Departure(file).reason == "it goes"
    assert Departure(file)()
    assert not Departure(tmp_path / "another")()
    assert watch(Told("?", "?", "?"), tmp_path / "another") == ("", "nobody is there")


def test_a_file_is_a_notice_and_its_first_line_says_why(tmp_path: Path) -> None:
    notice = tmp_path / "notice"
    assert File(notice).look() == ""
    notice.touch()
    assert File(notice).look() == f"{notice} is there"
    notice.write_text("the time limit is near\nin two minutes")
    assert File(notice).look() == "the time limit is near"


# A worker --------------------------------------------------------------------------------------


def test_the_first_sigterm_is_heeded_where_a_training_runs_and_the_next_one_ends() -> None:
    ended: list[int] = []
    kept = signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    try:
        departure = Departure()
        departure.listen()
        with departure.heeded():
            assert not departure()
            os.kill(os.getpid(), signal.SIGTERM)
            assert departure()
            assert "SIGTERM" in departure.reason
            assert not ended
            assert not departure.ends_process
            os.kill(os.getpid(), signal.SIGTERM)
            assert len(ended) == 1
            assert departure.ends_process
        idle = Departure()
        idle.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        assert (len(ended), idle()) == (2, False)
    finally:
        signal.signal(signal.SIGTERM, kept)


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_training_that_leaves_goes_on_from_that_very_step_bit_for_bit(
    at: int, tmp_path: Path
) -> None:
    config = small_config()
    whole = Training(config, tmp_path / "whole")
    expected = [whole.advance(), whole.advance()]
    left = Training(config, tmp_path / "moved")
    left.should_stop = lambda: left.step == at
    for _ in range(at // config.evaluation.every):
        left.advance()
    with pytest.raises(Preempted, match=f"left at step {at}"):
        left.advance()
    moved = Training(config, tmp_path / "moved")
    assert moved.restore()
    assert moved.step == at
    while not moved.finished:
        moved.advance()
    assert [one.step for one in moved.history] == [one.step for one in expected]
    assert [comparable(one.metrics) for one in moved.history] == [
        comparable(one.metrics) for one in expected
    ]
    ours, theirs = tensors_of(moved), tensors_of(whole)
    assert all((ours[name] == theirs[name]).all() for name in theirs)


# The driver ------------------------------------------------------------------------------------

NODES = {HERE.node: "here", "another node": "there"}


def leaving(folder: Path, parallel: int = 2, **nodes: str) -> Driven:
    made = Driven(folder, parallel, trials=4, nodes=lambda: nodes or NODES)
    made.places[1] = Place("there", "another node")
    return made


def states(sweep: Driven) -> list[str]:
    return [event.state for event in sweep.heard if isinstance(event, TrialEnded)]


def notes(sweep: Driven) -> list[str]:
    return [event.message for event in sweep.heard if isinstance(event, Noted)]


def test_a_trial_moves_without_a_try_and_nothing_begins_where_the_machine_goes(
    tmp_path: Path,
) -> None:
    sweep = leaving(tmp_path)
    sweep.begin()
    sweep.report(0)
    assert sweep.at_work[0].avoid == ()
    sweep.conductor.setbacks.notice(HERE.node, "here", "EC2 will terminate it")
    sweep.conductor.setbacks.notice(HERE.node, "here", "EC2 will terminate it")
    assert notes(sweep) == [
        "here is about to be taken away (EC2 will terminate it): its trials move"
    ]
    sweep.leave(0)
    sweep.report(1)
    assert set(sweep.at_work) == {1}  # on the other machine
    assert states(sweep) == ["moved"]
    sweep.hand_out()
    assert (sweep.at_work[0].avoid, sweep.at_work[0].recorded) == ((HERE.node,), (1,))
    trials = sweep.to_the_end()
    assert [trial.state for trial in trials] == ["completed"] * 4
    assert [trial.steps for trial in trials] == [3] * 4
    assert "deaths" not in sweep.ledger._entries.get(0).user_attrs


def test_a_worker_that_dies_with_its_machine_after_the_notice_counts_no_try(tmp_path: Path) -> None:
    sweep = leaving(tmp_path)
    sweep.begin()
    sweep.conductor.setbacks.notice(HERE.node, "here", "it goes")
    for _ in range(5):
        sweep.conductor.died(0, "the machine is gone")
        sweep.at_work.pop(0)
        sweep.hand_out()
    assert states(sweep) == ["moved"] * 5
    assert "deaths" not in sweep.ledger._entries.get(0).user_attrs


def test_where_all_machines_go_trials_wait_for_one_that_joins(tmp_path: Path) -> None:
    nodes = {HERE.node: "here"}
    sweep = Driven(tmp_path, 1, trials=2, nodes=lambda: nodes)
    sweep.begin()
    sweep.conductor.setbacks.notice(HERE.node, "here", "it goes")
    assert notes(sweep)[1] == "there is no other machine: trials wait for one to join"
    sweep.leave(0)
    sweep.hand_out()
    assert not sweep.at_work
    nodes["a new one"] = "new"
    sweep.hand_out()
    assert sweep.at_work[0].avoid == (HERE.node,)


def test_the_machine_of_a_worker_that_was_told_to_end_is_left_alone_for_a_while(
    tmp_path: Path,
) -> None:
    sweep = leaving(tmp_path)
    sweep.begin()
    sweep.leave(0)
    sweep.hand_out()
    assert sweep.at_work[0].avoid == (HERE.node,)
    now = iter([0.0, 0.0, avoided.WHILE + 1]).__next__
    one = Avoided(lambda: {"a": "a", "b": "b"}, now)
    one.leave_alone("a")
    assert one.nodes() == ("a",)
    assert one.nodes() == ()
    only = Avoided(lambda: {"a": "a"})
    only.leave_alone("a")
    assert only.nodes() == ()
    assert not only.all_leave


def test_where_another_machine_may_come_trials_need_not_wait_for_one_to_join() -> None:
    nodes = {"a": "a", "": TO_COME}
    one = Avoided(lambda: nodes)
    one.give_notice("a")
    assert not one.all_leave
    assert one.nodes() == ("a",)
    del nodes["a"], nodes[""]
    assert one.all_leave


def test_the_only_machine_is_not_left_alone_for_one_that_may_never_come() -> None:
    nodes = {"a": "a.lab", "": TO_COME}
    one = Avoided(lambda: nodes)
    one.leave_alone("a")
    assert one.nodes() == one.nodes(frozenset({"a.lab"})) == ()
    nodes["b"] = "b.lab"
    assert one.nodes() == ("a",)
    one.give_notice("b")
    assert one.nodes() == ("b",), "nothing comes back of b, and of a it may"
    assert not one.all_leave


def test_a_machine_without_trials_is_watched_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now, there, begun, ended = [0.0], {"a": "a", "b": "b"}, [], []
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(watching.ray, "wait", lambda watchers, timeout: ([], watchers))
    monkeypatch.setattr(watching.ray, "cancel", lambda watcher, force: ended.append(watcher))
    monkeypatch.setattr(watching, "_start", lambda told, node, file: begun.append(node) or node)
    one = Watching(Told(""), "run", lambda: there, lambda *told: None, lambda *told: None)
    for seconds, nodes in ((0, ("a", "b")), (50, ("a",)), (100, ("a",)), (150, ("a", "b"))):
        now[0], there = float(seconds), dict.fromkeys(nodes, "")
        one.look()
    assert (begun, ended) == (["a", "b", "b"], ["b"])


def test_a_machine_where_nobody_answers_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now, there, told = [0.0], {"a": "a.lab"}, []
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(watching.ray, "wait", lambda watchers, timeout: (watchers, []))
    monkeypatch.setattr(watching.ray, "get", lambda watcher: ("", f"{watcher}: no answer"))
    monkeypatch.setattr(watching, "_start", lambda notices, node, file: node)
    one = Watching(
        Told(""), "run", lambda: there, lambda *heard: None, lambda *deaf: told.append(deaf)
    )
    for seconds, nodes in ((0, {"a": "a.lab"}), (100, {}), (200, {"a": "a.lab", "b": "b.lab"})):
        now[0], there = float(seconds), nodes
        one.look()
    assert told == [("a.lab", "a: no answer"), ("b.lab", "b: no answer")]


def test_ray_is_asked_for_another_machine() -> None:
    needs = {"cpu": 1, "gpu": 0, "memory": 0, "avoid": []}
    plain = Worker.default_resource_request({"needs": needs})
    assert plain.bundles == [{"CPU": 1.0}]
    elsewhere = Worker.default_resource_request({"needs": {**needs, "avoid": ["a", "b"]}})
    assert elsewhere != plain
    selector = elsewhere._bound.arguments["bundle_label_selector"]
    assert selector == [{"ray.io/node-id": "!in(a,b)"}]


def test_a_report_keeps_why_a_trial_left() -> None:
    assert Report.read(Report(left="it goes").text()).left == "it goes"
