"""A Ray cluster of several machines, each of them a raylet on this one. It asks for a token."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.service.served import free_port

RAY = str(Path(sys.executable).with_name("ray"))
ENVIRONMENT = {
    **os.environ,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
}
COMMON = (
    *("--object-store-memory=80000000", "--disable-usage-stats", "--block"),
    # Those of other clusters on this machine may have the usual ones.
    *("--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0"),
)
_NOTHING_TO_DO = (
    *("initialization_commands", "cluster_synced_files", "rsync_exclude", "rsync_filter"),
    *("setup_commands", "head_setup_commands", "worker_setup_commands"),
    *("head_start_ray_commands", "worker_start_ray_commands"),
)
Machine = Callable[..., "subprocess.Popen[bytes]"]


@contextlib.contextmanager
def raylets(
    cores: int = 0,
    *,
    jobs: int | None = None,
    environment: Mapping[str, str] = ENVIRONMENT,
    grows: int = 0,
) -> Iterator[tuple[str, Machine]]:
    """The cluster's address, and what starts another machine, with one core or none; its head has
    so many `cores`, and takes jobs at the port `jobs`, where that is given. Ray's autoscaler adds
    as many machines of one core as it `grows` by, and takes them away six seconds after their
    use."""
    port = free_port()
    # Not pytest's folder: Ray makes sockets below it, whose paths may have 107 characters.
    scratch = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    started: list[subprocess.Popen[bytes]] = []

    def ray(*arguments: str, before: str = "") -> subprocess.Popen[bytes]:
        command = (RAY, "start", *arguments, *COMMON)
        if before:
            command = ("unshare", "--mount", "sh", "-c", f'{before} && exec "$@"', "sh", *command)
        log = (scratch / f"{len(started)}.log").open("wb")
        with log:
            one = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        started.append(one)
        wait(lambda: b"will now block" in Path(log.name).read_bytes(), one)
        return one

    def join(before: str = "", cores: int = 1) -> subprocess.Popen[bytes]:
        return ray(f"--address=127.0.0.1:{port}", f"--num-cpus={cores}", before=before)

    growing = []
    if grows:
        growing.append(f"--autoscaling-config={scratch}/autoscaler.json")
        config = json.dumps(_autoscaler(f"127.0.0.1:{port}", cores, grows))
        (scratch / "autoscaler.json").write_text(config)
        environment = {**environment, "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    dashboard = "--include-dashboard=false" if jobs is None else f"--dashboard-port={jobs}"
    try:
        ray(
            "--head",
            f"--port={port}",
            f"--num-cpus={cores}",
            dashboard,
            f"--ray-client-server-port={free_port()}",
            f"--temp-dir={scratch}",
            *growing,
        )
        yield f"127.0.0.1:{port}", join
    finally:
        for one in reversed(started):
            end(one)
        shutil.rmtree(scratch, ignore_errors=True)


def _autoscaler(address: str, cores: int, grows: int) -> dict[str, object]:
    """What Ray's autoscaler is told that plays a cloud on this machine."""
    worker = {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": grows}
    head = {"resources": {"CPU": cores}, "node_config": {}, "max_workers": 0}
    return {
        "cluster_name": "growing",
        "provider": {
            "type": "fake_multinode",
            "gcs_address": address,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "available_node_types": {"ray.head.default": head, "worker": worker},
        "head_node_type": "ray.head.default",
        "max_workers": grows,
        "idle_timeout_minutes": 0.1,
        "upscaling_speed": 20,
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{name: [] for name in _NOTHING_TO_DO},
    }


def wait(done: Callable[[], bool], process: subprocess.Popen[bytes], patience: float = 90) -> None:
    """Until it is done, for so many seconds; the process goes on meanwhile."""
    deadline = time.monotonic() + patience
    while not done():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline, "it takes for ever"
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a machine, with all that runs on it."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)
