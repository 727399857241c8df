"""Tables, importances, figures and the report over the API; and what a file may choose from."""

from __future__ import annotations

import io
import json
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from sweeper.ablation.formats.markdown import Markdown
from sweeper.ablation.table_format import TableFormat
from sweeper.bucket.place import keep_place
from sweeper.bucket.store import Store
from sweeper.cli.main import run as run_cli
from sweeper.disk import disk_of
from sweeper.report import ReportPaths
from sweeper.search.ledger import Ledger
from sweeper.service.actions import children
from tests.service import studies
from tests.service.conftest import SMALL, Lab

API = "/api/v1"
SWEEP = f"{API}/sweeps/small"


@pytest.fixture
def ledger(lab: Lab) -> Ledger:
    """The study of bo's sweep `small`: forty trials of which most completed."""
    row = lab.submit("bo", "small", trials=50)
    ledger = studies.begin(lab.service.settings.home.sweep("small"), row)
    studies.run(ledger, ["completed", "completed", "completed", "failed"] * 10)
    return ledger


def test_a_table_is_the_file_that_the_command_writes(
    lab: Lab, ledger: Ledger, tmp_path: Path
) -> None:
    home = str(lab.service.settings.home.path)
    for name, kind in TableFormat.all().items():
        answer = lab.client("dee").get(f"{SWEEP}/table", params={"format": name, "limit": 5})
        assert answer.status_code == 200, answer.text
        out = tmp_path / f"table{kind.extension}"
        asked = ["table", "small", "-f", name, "--limit", "5", "--out", str(out), "--home", home]
        assert run_cli(asked) == 0
        assert answer.content == out.read_bytes(), name
        assert answer.headers["content-disposition"].endswith(f'{kind.extension}"')
        held = {"if-none-match": answer.headers["etag"]}
        params = {"format": name, "limit": 5}
        again = lab.client("dee").get(f"{SWEEP}/table", params=params, headers=held)
        assert again.status_code == 304
    assert Markdown.extension == ".md"


@pytest.mark.parametrize(
    "asked",
    [
        {"format": "latexx"},
        {"format": "../markdown"},
        {"columns": ["nothing"]},
        {"reference": "nobody"},
        {"interval": "guess"},
        {"effects": True},
        {"effects": True, "limit": 3},
        {"limit": 0},
    ],
)
def test_a_table_that_cannot_be_is_refused_in_words(
    lab: Lab, ledger: Ledger, asked: dict[str, object]
) -> None:
    answer = lab.client("dee").get(f"{SWEEP}/table", params=asked)
    assert answer.status_code == 422
    assert answer.json()["title"]


def test_standings_say_who_leads_and_why(lab: Lab, ledger: Ledger) -> None:
    dee = lab.client("dee")
    told = dee.get(f"{SWEEP}/standings", params={"limit": 3}).json()
    assert (told["over"], told["budget"], told["counts"]) == (
        40,
        50,
        {"completed": 30, "failed": 10},
    )
    assert told["best"]["number"] == 0
    assert [one["rank"] for one in told["order"]] == [1, 2, 3]
    assert told["stops"] == [{"symptom": "error", "trials": 10, "steps": 20, "saves": False}]
    importances = dee.get(f"{SWEEP}/importances").json()
    assert [one["path"] for one in importances["importances"]] == ["optimizer.generator.lr"]
    data = dee.get(f"{SWEEP}/dataset")
    assert len(pq.read_table(io.BytesIO(data.content))) == 40


def test_a_sweep_that_waits_has_results_without_any(lab: Lab) -> None:
    lab.submit("bo", "small")
    dee = lab.client("dee")
    told = dee.get(f"{SWEEP}/standings").json()
    assert (told["best"], told["order"], told["verdict"]) == (None, [], "")
    assert "too few" in dee.get(f"{SWEEP}/importances").json()["reason"]
    assert dee.get(f"{SWEEP}/table").status_code == 422
    assert dee.get(f"{SWEEP}/report.html").status_code == 404
    assert dee.get(f"{SWEEP}/figures").json() == {"figures": []}


def test_what_it_takes_on_disk_and_in_a_bucket_is_told_by_api_and_page(
    lab: Lab, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab.service.settings.home.sweep("small")
    checkpoint = folder.trial(0) / "checkpoint.pt"
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write_bytes(bytes(2_000_000))
    told = lab.client("dee").get(f"{SWEEP}/disk").json()
    assert told == {**disk_of(folder, patience=60).as_dict(), "bucket": None}
    assert (told["checkpoints"], told["whole"]) == (2_000_000, True)
    page = lab.client("dee").get("/sweeps/small")
    assert "checkpoints 2 MB" in page.text
    assert lab.client("dee").get(f"{API}/sweeps/nothing/disk").status_code == 404
    keep_place(folder, f"file://{tmp_path}/bucket")
    Store(f"file://{tmp_path}/bucket").write("00000/files/1/samples/000300.png", bytes(3_000))
    monkeypatch.setattr("sweeper.service.actions.results.DISK_HOLDS", 1e-6)
    told = lab.client("dee").get(f"{SWEEP}/disk").json()["bucket"]
    assert (told["files"], told["samples"], told["trouble"]) == (1, 3_000, "")
    assert "samples 3 kB; 1 file at file://" in lab.client("dee").get("/sweeps/small").text


def test_the_report_is_written_where_there_is_none(lab: Lab, ledger: Ledger) -> None:
    dee = lab.client("dee")
    page = dee.get(f"{SWEEP}/report.html")
    assert page.status_code == 200, page.text
    assert page.headers["content-security-policy"].startswith("sandbox")
    (name, *_) = dee.get(f"{SWEEP}/figures").json()["figures"]
    assert dee.get(f"{SWEEP}/figures/{name}").content.startswith(b"\x89PNG")
    for wrong in ("report.html", "..%2fspec.json", "x.png", "%2e%2e"):
        assert dee.get(f"{SWEEP}/figures/{wrong}").status_code == 404, wrong


def test_many_who_ask_for_a_fresh_report_hold_up_nobody_and_have_one_made(
    lab: Lab, ledger: Ledger, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ReportPaths.within(lab.service.settings.home.sweep("small").report).html
    goes_on, verbs = threading.Event(), []

    def slow(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        verbs.append(command)
        assert goes_on.wait(60)
        page.parent.mkdir(exist_ok=True)
        page.write_text("the report")
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(children.subprocess, "run", slow)
    crowd = 60  # more than the server has threads
    dee = {"authorization": f"Bearer {lab.tokens['dee']}"}
    fresh = f"{address}{SWEEP}/report.html?fresh=true"
    with ThreadPoolExecutor(crowd) as pool:
        asked = [pool.submit(httpx.get, fresh, headers=dee, timeout=60) for _ in range(crowd)]
        told_at_once = crowd - 1 - children.MOST_WAITING
        deadline = time.monotonic() + 60
        while sum(one.done() for one in asked) < told_at_once:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert httpx.get(f"{address}{SWEEP}/disk", headers=dee).status_code == 200
        assert httpx.get(f"{address}/login").status_code == 200
        goes_on.set()
    answers = [one.result() for one in asked]
    assert Counter(one.status_code for one in answers) == {
        200: 1 + children.MOST_WAITING,
        503: told_at_once,
    }
    refused = next(one for one in answers if one.status_code == 503)
    assert "try again in a minute" in refused.json()["title"]
    assert refused.headers["retry-after"] == "60"
    assert len(verbs) == 1, "those who waited were given what was made meanwhile"


def test_a_file_is_checked_before_it_is_submitted(lab: Lab) -> None:
    dee = lab.client("dee")
    good = dee.post(f"{API}/sweeps:validate", json=SMALL).json()
    assert (good["valid"], good["plan"], good["trials"]) == (True, "2 trials", 2)
    text = "name: small\nbase: {data: {name: digitz}}\nlimits: {trials: 2}\n"
    yaml = {"content-type": "application/yaml"}
    wrong = dee.post(f"{API}/sweeps:validate", content=text, headers=yaml).json()
    assert [(fault["line"], fault["nearest"]) for fault in wrong["problems"]] == [(2, "digits")]
    assert dee.post(f"{API}/sweeps:preview", json=SMALL).status_code == 403
    shown = lab.client("bo").post(f"{API}/sweeps:preview", json=SMALL, params={"count": 1}).json()
    assert (len(shown["first"]), shown["trials"], shown["forecast"]) == (1, 2, None)


@pytest.mark.slow
def test_a_preview_times_a_short_training(lab: Lab) -> None:
    shown = lab.client("bo").post(f"{API}/sweeps:preview", json=SMALL, params={"probe": True})
    assert shown.json()["forecast"]["seconds_per_trial"] > 0


def test_all_that_a_file_can_choose_is_listed(lab: Lab) -> None:
    dee = lab.client("dee")
    kinds = {part["kind"] for part in dee.get(f"{API}/parts").json()}
    assert {"trick", "sampler", "stopping rule", "table format", "data source"} <= kinds
    (hinge,) = [one for one in dee.get(f"{API}/tricks").json() if one["name"] == "hinge"]
    assert hinge["formula"]
    assert dee.get(f"{API}/tricks/hinge").json() == hinge
    assert "did you mean 'hinge'" in dee.get(f"{API}/tricks/hingee").json()["title"]
    assert dee.get(f"{API}/presets/dcgan").json()["config"]
    assert json.loads(dee.get(f"{API}/schema").text)["properties"]["limits"]


def test_a_file_may_learn_from_sweeps_that_the_server_has_and_no_others(
    lab: Lab, ledger: Ledger
) -> None:
    bo = lab.client("bo")
    search = {"sampler": "tpe", "learn_from": ["small", "../small", "nobody"]}
    given = {**SMALL, "name": "next", "search": search}
    told = bo.post(f"{API}/sweeps:validate", json=given).json()["problems"]
    assert [one["where"] for one in told] == ["search.learn_from[1]", "search.learn_from[2]"]
    assert "cannot name a sweep" in told[0]["what"]
    assert bo.post(f"{API}/sweeps", json=given).status_code == 422
    given["search"] = {**search, "learn_from": ["small"]}
    assert bo.post(f"{API}/sweeps:validate", json=given).json()["problems"] == []
    assert bo.post(f"{API}/sweeps", json=given).status_code == 201
