"""Signals and dying servers at awkward moments: our own words, at once, nothing lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from sweeper.home import Home, Request
from sweeper.scheduling.cluster.starting import parent_for
from tests.faults.driver import SWEEP
from tests.faults.killing import Driver, check_everything, run_to_the_end, title

pytestmark = pytest.mark.timeout(600)


def _wait_for(driver: Driver, server: str) -> psutil.Process:
    """Until a server of the driver's Ray is there: then Ray is still starting."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert driver.alive(), driver.output
        for process in driver.family():
            if title(process) == server:
                return process
        time.sleep(0.02)
    raise AssertionError(f"there is no {server}")


def _ended(driver: Driver, within: float) -> int:
    begun = time.monotonic()
    status = driver.end()
    assert time.monotonic() - begun < within, driver.output
    return status


def _alive(driver: Driver, *names: str) -> list[psutil.Process]:
    """Its processes of these names that run; one that nobody has reaped yet does not."""
    return [
        process
        for process in driver.family()
        if title(process) in names and process.status() != psutil.STATUS_ZOMBIE
    ]


def _check_words(driver: Driver, *words: str) -> None:
    for word in words:
        assert word in driver.output, driver.output
    for foreign in ("Traceback", "rpc_client", "*** SIG", "C  Check failed"):
        assert foreign not in driver.output, driver.output


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow)],
)
def test_a_signal_to_its_whole_group_ends_a_running_sweep_with_its_status_and_the_way_on(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    with Driver(tmp_path) as driver:
        driver.wait_for_training()
        os.killpg(driver.pid, number)
        while _alive(driver, "gcs_server"):
            time.sleep(0.01)
        os.killpg(driver.pid, number)  # again, while Ray ends and listens no more
        assert _ended(driver, 20) == status
        _check_words(driver, "interrupted", "run the sweep again")
        # Ray itself would leave its logs and sockets there for ever.
        assert not [*(parent_for("ray") / "ray").glob(f"session_*_{driver.pid}")]
    run_to_the_end(tmp_path)
    check_everything(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_ray_starts_is_answered_at_once(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    with Driver(tmp_path) as driver:
        _wait_for(driver, "gcs_server")
        os.kill(driver.pid, number)
        assert _ended(driver, 10) == status
        _check_words(driver, "interrupted", "run the sweep again")
        assert not _alive(driver, "raylet", "gcs_server")
    run_to_the_end(tmp_path)
    check_everything(tmp_path)


# Of both, Ray itself writes a line where the driver takes more than five seconds to end, which it
# does on a machine that is slow to start MLflow's writer: not mended.
BOTH = pytest.param(("raylet", "gcs_server"), marks=pytest.mark.slow)


@pytest.mark.parametrize("victims", [("gcs_server",), BOTH])
def test_servers_that_die_while_ray_starts_end_it_in_our_words(
    victims: tuple[str, ...], tmp_path: Path
) -> None:
    with Driver(tmp_path) as driver:
        doomed = [_wait_for(driver, name) for name in reversed(victims)]
        for process in doomed:
            process.kill()
        assert _ended(driver, 15) == 1
        _check_words(driver, "run the sweep again")


@pytest.mark.slow
@pytest.mark.parametrize("victims", [("raylet", "gcs_server"), ("raylet",), ("gcs_server",)])
def test_servers_that_die_while_the_sweep_is_paused_end_it_in_our_words(
    victims: tuple[str, ...], tmp_path: Path
) -> None:
    folder = Home(tmp_path).sweep(SWEEP.name)
    with Driver(tmp_path) as driver:
        driver.wait_for_training()
        folder.ask(Request.PAUSE)
        time.sleep(3.0)  # the running trials end
        family = {title(process): process for process in driver.family()}
        for name in victims:
            family[name].kill()
        assert _ended(driver, 15) == 1
        _check_words(driver, "Ray's", "run the sweep again")
    folder.clear_request()
    run_to_the_end(tmp_path)
    check_everything(tmp_path)


def test_a_ray_of_our_own_listens_on_the_loopback_interface_alone_and_starts_nothing_idle(
    tmp_path: Path,
) -> None:
    with Driver(tmp_path) as driver:
        driver.wait_for_training()
        sockets = {
            socket.laddr.ip.removeprefix("::ffff:")
            for process in (psutil.Process(driver.pid), *driver.family())
            for socket in _sockets(process)
            if socket.status == psutil.CONN_LISTEN
        }
        assert sockets == {"127.0.0.1"}
        # Ray's autoscaler, log reader and page server: a third of a start's processor time.
        lines = [" ".join(process.cmdline()) for process in driver.family()]
        assert any("raylet" in line for line in lines)
        assert not [line for line in lines if "monitor.py" in line or "dashboard.py" in line]


def _sockets(process: psutil.Process) -> list[Any]:
    """Those of a process; none of one that has ended meanwhile."""
    try:
        return list(process.net_connections("inet"))
    except psutil.NoSuchProcess:
        return []
