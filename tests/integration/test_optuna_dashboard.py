"""Optuna's own dashboard opens the study of a sweep, as it lies in the sweep's folder."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import pytest

from sweeper.home import Home
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.tpe import Tpe
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.sections import Limits
from sweeper.tracking.ui import LOOPBACK, free_port
from sweeper.trial import Evaluation

SWEEP = Sweep(
    name="shown",
    base={"steps": 4},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    search=Tpe.Config(start_with_base=False),
    limits=Limits(trials=9),
)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of the dashboard, started as a user would, on a study with a trial of each kind."""
    folder = Home(tmp_path).sweep("shown")
    folder.create()
    ledger = Ledger.open(SWEEP, folder)
    for number in range(4):
        ledger.ask()
        ledger.started(number)
        ledger.report(number, Evaluation(1, 10.0, {"fid": 3.0 - number}))
    ledger.complete(0, [3.0])
    ledger.prune(1, "scheduler", "not among the best")
    ledger.fail(2, "error", "ValueError: no", "the last line")
    port = free_port(0)
    program = Path(sys.executable).with_name("optuna-dashboard")
    command = [program, str(folder.study_journal), "--host", LOOPBACK]
    process = Popen([*command, "--port", str(port)], stdout=DEVNULL, stderr=DEVNULL)
    yield f"http://{LOOPBACK}:{port}"
    process.terminate()
    process.wait()


def asked(url: str) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "the dashboard does not come up"
            time.sleep(0.2)


def test_the_dashboard_shows_every_trial_in_its_state(address: str) -> None:
    (study,) = asked(f"{address}/api/studies")["study_summaries"]
    assert (study["study_name"], study["directions"]) == ("shown", ["minimize"])
    trials = asked(f"{address}/api/studies/{study['study_id']}")["trials"]
    found = {one["number"]: (one["state"], one.get("values")) for one in trials}
    assert found == {
        0: ("Complete", [3.0]),
        1: ("Pruned", [2.0]),  # the last value on the way, as Optuna has it
        2: ("Fail", None),
        3: ("Running", None),
    }
    assert all(0.0 <= float(one["params"][0]["param_external_value"]) <= 1.0 for one in trials)
