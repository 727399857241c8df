"""The writer, the MLflow server and the driver are killed; the record is complete all the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.tracking import Outbox, start_writer, sync
from sweeper.tracking.handle import WriterHandle
from sweeper.tracking.runs import find_runs
from sweeper.tracking.ui import free_port
from tests.mlflow_server import Server, make_database, wait_for
from tests.recorded import artifact_names, metric_history

TRIALS = 20
STEPS = (250, 500, 750)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_database(tmp_path_factory.mktemp("schema"))


@pytest.fixture
def home(tmp_path: Path, database: Path) -> Path:
    shutil.copy(database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    server = Server(home)
    yield server
    server.kill()


def say_trial(outbox: Outbox, number: int, grid: Path) -> None:
    outbox.trial_started(number, params={"lr": number, "seed": 0}, time=1000.0 + number)
    for step in STEPS:
        outbox.evaluated(number, step, {"fid": step / 10 + number, "kid": 0.5}, 2000.0 + step)
    outbox.artifact(number, grid, "samples/000250.png")
    outbox.trial_ended(number, "completed", time=3000.0 + number)


def say_sweep(outbox: Outbox, grid: Path, trials: int = TRIALS) -> None:
    outbox.sweep_started("killed", study="the study")
    for number in range(trials):
        say_trial(outbox, number, grid)
    outbox.sweep_ended("finished")


def assert_complete(uri: str, trials: int = TRIALS) -> None:
    runs = {run["tags"]["sweeper.trial"]: run for run in find_runs(uri, "killed")}
    assert len(find_runs(uri, "killed")) == len(runs) == trials + 1
    assert {run["status"] for run in runs.values()} == {"FINISHED"}
    for number in range(trials):
        run = runs[f"{number:05d}"]
        assert run["params"] == {"lr": str(number), "seed": "0"}
        history = metric_history(uri, run["run_id"], "fid")
        assert history == [(step, step / 10 + number, 2000.0 + step) for step in STEPS]
    some = random.randrange(trials)
    names = artifact_names(uri, runs[f"{some:05d}"]["run_id"])
    assert names == ["samples/000250.png"]


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "000250.png"
    path.write_bytes(b"\x89PNG")
    return path


def kill_writer(writer: WriterHandle, outbox: Outbox, pause: float) -> None:
    """Kill it once it has begun to send, `pause` seconds later."""
    before = outbox.left().pending
    wait_for(
        lambda: writer.ensure_alive() and outbox.left().pending < before,
        90,
        "the writer sends nothing",
    )
    time.sleep(pause)
    os.kill(writer.pid, signal.SIGKILL)
    wait_for(lambda: not writer.alive(), 10, "the writer does not die")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_writer_sends_every_event_once(home: Path, grid: Path, kills: int) -> None:
    uri = f"sqlite:///{home}/mlflow.db"
    trials = 10 * kills + 10
    with Outbox(home / "outbox.db") as outbox:
        say_sweep(outbox, grid, trials)
        with start_writer(outbox, uri, home / "mlartifacts") as writer:
            for _ in range(kills):
                kill_writer(writer, outbox, random.uniform(0.0, 0.15))
            left = writer.drain(240)
        assert not left, left.advice("killed")
    assert_complete(uri, trials)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_server_loses_nothing_and_repeats_nothing(
    home: Path, grid: Path, server: Server, kills: int
) -> None:
    trials = 10 * kills + 10
    server.start()
    server.wait()
    with Outbox(home / "outbox.db") as outbox:
        say_sweep(outbox, grid, trials)
        with start_writer(outbox, server.address, home / "mlartifacts") as writer:
            for _ in range(kills):
                before = outbox.left().pending
                wait_for(lambda limit=before: outbox.left().pending < limit, 60, "nothing is sent")  # type: ignore[misc]
                time.sleep(random.uniform(0.0, 0.3))
                server.kill()
                time.sleep(random.uniform(0.0, 1.0))
                server.start()
            left = writer.drain(240)
        assert not left, left.advice("killed")
    assert_complete(server.address, trials)


@pytest.mark.slow
def test_mlflow_that_is_down_at_first_gets_everything_once_it_is_up(
    home: Path, grid: Path, server: Server
) -> None:
    with Outbox(home / "outbox.db") as outbox:
        with start_writer(outbox, server.address, home / "mlartifacts") as writer:
            started = time.monotonic()
            say_sweep(outbox, grid)
            assert time.monotonic() - started < 5, "saying it waited for MLflow"
            wait_for(lambda: outbox.left().error != "", 60, "the writer does not say what is wrong")
            left = writer.drain(0.5)
            assert left.pending == outbox.left().pending > 0
            advice = left.advice("killed")
            assert "Nothing is lost" in advice
            assert "sweeper sync killed" in advice
            assert server.address.removeprefix("http://") in advice or "refused" in advice
            server.start()
            assert not writer.drain(120)
        assert outbox.left().error == ""
    assert_complete(server.address)


_DRIVER = """
import sys, time
from pathlib import Path
from sweeper.tracking import Outbox, start_writer
home, uri = Path(sys.argv[1]), sys.argv[2]
outbox = Outbox(home / "outbox.db")
writer = start_writer(outbox, uri, home / "mlartifacts", linger=30)
outbox.sweep_started("killed", study="the study")
for number in range(3):
    outbox.trial_started(number, params={"lr": number, "seed": 0}, time=1000.0 + number)
writer.drain(60)
for number in range(3):
    outbox.evaluated(number, 250, {"fid": 25.0 + number, "kid": 0.5}, 2250.0)
print(writer.pid, flush=True)
time.sleep(600)
"""


def start_driver(home: Path, uri: str) -> tuple[subprocess.Popen[str], int]:
    """A driver with three running trials, and its writer's pid."""
    driver = subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(home), uri], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    return driver, int(driver.stdout.readline())


def kill_driver(driver: subprocess.Popen[str]) -> None:
    driver.kill()
    driver.communicate()


def finish(home: Path, uri: str, grid: Path) -> None:
    """What the driver does that runs the sweep again."""
    with (
        Outbox(home / "outbox.db") as outbox,
        start_writer(outbox, uri, home / "mlartifacts") as writer,
    ):
        say_sweep(outbox, grid, trials=3)
        left = writer.drain(60)
        assert not left, left.advice("killed")


def test_when_the_driver_is_killed_its_writer_closes_every_run_and_ends(
    home: Path, grid: Path
) -> None:
    uri = f"sqlite:///{home}/mlflow.db"
    driver, writer = start_driver(home, uri)
    before = {run["run_id"] for run in find_runs(uri, "killed")}
    kill_driver(driver)
    wait_for(lambda: not Path(f"/proc/{writer}").exists(), 60, "the writer outlives its driver")
    runs = find_runs(uri, "killed")
    assert {run["status"] for run in runs} == {"KILLED"}
    assert {run["metrics"].get("fid") for run in runs} == {None, 25.0, 26.0, 27.0}
    finish(home, uri, grid)
    assert {run["run_id"] for run in find_runs(uri, "killed")} == before
    assert_complete(uri, trials=3)


def test_when_driver_and_writer_are_killed_together_the_next_start_closes_every_run(
    home: Path, grid: Path
) -> None:
    uri = f"sqlite:///{home}/mlflow.db"
    driver, writer = start_driver(home, uri)
    kill_driver(driver)
    try:
        os.kill(writer, signal.SIGKILL)
    except ProcessLookupError:
        pytest.skip("the writer was quicker than the second kill")
    assert not sync(home / "outbox.db", uri, home / "mlartifacts")
    assert {run["status"] for run in find_runs(uri, "killed")} == {"KILLED"}
    finish(home, uri, grid)
    assert_complete(uri, trials=3)


def test_a_new_driver_does_not_wait_for_the_old_ones_writer(home: Path, grid: Path) -> None:
    # MLflow is down, so the first writer would linger for half a minute.
    driver, writer = start_driver_without_mlflow(home)
    kill_driver(driver)
    uri = f"sqlite:///{home}/mlflow.db"
    with (
        Outbox(home / "outbox.db") as outbox,
        start_writer(outbox, uri, home / "mlartifacts") as handle,
    ):
        outbox.sweep_started("killed", study="the study")
        outbox.trial_started(0)
        wait_for(lambda: not Path(f"/proc/{writer}").exists(), 25, "two writers at once")
        assert not handle.drain(60)
        statuses = {r["tags"]["sweeper.trial"]: r["status"] for r in find_runs(uri, "killed")}
    assert statuses == {
        "sweep": "RUNNING",
        "00000": "RUNNING",
        "00001": "KILLED",
        "00002": "KILLED",
    }


def start_driver_without_mlflow(home: Path) -> tuple[subprocess.Popen[str], int]:
    script = _DRIVER.replace("writer.drain(60)", "writer.drain(1)")
    driver = subprocess.Popen(
        [sys.executable, "-c", script, str(home), f"http://127.0.0.1:{free_port(0)}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout is not None
    return driver, int(driver.stdout.readline())
