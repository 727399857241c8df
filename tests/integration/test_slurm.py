"""A sweep as a job of Slurm, whose allocations end before it does."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.home import Home, SweepFolder
from sweeper.results import records_of
from sweeper.search.looking import sweep_of
from tests.integration.slurm import missing, slurm
from tests.integration.test_end_to_end import SWEEP

SCRIPT = Path(__file__).parents[2] / "docker" / "slurm" / "sweep.sbatch"
STEPS = 3000

PROGRAMS = {
    "hostname": """case $1 in
--ip-address) echo 127.0.1.1 ;;
--all-ip-addresses) echo "$ADDRESSES" ;;
*) uname -n ;;
esac""",
    "scontrol": "for node in one two three; do echo $node || exit 141; sleep 0.1; done",
    "srun": """
while [ "${1#--}" != "$1" ]; do [ "$1" != --ntasks=2 ] || two=yes; shift; done
[ "$two" ] || exec "$@"
NODE=0 "$@" & one=$!
NODE=1 "$@" & other=$!
trap 'kill $one $other' TERM
wait
wait""",
    "ray": """case " $* " in
*" --head "*) exec python3 -c 'import socket, sys, time
told = dict(word[2:].split("=") for word in sys.argv[1:] if "=" in word)
held = socket.create_server(("", int(told["port"])))
time.sleep(60)' "$@" ;;
*) [ "$NODE" -ge "$JOINING" ] || exec sleep 60; echo "nobody at $*"; exit 1 ;;
esac""",
    "sweeper": 'sleep 5; echo "trained at ${RAY_ADDRESS%:*}"',
}
"""What the script finds on a node whose name leads to itself, and which no other one can reach."""


@pytest.mark.parametrize(
    ("addresses", "joining", "status", "said"),
    [
        (
            "fd00::2 10.0.0.4 172.17.0.1",
            0,
            0,
            "runs on none of the other nodes, which were to join",
        ),
        ("fd00::2 10.0.0.4 172.17.0.1", 1, 0, f"does not run on {platform.node()}, which was to"),
        ("fd00::2", 0, 1, "no IPv4 address at which"),
    ],
)
def test_nodes_that_cannot_join_are_told_of(
    addresses: str, joining: int, status: int, said: str, tmp_path: Path
) -> None:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    text = SCRIPT.read_text().replace("/dev/tcp/$address/", "/dev/tcp/127.0.0.1/")
    done = subprocess.run(
        ["bash", "-c", text, "sweep.sbatch", "mine.yaml"],
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "ADDRESSES": addresses,
            "JOINING": str(joining),
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NUM_NODES": "3",
            "SLURM_JOB_NODELIST": "one,two,three",
            "SLURM_CPUS_ON_NODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said in done.stderr
    assert ("none of the other nodes" in done.stderr) == (status == joining == 0)
    assert done.returncode == status, done.stderr
    assert ("trained at 10.0.0.4" in done.stdout) == (status == 0)


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 180
    while not happened():
        assert time.monotonic() < deadline, "it takes for ever"
        time.sleep(0.2)


def _steps(folder: SweepFolder) -> list[int]:
    """How far the first two trials have come."""
    return [trial.steps for trial in records_of(folder, sweep_of(folder))[:2]]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(bool(missing()), reason=missing() or "there is a Slurm")
def test_a_sweep_whose_allocation_ends_twice_in_the_middle_finishes(tmp_path: Path) -> None:
    file, home, log = tmp_path / "tiny.yaml", tmp_path / "home", tmp_path / "log"
    longer = SWEEP.replace("steps: 4", f"steps: {STEPS}").replace("every: 2", "every: 100")
    file.write_text(longer.replace("trials: 3", "trials: 4"))
    folder = Home(home).sweep("tiny")
    checkpoints = [folder.trial(number) / "checkpoint.pt" for number in (0, 1)]
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with slurm() as cluster:
        job = cluster.submit(
            "--nodes=2", "--time=30", "--signal=B:USR1@600", f"--output={log}", str(SCRIPT),
            *(str(file), "--home", str(home)), environment={"PATH": programs},
        )  # fmt: skip
        _until(lambda: all(one.exists() for one in checkpoints))
        cluster.shorten(job)
        cluster.start_again(job)
        assert (
            "is about to be taken away (the time limit is near): its trials move" in log.read_text()
        )
        assert "every trial continues from its checkpoint" in log.read_text()
        assert [trial.state for trial in records_of(folder, sweep_of(folder))] == ["running"] * 2

        steps = _steps(folder)
        _until(lambda: all(now > before for now, before in zip(_steps(folder), steps, strict=True)))
        cluster.requeue(job)
        cluster.start_again(job)

        cluster.wait_for(job, "COMPLETED")
        told = cluster.told(job)
    assert (told["Restarts"], told["ExitCode"]) == ("2", "0:0")
    trials = records_of(folder, sweep_of(folder))
    assert [(trial.state, trial.steps) for trial in trials] == [("completed", STEPS)] * 4
    # The first notice may have found one on the other node, which had none yet.
    assert all(trial.attempts in (3, 4) for trial in trials[:2])
    assert list(Path("/tmp").glob(f"ray-{job}.*")) == []
