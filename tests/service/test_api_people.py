"""Who asks, tokens, people and deeds over the API; the queue and the cluster."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from sweeper.errors import SweeperError
from sweeper.service.actions import membership
from sweeper.service.api.shapes_sweeps import LimitsAsked
from sweeper.service.problem import Refusal
from sweeper.service.state import accounts
from sweeper.service.state.tables import Driver, Lease, Person
from sweeper.sweepfile.sections import Limits
from tests.service.conftest import Lab
from tests.service.machines import Machine

API = "/api/v1"


def test_who_asks_is_told_who_they_are(lab: Lab) -> None:
    me = lab.client("dee").get(f"{API}/me").json()
    assert (me["person"]["name"], me["token"]["scope"]) == ("dee", "read")
    assert "hash" not in str(me)


def test_a_token_makes_none_that_may_more_or_lasts_longer(lab: Lab) -> None:
    bo, ada = lab.client("bo"), lab.client("ada")
    made = bo.post(f"{API}/tokens", json={"name": "laptop", "days": 1.0}).json()
    assert made["scope"] == "read"
    short = lab.client()
    short.headers["authorization"] = f"Bearer {made['token']}"
    assert short.get(f"{API}/me").json()["token"]["id"] == made["id"]
    assert bo.post(f"{API}/tokens", json={"name": "x", "scope": "admin"}).status_code == 403
    assert bo.post(f"{API}/tokens", json={"name": "x", "person": "cy"}).status_code == 403
    theirs = ada.post(f"{API}/tokens", json={"name": "x", "person": "cy", "scope": "submit"}).json()
    listed = [token["id"] for token in lab.client("cy").get(f"{API}/tokens").json()]
    assert theirs["id"] in listed
    assert bo.get(f"{API}/tokens", params={"person": "cy"}).status_code == 403
    assert len(ada.get(f"{API}/tokens", params={"person": "cy"}).json()) == 2
    assert ada.get(f"{API}/tokens", params={"person": "nobody"}).status_code == 404
    assert bo.delete(f"{API}/tokens/{theirs['id']}").status_code == 404
    assert bo.delete(f"{API}/tokens/{made['id']}").status_code == 204
    assert short.get(f"{API}/me").status_code == 401
    assert "token" not in bo.get(f"{API}/tokens").json()[0]


def test_a_token_that_ends_makes_none_that_does_not_for_anybody(lab: Lab) -> None:
    with lab.database.writing() as session:
        mine = accounts.add_token(session, lab.person("ada"), "a", accounts.Scope.ADMIN, days=1.0)
    short = lab.client()
    short.headers["authorization"] = f"Bearer {mine[1]}"
    for person in ("ada", "cy"):
        for scope in ("read", "admin"):
            asked = {"name": "x", "person": person, "scope": scope}
            for days in (None, 2.0):
                made = short.post(f"{API}/tokens", json={**asked, "days": days}).json()
                assert made["expires"] == mine[0].expires, (asked, days)
            sooner = short.post(f"{API}/tokens", json={**asked, "days": 0.5}).json()
            assert sooner["expires"] < mine[0].expires


def test_a_token_is_revoked_with_the_one_that_it_was_made_with(lab: Lab) -> None:
    leaked = lab.tokens["bo"].split("_")[1]
    kept = lab.client("bo").post(f"{API}/tokens", json={"name": "kept", "scope": "submit"}).json()
    heir = lab.client()
    heir.headers["authorization"] = f"Bearer {kept['token']}"
    further = heir.post(f"{API}/tokens", json={"name": "further", "scope": "read"}).json()
    assert lab.client("ada").delete(f"{API}/tokens/{leaked}").status_code == 204
    for words in (lab.tokens["bo"], kept["token"], further["token"]):
        heir.headers["authorization"] = f"Bearer {words}"
        assert heir.get(f"{API}/me").status_code == 401
    assert lab.client("cy").get(f"{API}/me").status_code == 200


def test_a_token_that_is_revoked_while_it_asks_makes_none(lab: Lab) -> None:
    with lab.database.writing() as session:
        caller = accounts.caller_with_token(session, lab.tokens["bo"])
        assert caller is not None
        accounts.revoke(session, caller.token.id)
    with pytest.raises(Refusal, match="opens nothing any more"):
        membership.make_token(lab.service, caller, "late", accounts.Scope.READ)


def test_admins_alone_see_people_and_deeds(lab: Lab) -> None:
    bo, ada = lab.client("bo"), lab.client("ada")
    for path in ("people", "audit"):
        assert bo.get(f"{API}/{path}").status_code == 403
    assert bo.post(f"{API}/people", json={"name": "eve"}).status_code == 403
    assert ada.post(f"{API}/people", json={"name": "eve"}).status_code == 201
    assert ada.post(f"{API}/people", json={"name": "eve"}).status_code == 422
    changed = ada.patch(f"{API}/people/eve", json={"weight": 2.0, "max_parallel": 4}).json()
    assert (changed["weight"], changed["max_parallel"]) == (2.0, 4)
    changed = ada.patch(f"{API}/people/eve", json={"max_parallel": None}).json()
    assert (changed["weight"], changed["max_parallel"]) == (2.0, None)
    assert ada.patch(f"{API}/people/nobody", json={}).status_code == 404
    names = [person["name"] for person in ada.get(f"{API}/people").json()]
    assert names == ["ada", "bo", "cy", "dee", "eve"]
    first = ada.get(f"{API}/audit", params={"limit": 2}).json()
    rest = ada.get(f"{API}/audit", params={"cursor": first["next"]}).json()
    deeds = [deed["action"] for deed in first["items"] + rest["items"]]
    assert deeds == ["change a person", "change a person", "add a person"]
    assert rest["next"] is None


def test_whoever_is_there_has_a_name_that_an_address_holds(lab: Lab) -> None:
    ada = lab.client("ada")
    for name in ("lab/eve", "eve:dev", ".", ".."):
        refused = ada.post(f"{API}/people", json={"name": name})
        assert refused.status_code == 422, name
        assert "none of them / or :, and not . or .. alone" in refused.json()["title"]
    with lab.database.writing() as session:  # as earlier versions took them
        session.add(Person(name="lab/eve:dev", weight=1.0, created=0.0))
    changed = ada.patch(f"{API}/people/{quote('lab/eve:dev', safe='')}", json={"weight": 2.0})
    assert changed.json()["weight"] == 2.0
    form = re.findall(r'action="(/people/lab[^"]*)"', ada.get("/people").text)
    assert ada.post(form[0], data={"weight": "3"}).status_code == 303
    assert lab.person("lab/eve:dev").weight == 3.0


def test_the_queue_says_who_waits_for_what(lab: Lab) -> None:
    rows = {name: lab.submit("bo", name) for name in ("runs", "second", "first", "over")}
    with lab.database.writing() as session:
        told: dict[str, dict[str, Any]] = {
            "runs": {"state": "running", "parallel": 2},
            "first": {"place": 0, "reason": "it is cy's turn", "expected": 5.0},
            "second": {"place": 1},
            "over": {"state": "finished"},
        }
        for name, facts in told.items():
            lease = session.get_one(Lease, rows[name].id)
            for key, value in facts.items():
                setattr(lease, key, value)
    queue = lab.client("dee").get(f"{API}/queue").json()
    assert [(one["name"], one["place"]) for one in queue] == [
        ("runs", None),
        ("first", 0),
        ("second", 1),
    ]
    assert (queue[1]["reason"], queue[1]["expected"]) == ("it is cy's turn", 5.0)


def test_the_cluster_is_shown_where_it_is_known(lab: Lab) -> None:
    row = lab.submit("bo", "small")
    unknown = lab.client("dee").get(f"{API}/cluster")
    assert (unknown.status_code, unknown.json()["type"]) == (503, "/problems/unavailable")
    with lab.database.writing() as session:
        session.add(Driver(sweep_id=row.id, attempt=1, job="small-1", begun=1.0))
    lab.service.machines = lambda: [Machine()]
    (machine,) = lab.client("dee").get(f"{API}/cluster").json()
    assert (machine["gpus"], machine["gpus_free"], machine["sweeps"]) == (2.0, 1.5, ["small"])
    assert (machine["cpus_others"], machine["gpus_others"]) == (1.0, 0.5)
    gpu = {"index": 0, "name": "H200", "memory": 2.0**37, "memory_used": 2.0**36, "busy": 0.25}
    assert machine["devices"][0] == gpu
    assert machine["devices"][1]["busy"] is None
    page = lab.client("dee").get("/machines", headers={"accept": "text/html"}).text
    assert "0.5 of 2" in page
    assert "(0.5 by other programs)" in page
    assert "0 H200: 25 % busy, 64 of 128 GiB" in page
    assert "1 MIG: 0 of 8 GiB" in page


def test_a_cluster_that_does_not_answer_is_told(lab: Lab) -> None:
    def away() -> Any:
        raise SweeperError("the Ray cluster does not answer")

    lab.service.machines = away
    answer = lab.client("dee").get(f"{API}/cluster")
    assert (answer.status_code, answer.json()["title"]) == (503, "the Ray cluster does not answer")


def test_every_limit_of_a_sweep_file_can_be_changed() -> None:
    assert set(LimitsAsked.model_fields) == set(Limits.model_fields)
