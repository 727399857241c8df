"""One sweep on machines that share no folder, while everything that they need goes away for a time.

Studies are on a PostgreSQL, trials publish in a bucket. In turn a machine dies in mid-trial, one is
cut off for a minute, one is added, the store and the database are away for a minute, and the head
dies with the driver on it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.home import Home, SweepFolder
from sweeper.results import records_of
from sweeper.search.address import STORAGE_VARIABLE
from sweeper.search.looking import sweep_of
from sweeper.trial import Trial
from tests import postgres
from tests.integration.apart import HERE, Apart, World, apart, missing
from tests.integration.raylets import COMMON, ENVIRONMENT, RAY, wait
from tests.integration.test_end_to_end import SWEEP
from tests.s3 import BUCKET, S3, s3_server
from trials.config import load_config
from trials.trainer import train

TRIALS, STEPS, EVERY = 12, 8000, 400
AWAY = 60
"""Seconds that something is away."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(missing()), reason=missing() or "there are machines"),
]


class Lab:
    """A head without cores, which drives the sweep, and machines of one core each."""

    def __init__(self, world: World, store: S3, database: postgres.Server, file: Path) -> None:
        self.world, self.store, self.database = world, store, database
        self.file = file
        self.log = world.folder / "log"
        self.environment = {
            **store.environment,
            "SWEEPER_HOME": str(world.own / "home"),
            "SWEEPER_BUCKET": f"s3://{BUCKET}/lab",
            STORAGE_VARIABLE: database.address,
            **{name: ENVIRONMENT[name] for name in ENVIRONMENT if name.startswith("RAY_")},
            "TMPDIR": str(world.own),
            "HOME": str(world.own),
            "OMP_NUM_THREADS": "1",
        }
        self.head = world.machine()
        self.address = f"{self.head.address}:6379"
        self.folder: SweepFolder = Home(self.head.disk / "home").sweep("tiny")
        self.begin()

    def begin(self) -> None:
        """Start Ray on the head."""
        scratch = f"--temp-dir={self.world.own / 'ray'}"
        without = ("--num-cpus=0", "--include-dashboard=false")
        self.ray(self.head, "--head", "--port=6379", *without, scratch)

    def join(self, machine: Apart) -> None:
        """Have a machine join in."""
        self.ray(machine, f"--address={self.address}", "--num-cpus=1")

    def ray(self, machine: Apart, *arguments: str) -> None:
        log = self.world.folder / f"{machine.name}.log"
        log.unlink(missing_ok=True)
        command = (RAY, "start", f"--node-ip-address={machine.address}", *arguments, *COMMON)
        one = machine.start(*command, environment=self.environment, log=log)
        wait(lambda: b"will now block" in log.read_bytes(), one)

    def run(self) -> subprocess.Popen[bytes]:
        """Start the driver."""
        command = (sys.executable, "-m", "sweeper", "run")
        environment = {**self.environment, "RAY_ADDRESS": self.address}
        return self.head.start(*command, str(self.file), environment=environment, log=self.log)

    def records(self) -> list[Trial]:
        """What the study says of every trial."""
        return records_of(self.folder, sweep_of(self.folder)) if self.folder.exists() else []

    def steps(self) -> dict[int, int]:
        """Running trial → how far it is."""
        return {one.number: one.steps for one in self.records() if one.state == "running"}

    def goes_on(self, run: subprocess.Popen[bytes], *, trials: int) -> None:
        """Wait until so many trials at once have come further than they are now."""
        before = self.steps()

        def further() -> bool:
            now = self.steps()
            return sum(now[one] > before.get(one, 0) for one in now) >= trials

        wait(further, run, patience=300)


@pytest.fixture
def lab(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lab]:
    file = tmp_path / "tiny.yaml"
    longer = SWEEP.replace("steps: 4", f"steps: {STEPS}").replace("every: 2", f"every: {EVERY}")
    file.write_text(longer.replace("trials: 3, parallel: 2", f"trials: {TRIALS}, parallel: 3"))
    with file.open("a") as more:
        more.write("health: {stop_on: []}\n")
    lock = tmp_path_factory.getbasetemp().parent / "postgres.lock"
    with (
        apart() as world,
        s3_server(tmp_path, host=HERE) as store,
        postgres.server(lock, host=HERE) as database,
    ):
        monkeypatch.setenv(STORAGE_VARIABLE, database.address)
        yield Lab(world, store, database, file)


def test_every_trial_comes_to_its_end_once(lab: Lab, tmp_path: Path) -> None:
    dying, cut, third = (lab.world.machine() for _ in range(3))
    for machine in (dying, cut, third):
        lab.join(machine)
    with lab.run() as run:
        lab.goes_on(run, trials=3)
        dying.die()
        with cut.cut_off():
            lab.join(lab.world.machine())
            time.sleep(AWAY)
        lab.goes_on(run, trials=2)

        lab.store.pause()
        lab.database.kill()
        time.sleep(AWAY)
        lab.database.start()
        lab.store.go_on()
        lab.goes_on(run, trials=2)
        lab.head.die()

    for machine in lab.world.machines:  # a head's end is the end of its cluster
        machine.die()
    lab.begin()
    for machine in (dying, third):
        lab.join(machine)
    with lab.run() as run:
        ended = run.wait(1800)
    said = lab.log.read_text()
    assert ended == 0, said

    records = lab.records()
    assert [(one.state, one.steps) for one in records] == [("completed", STEPS)] * TRIALS, said
    again = [one for one in records if one.attempts > 1]
    assert again
    for one in records:
        assert sorted(one.curve("fid")) == list(range(EVERY, STEPS + 1, EVERY)), one.name
        samples = lab.folder.trial(one.number) / "samples"
        assert len(list(samples.glob("*.png"))) >= STEPS // EVERY, one.name
    page = (lab.folder.report / "report.html").read_text()
    assert all(one.name in page for one in records)

    # What has moved and what has not are the same numbers.
    moved = max(again, key=lambda one: one.attempts)
    alone: list[float] = []
    train(
        load_config(moved.config),
        folder=tmp_path / "alone",
        report=lambda evaluation: alone.append(evaluation.metrics["fid"]),
    )
    assert alone == list(moved.curve("fid").values())
