"""A Ray cluster of two machines that share nothing but a bucket: the home is the driver's alone.

Both are raylets on this machine, from which a mount namespace hides the home; the bucket is on an
S3 server of this machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from sweeper.bucket.place import place_of
from sweeper.bucket.store import Store
from sweeper.home import Home
from sweeper.provenance.recipe import deviations
from sweeper.results import records_of
from sweeper.search.looking import sweep_of
from tests.integration.raylets import ENVIRONMENT, raylets, wait
from tests.integration.test_end_to_end import SWEEP
from tests.integration.test_machines import may_hide
from tests.s3 import BUCKET, s3_server
from trials.config import load_config
from trials.trainer import train

COMMAND = [sys.executable, "-m", "sweeper"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not may_hide(), reason="no mount namespaces here")
def test_machines_that_share_nothing_but_a_bucket_run_one_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One machine dies in the middle of its trial, and the store is away for ten seconds; the trial
    goes on elsewhere, and comes to what it would have come to."""
    home, file = tmp_path / "home", tmp_path / "tiny.yaml"
    home.mkdir()
    text = SWEEP.replace("trials: 3", "trials: 2").replace("every: 2", "every: 20")
    file.write_text(text.replace("steps: 4", "steps: 400"))
    with s3_server(tmp_path) as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        environment = {
            **ENVIRONMENT,
            **s3.environment,
            "SWEEPER_BUCKET": f"s3://{BUCKET}/lab",
            "SWEEPER_HOME": str(home),
            "SWEEPER_FETCHED": str(tmp_path / "fetched"),
        }
        with raylets(environment=environment) as (address, join):
            hidden = f"mount -t tmpfs none {home}"
            doomed = join(before=hidden)
            command = [*COMMAND, "run", str(file)]
            environment["RAY_ADDRESS"] = address
            with subprocess.Popen(command, env=environment) as run:
                try:
                    wait(lambda: _published(f"s3://{BUCKET}/lab"), run, patience=300)
                    os.killpg(doomed.pid, signal.SIGKILL)
                    join(before=hidden)
                    s3.pause()
                    with pytest.raises(subprocess.TimeoutExpired):
                        run.wait(10)
                    s3.go_on()
                    assert run.wait(240) == 0
                finally:
                    run.kill()
        folder = Home.at(home).existing("tiny")
        records = records_of(folder, sweep_of(folder))
        assert [(one.state, one.steps) for one in records] == [("completed", 400)] * 2
        assert sorted(one.attempts for one in records) == [1, 2]
        [twice] = [one for one in records if one.attempts == 2]
        straight = train(load_config(twice.config), folder=tmp_path / "straight")
        assert deviations(twice.evaluations, straight.history) == []
        for one in records:
            trial = folder.trial(one.number)
            assert all((trial / str(given.samples)).is_file() for given in one.evaluations)
            assert not (trial / "checkpoint.pt").exists(), "that is in the bucket alone"
        assert place_of(folder).startswith(f"s3://{BUCKET}/lab/tiny-")
        page = (folder.report / "report.html").read_text(encoding="utf-8")
        assert page.count("data:image/") >= 2

        listed = subprocess.run(
            [*COMMAND, "show", "tiny", str(twice.number)],
            env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert place_of(folder) in listed


def _published(address: str) -> bool:
    """Whether some trial has a checkpoint there."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    return any(key.endswith("checkpoint.pt") for key in Store(address).listed())
