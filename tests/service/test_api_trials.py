"""Trials over the API: list, look, curves, pictures; what people ask of single ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from sweeper.search.ledger import Ledger
from sweeper.service.state import sweeps
from sweeper.service.state.tables import Lease
from sweeper.trial import Evaluation
from tests.service import studies
from tests.service.conftest import Lab

SWEEP = "/api/v1/sweeps/small"
ENDINGS = ["completed", "pruned", "failed", "completed", "running"]


@pytest.fixture
def ledger(lab: Lab) -> Ledger:
    """The study of bo's sweep `small`, with a trial of each kind."""
    row = lab.submit("bo", "small", trials=50)
    ledger = studies.begin(lab.service.settings.home.sweep("small"), row)
    studies.run(ledger, ENDINGS)
    return ledger


def _folder(lab: Lab, number: int) -> Path:
    return lab.service.settings.home.sweep("small").trial(number)


def _numbers(client: TestClient, **asked: Any) -> list[int]:
    answer = client.get(f"{SWEEP}/trials", params=asked)
    assert answer.status_code == 200, answer.text
    return [trial["number"] for trial in answer.json()["items"]]


def test_trials_are_listed_as_they_are_asked_for(lab: Lab, ledger: Ledger) -> None:
    dee = lab.client("dee")
    assert _numbers(dee) == [0, 1, 2, 3, 4]
    assert _numbers(dee, descending=True) == [4, 3, 2, 1, 0]
    assert _numbers(dee, state=["completed", "failed"]) == [0, 2, 3]
    assert _numbers(dee, sort="value") == [0, 3, 1, 2, 4]
    assert _numbers(dee, sort="reached", descending=True) == [4, 3, 2, 1, 0]
    assert _numbers(dee, sort="rank", limit=2) == [0, 3]
    assert _numbers(dee, role="replicate") == []
    seen, cursor = [], None
    while True:
        asked = {"sort": "value", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = dee.get(f"{SWEEP}/trials", params=asked).json()
        seen += [trial["number"] for trial in page["items"]]
        assert page["total"] == 5
        if (cursor := page["next"]) is None:
            break
    assert seen == [0, 3, 1, 2, 4]


def test_a_trial_says_all_of_itself(lab: Lab, ledger: Ledger) -> None:
    dee = lab.client("dee")
    failed = dee.get(f"{SWEEP}/trials/2").json()
    assert (failed["state"], failed["symptom"], failed["log_tail"]) == (
        "failed",
        "error",
        "the last line",
    )
    assert failed["why"]
    assert failed["config"]["steps"] == 4
    first = dee.get(f"{SWEEP}/trials/0").json()
    assert [one["step"] for one in first["evaluations"]] == [1, 2]
    assert (first["objective"], first["rank"], first["last"]) == ([50.0], 1, 50.0)
    gone = dee.get(f"{SWEEP}/trials/99")
    assert (gone.status_code, gone.json()["type"]) == (404, "/problems/unknown-trial")
    assert "the last one is 4" in gone.json()["title"]
    curves = dee.get(f"{SWEEP}/trials/0/curves").json()["curves"]
    assert [(one["metric"], one["steps"]) for one in curves] == [
        ("fid", [1, 2]),
        ("d_loss", [1, 2]),
    ]
    every = dee.get(f"{SWEEP}/curves", params={"number": [0, 3, 77]}).json()["curves"]
    assert [(one["number"], one["values"]) for one in every] == [(0, [100, 50]), (3, [103, 53])]


def test_a_number_that_is_none_is_null(lab: Lab, ledger: Ledger) -> None:
    with ledger.together():
        ledger.report(4, Evaluation(3, 1.0, {"fid": float("nan"), "d_loss": float("inf")}))
    answer = lab.client("dee").get(f"{SWEEP}/trials/4")
    assert answer.json()["evaluations"][2]["metrics"] == {"fid": None, "d_loss": None}


def test_what_has_not_changed_is_not_sent_again(lab: Lab, ledger: Ledger) -> None:
    dee = lab.client("dee")
    first = dee.get(f"{SWEEP}/trials")
    held = {"if-none-match": f'"x", {first.headers["etag"]}'}
    assert dee.get(f"{SWEEP}/trials", headers=held).status_code == 304
    assert dee.get(f"{SWEEP}/trials", params={"limit": 1}, headers=held).status_code == 200
    studies.run(ledger, ["completed"])
    assert dee.get(f"{SWEEP}/trials", headers=held).json()["total"] == 6


def test_pictures_come_from_the_trial_s_own_folder(lab: Lab, ledger: Ledger) -> None:
    dee, folder = lab.client("dee"), _folder(lab, 0)
    (folder / "samples").mkdir(parents=True)
    Image.new("L", (4, 4)).save(folder / "samples/000001.png")
    (folder / "samples/000002.png").symlink_to("/etc/passwd")
    assert dee.get(f"{SWEEP}/trials/0/samples").json()["steps"] == [1, 2]
    answer = dee.get(f"{SWEEP}/trials/0/samples/1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content == (folder / "samples/000001.png").read_bytes()
    for step in (2, 3):
        assert dee.get(f"{SWEEP}/trials/0/samples/{step}").status_code == 404
    for wrong in ("..%2f..%2fspec.json", "-1", "1%00", "../config.json", f"{1 << 40}"):
        assert dee.get(f"{SWEEP}/trials/0/samples/{wrong}").status_code in (404, 422), wrong
    with ledger.together():
        evaluation = Evaluation(3, 1.0, {"fid": 1.0}, samples="../../spec.json")
        ledger.report(4, evaluation)
    assert dee.get(f"{SWEEP}/trials/4/samples/3").status_code == 404


def test_a_trial_is_stopped_with_a_reason(lab: Lab, ledger: Ledger) -> None:
    bo = lab.client("bo")
    order = bo.post(f"{SWEEP}/trials/4:stop", json={"reason": "noise"})
    assert order.status_code == 202
    assert {key: order.json()[key] for key in ("kind", "number", "reason", "done")} == {
        "kind": "stop",
        "number": 4,
        "reason": "noise",
        "done": None,
    }
    assert bo.get(f"{SWEEP}/orders").json() == [order.json()]
    assert bo.post(f"{SWEEP}/trials/0:stop").status_code == 409
    assert bo.post(f"{SWEEP}/trials/9:stop").status_code == 404
    assert lab.client("cy").post(f"{SWEEP}/trials/4:stop").status_code == 403


def test_a_failed_trial_is_tried_again_and_its_sweep_goes_on(
    lab: Lab, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.database.writing() as session:
        entry = sweeps.entry_named(session, "small")
        session.get_one(Lease, entry.sweep.id).state = "finished"
        sweeps.want(session, entry, "stop", by="bo")
    bo = lab.client("bo")
    assert bo.post(f"{SWEEP}/trials/0:retry").status_code == 409
    with monkeypatch.context() as patch:
        patch.setattr(sweeps, "MOST_SWEEPS", 0)
        assert bo.post(f"{SWEEP}/trials/2:retry").status_code == 422
    assert bo.get(f"{SWEEP}/orders").json() == []
    order = bo.post(f"{SWEEP}/trials/2:retry", json={"anew": True})
    assert (order.status_code, order.json()["payload"]) == (202, {"anew": True})
    assert bo.get(SWEEP).json()["wanted"] == "run"


def test_a_configuration_of_one_s_own_is_enqueued(lab: Lab, ledger: Ledger) -> None:
    bo, at = lab.client("bo"), f"{SWEEP}/trials:enqueue"
    good = bo.post(at, json={"values": {"optimizer.generator.lr": 1.0e-4}})
    assert (good.status_code, good.json()["payload"]) == (202, {"optimizer.generator.lr": 1.0e-4})
    for values, word in (
        ({"optimizer.generator.lr": 5.0}, "not one of"),
        ({"lr": 1}, "not a parameter"),
    ):
        answer = bo.post(at, json={"values": values})
        assert answer.status_code == 422
        assert word in answer.json()["title"]


def test_a_sweep_is_forked_from_a_trial(lab: Lab, ledger: Ledger) -> None:
    cy = lab.client("cy")
    text = cy.get(f"{SWEEP}/trials/3/file").text
    assert "From trial 00003 of small." in text
    answer = cy.post(f"{SWEEP}/trials/3:fork", json={"name": "from-3"})
    assert answer.status_code == 201, answer.text
    trial = cy.get(f"{SWEEP}/trials/3").json()
    spec = cy.get("/api/v1/sweeps/from-3").json()["spec"]
    rate = trial["values"]["optimizer.generator.lr"]
    assert spec["base"]["optimizer"]["generator"]["lr"] == rate
