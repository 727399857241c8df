"""Sweeps over the API: submit, list, look, change, steer, delete."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sweeper.service.state import audit, events, sweeps
from sweeper.service.state.tables import Lease, Sweep
from tests.service.conftest import SMALL, Lab

SWEEPS = "/api/v1/sweeps"
YAML = {"content-type": "application/yaml"}


def _file(**changes: Any) -> dict[str, Any]:
    return {**SMALL, **changes}


def _end(lab: Lab, name: str, state: str) -> None:
    """What the dispatcher says when a sweep has ended."""
    with lab.database.writing() as session:
        entry = sweeps.entry_named(session, name)
        session.get_one(Lease, entry.sweep.id).state = state


def test_a_file_goes_into_the_queue_and_comes_out_again(either_lab: Lab) -> None:
    text = "# by hand\n" + json.dumps(SMALL)
    bo, cy = either_lab.client("bo"), either_lab.client("cy")
    answer = bo.post(SWEEPS, content=text, headers=YAML, params={"priority": "high"})
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{SWEEPS}/small"
    found = cy.get(answer.headers["location"]).json()
    assert {key: found[key] for key in ("name", "owner", "state", "wanted", "priority")} == {
        "name": "small",
        "owner": "bo",
        "state": "queued",
        "wanted": "run",
        "priority": "high",
    }
    assert (found["may_change"], bo.get(f"{SWEEPS}/small").json()["may_change"]) == (False, True)
    assert cy.get(f"{SWEEPS}/{found['id']}").json()["name"] == "small"
    assert cy.get(f"{SWEEPS}/small/file").text == text
    with either_lab.database.reading() as session:
        assert [event.kind for event in events.events_after(session, 0)] == ["submitted"]
        assert [note.action for note in audit.entries(session)] == ["submit"]


def test_json_is_as_good_and_is_kept_as_yaml(lab: Lab) -> None:
    given = _file(parameters={"loss": {"values": ["hinge", "1e-5"]}})
    wrong = lab.client("bo").post(SWEEPS, json=given).json()
    assert wrong["type"] == "/problems/invalid-sweep"
    assert [(fault["where"], fault["line"]) for fault in wrong["problems"]] == [
        ("parameters.loss.values[1]", 10)
    ]
    assert lab.client("bo").post(SWEEPS, json=SMALL).status_code == 201
    assert lab.client("bo").get(f"{SWEEPS}/small/file").text.startswith("name: small\nbase:\n")


def test_every_problem_is_told_with_its_line(lab: Lab) -> None:
    text = "name: a b\nbase: {data: {name: digits}, stepz: 4}\nlimits: {trials: 0}\n"
    answer = lab.client("bo").post(SWEEPS, content=text, headers=YAML)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    told = {fault["where"]: fault for fault in answer.json()["problems"]}
    assert {where: told[where]["line"] for where in told} == {
        "name": 1,
        "base.stepz": 2,
        "limits.trials": 3,
    }
    assert told["base.stepz"]["nearest"] == "steps"
    assert lab.client("bo").get(SWEEPS).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"\xff\xfe", "application/yaml", 422),
        (b"name: \0", "application/yaml", 422),
        (b"[" * 50_000, "application/yaml", 422),
        (b"[" * 50_000, "application/json", 422),
        (b'{"a":' * 5_000, "application/json", 422),
        (b'{"name": NaN}', "application/json", 422),
        (b'{"name": "a", "name": "b"}', "application/json", 422),
        (b'{"name": "\\ud800"}', "application/json", 422),
        (b"!!python/object/apply:os.system [id]", "application/yaml", 422),
        (
            b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a,*a]\n" % (i, i) for i in range(9)),
            "text/yaml",
            422,
        ),
        (b"x" * 500_000, "text/yaml", 422),
        (b"x" * (3 << 20), "text/yaml", 413),
        (b"name: small", "text/plain", 415),
        (b"", "application/json", 422),
        (b"", "application/yaml", 422),
    ],
)
def test_a_body_that_is_no_sweep_file_is_answered_in_words(
    lab: Lab, body: bytes, kind: str, status: int
) -> None:
    answer = lab.client("bo").post(SWEEPS, content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert answer.json()["title"]


def test_a_bomb_of_anchors_is_no_work(lab: Lab) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{i}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]" for i in range(9)]
    answer = lab.client("bo").post(SWEEPS, content="\n".join(lines), headers=YAML)
    assert "values" in answer.json()["problems"][0]["what"]


def test_only_files_that_the_server_sees_may_be_named(lab: Lab) -> None:
    root = lab.service.settings.roots[0]
    (root / "faces").mkdir(parents=True)
    (root / "out").symlink_to("/etc")
    bo = lab.client("bo")
    places = ["/etc/passwd", f"{root}/../secret", "faces", "~/faces", f"{root}/out/x", "s3://a/b"]
    for place in places:
        data = {"name": "image_folder", "path": place}
        for given in (
            _file(base={"data": data, "steps": 4}),
            _file(base={"preset": "dcgan", "data": data}),
            _file(parameters={"data": {"values": [data, {"name": "digits"}]}}),
            _file(parameters={"data.path": {"values": [place, f"{root}/faces"]}}),
        ):
            answer = bo.post(SWEEPS, json=given)
            assert answer.status_code == 422, given
            (fault,) = answer.json()["problems"]
            assert "path" in fault["where"], fault
            assert fault["line"] is not None
            assert "no such" not in fault["what"]
            if "://" not in place:
                assert str(root) in fault["expected"]
                assert "faces" in fault["expected"]
    lab.service.settings = replace(lab.service.settings, roots=())
    refused = bo.post(SWEEPS, json=_file(base={"data": {"name": "image_folder", "path": "/etc"}}))
    assert "started without --root, " in refused.json()["problems"][0]["expected"]
    recorded = bo.post(SWEEPS, json=_file(tracking={"uri": "http://127.0.0.1:1"}))
    assert recorded.json()["problems"][0]["where"] == "tracking.uri"
    parts = bo.post(SWEEPS, json=_file(parts=["nobody-has-this"]))
    assert parts.json()["problems"][0]["where"] == "parts[0]"
    secret = bo.post(SWEEPS, json=_file(description="https://bo:hunter2secret@lab/"))
    assert secret.status_code == 422
    assert "hunter2" not in secret.text


def test_a_name_is_unique_over_the_server(lab: Lab) -> None:
    assert lab.client("bo").post(SWEEPS, json=SMALL).status_code == 201
    again = lab.client("cy").post(SWEEPS, json=SMALL)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/conflict")
    assert "of bo" in again.json()["title"]
    running = lab.service.settings.home.sweep("small")
    running.create()
    running.spec_json.write_text("{}")
    assert "of bo" in lab.client("cy").post(SWEEPS, json=SMALL).json()["title"]
    folder = lab.service.settings.home.sweep("by-hand")
    folder.create()
    folder.spec_json.write_text("{}")
    assert lab.client("cy").post(SWEEPS, json=_file(name="by-hand")).status_code == 409
    assert lab.client("cy").get(f"{SWEEPS}/by-hand").status_code == 404


def test_a_request_sent_again_is_answered_as_before(either_lab: Lab) -> None:
    bo, key = either_lab.client("bo"), {"idempotency-key": "k-1"}
    first = bo.post(SWEEPS, json=SMALL, headers=key)
    second = bo.post(SWEEPS, json=SMALL, headers=key)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    other = bo.post(SWEEPS, json=_file(name="other"), headers=key)
    assert other.status_code == 409
    assert len(bo.get(SWEEPS).json()["items"]) == 1
    theirs = either_lab.client("cy").post(SWEEPS, json=_file(name="theirs"), headers=key)
    assert theirs.status_code == 201


def test_a_list_is_had_by_the_page_in_any_order(either_lab: Lab) -> None:
    names = ["e", "a", "d", "b", "c"]
    for name in names:
        either_lab.submit("bo" if name in "ab" else "cy", name)
    dee = either_lab.client("dee")
    for sort, ordered in {"created": names, "name": sorted(names), "owner": None}.items():
        for down in (False, True):
            seen: list[str] = []
            cursor: str | None = None
            while True:
                asked = {"sort": sort, "descending": down, "limit": 2}
                asked |= {"cursor": cursor} if cursor else {}
                page = dee.get(SWEEPS, params=asked).json()
                seen += [item["name"] for item in page["items"]]
                cursor = page["next"]
                if cursor is None:
                    break
            assert sorted(seen) == sorted(names)
            if ordered is not None:
                assert seen == (ordered[::-1] if down else ordered)
    assert {s["name"] for s in dee.get(SWEEPS, params={"owner": "bo"}).json()["items"]} == {
        "a",
        "b",
    }
    assert dee.get(SWEEPS, params={"text": "%"}).json()["items"] == []
    found = dee.get(SWEEPS, params={"text": "BO a"}).json()["items"]
    assert [sweep["name"] for sweep in found] == ["a"]
    assert dee.get(SWEEPS, params={"state": ["running", "paused"]}).json()["items"] == []
    wrong = dee.get(SWEEPS, params={"cursor": "x"})
    assert (wrong.status_code, wrong.json()["problems"][0]["where"]) == (422, "query.cursor")


def test_everybody_changes_their_own_and_admins_change_all(lab: Lab) -> None:
    lab.submit("bo", "small")
    for verb in ("pause", "resume", "stop", "cancel", "extend"):
        body = {"trials": 9} if verb == "extend" else None
        answer = lab.client("cy").post(f"{SWEEPS}/small:{verb}", json=body)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-yours"), verb
    assert lab.client("cy").patch(f"{SWEEPS}/small", json={"priority": "low"}).status_code == 403
    assert lab.client("cy").delete(f"{SWEEPS}/small").status_code == 403
    assert lab.client("ada").post(f"{SWEEPS}/small:pause").json()["wanted"] == "pause"
    with lab.database.reading() as session:
        (note,) = audit.entries(session)
    assert (note.person, note.action, note.target, note.address) == (
        "ada",
        "pause",
        "small",
        "testclient",
    )


def test_what_is_wanted_follows_what_is_asked(lab: Lab) -> None:
    lab.submit("bo", "small")
    bo = lab.client("bo")

    def ask(verb: str) -> tuple[int, str]:
        status = bo.post(f"{SWEEPS}/small:{verb}").status_code
        return status, bo.get(f"{SWEEPS}/small").json()["wanted"]

    assert ask("pause") == (200, "pause")
    assert ask("pause") == (200, "pause")
    assert ask("resume") == (200, "run")
    assert ask("stop") == (200, "stop")
    assert ask("pause") == (409, "stop")
    assert ask("resume") == (409, "stop")
    assert ask("cancel") == (200, "cancel")
    assert ask("stop") == (409, "cancel")
    _end(lab, "small", "cancelled")
    assert ask("stop") == (409, "cancel")
    assert ask("resume") == (200, "run")
    with lab.database.reading() as session:
        told = [event.data.get("wanted") for event in events.events_after(session, 1)]
    assert told == ["pause", "run", "stop", "cancel", "run"]


def test_limits_are_raised_and_the_sweep_goes_on(either_lab: Lab) -> None:
    either_lab.submit("bo", "small")
    bo = either_lab.client("bo")
    bo.post(f"{SWEEPS}/small:stop")
    _end(either_lab, "small", "stopped")
    lower = bo.post(f"{SWEEPS}/small:extend", json={"trials": 2, "hours": 1.0})
    assert [fault["where"] for fault in lower.json()["problems"]] == [
        "limits.trials",
        "limits.hours",
    ]
    more = bo.post(f"{SWEEPS}/small:extend", json={"trials": 7})
    assert (more.json()["limits"]["trials"], more.json()["wanted"]) == (7, "run")
    assert "trials: 7" in bo.get(f"{SWEEPS}/small/file").text
    for limits in ({"trials": 0}, {"trials": "7"}, {"trialz": 7}, {"hours": float("inf")}):
        answer = bo.post(
            f"{SWEEPS}/small:extend",
            content=json.dumps(limits),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 422, limits


def test_a_patch_changes_what_it_names(lab: Lab) -> None:
    lab.submit("bo", "small")
    bo = lab.client("bo")
    changes = {"priority": "urgent", "description": "ü", "limits": {"parallel": 3, "hours": 2.0}}
    changed = bo.patch(f"{SWEEPS}/small", json=changes).json()
    assert (changed["priority"], changed["description"]) == ("urgent", "ü")
    same = {"trials": 2, "parallel": 3, "landing": "finish", "trial_silence": "auto"}
    assert changed["limits"] == {**same, "hours": 2.0}
    changed = bo.patch(f"{SWEEPS}/small", json={"limits": {"hours": None}}).json()
    assert changed["limits"] == same
    assert changed["spec"]["description"] == "ü"
    before = bo.get(f"{SWEEPS}/small").json()
    assert bo.patch(f"{SWEEPS}/small", json={}).json() == before
    for wrong in ({"priority": "top"}, {"wanted": "run"}, {"description": "\0"}):
        assert bo.patch(f"{SWEEPS}/small", json=wrong).status_code == 422, wrong


def test_a_sweep_is_forked_from_its_file(lab: Lab) -> None:
    lab.submit("bo", "small")
    asked = {"name": "again", "set": ["limits.trials=5"], "priority": "low"}
    answer = lab.client("cy").post(f"{SWEEPS}/small:fork", json=asked)
    assert answer.status_code == 201
    found = lab.client("cy").get(f"{SWEEPS}/again").json()
    assert (found["owner"], found["limits"]["trials"], found["priority"]) == ("cy", 5, "low")
    outside = {"name": "c", "set": ["base.data={name: npz, path: /etc/passwd}"]}
    refused = lab.client("cy").post(f"{SWEEPS}/small:fork", json=outside)
    assert refused.json()["problems"][0]["where"] == "base.data.path"


def test_a_fork_that_is_asked_for_again_is_answered_as_before_whatever_became_of_its_source(
    lab: Lab,
) -> None:
    bo, key = lab.client("bo"), {"idempotency-key": "k-1"}
    lab.submit("bo", "small")

    def fork(**asked: Any) -> Any:
        return bo.post(f"{SWEEPS}/small:fork", json={"name": "again", **asked}, headers=key)

    first = fork()
    assert first.status_code == 201
    assert fork(priority="high").status_code == fork(name="else").status_code == 409
    assert bo.patch(f"{SWEEPS}/small", json={"description": "other"}).status_code == 200
    assert fork().json() == first.json()
    assert bo.delete(f"{SWEEPS}/small").status_code == 202
    answer = fork()
    assert (answer.json(), answer.headers["idempotency-replayed"]) == (first.json(), "true")
    assert [sweep["name"] for sweep in bo.get(SWEEPS).json()["items"]] == ["again"]


def test_a_deleted_sweep_is_gone_and_its_name_stays_taken(lab: Lab) -> None:
    lab.submit("bo", "small")
    bo = lab.client("bo")
    assert bo.delete(f"{SWEEPS}/small").status_code == 202
    assert bo.get(f"{SWEEPS}/small").status_code == 404
    assert bo.get(SWEEPS).json()["items"] == []
    assert bo.post(SWEEPS, json=SMALL).status_code == 409
    with lab.database.reading() as session:
        (kept,) = session.query(Sweep)
    assert (kept.wanted, kept.deleted is not None) == ("cancel", True)


def test_an_unknown_sweep_is_answered_with_the_nearest_name(lab: Lab) -> None:
    lab.submit("bo", "small")
    answer = lab.client("bo").get(f"{SWEEPS}/smal")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-sweep")
    assert "did you mean 'small'" in answer.json()["title"]
