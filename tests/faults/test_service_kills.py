"""The service and all that it stands on are killed while four sweeps of three people run.

    service with its dispatcher · PostgreSQL · MLflow's server · Ray's head · a driver

Whatever dies, and when: every sweep ends, every trial was run once, the events have no gap, what
was used is metered, and nothing that was answered 2xx is lost.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import optuna
import psutil
import pytest
from optuna.trial import TrialState
from sqlalchemy import func, select

from sweeper.scheduling.cluster import head
from sweeper.service.state import accounts, events, listing
from sweeper.service.state.accounts import Scope
from sweeper.service.state.database import Database
from sweeper.service.state.listing import Wish
from sweeper.service.state.sweeps import Entry
from sweeper.service.state.tables import Event, Usage
from tests.postgres import Server, Unavailable, empty_place, server
from tests.service.process import Process
from tests.service.served import free_port

SWEEP = """
name: {name}
base:
  data: digits
  steps: 60
  batch_size: 8
  networks: {{generator: {{width: 4}}, discriminator: {{width: 4}}}}
  evaluation: {{every: 20, samples: 32, metrics: [fid], final_samples: 32}}
parameters:
  optimizer.generator.lr: {{distribution: log_uniform, min: 1.0e-4, max: 1.0e-2}}
search: {{sampler: random}}
limits: {{trials: {trials}, parallel: 2}}
resources: {{cpu: 0.5}}
"""
TRIALS = 8
NAMES = {"one": "ada", "two": "bo", "three": "cy", "four": "cy"}
KILLS = 20
LONGEST = 60.0
"""Seconds between two kills, where nothing moves on: mostly one comes soon after an evaluation."""

PATIENCE = 900.0


@dataclass
class Lab:
    """The service, what it stands on, and what its people have been told."""

    process: Process
    postgres: Server
    database: Database
    storage: str
    tokens: dict[str, str]
    chance: random.Random
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    """Sweep → descriptions that somebody tried to give it; those before the last one that was
    answered 2xx are gone."""

    def ask(self, method: str, path: str, who: str, **options: Any) -> httpx.Response | None:
        """An answer, or none where nobody is there to give one."""
        headers = {"authorization": f"Bearer {self.tokens[who]}"}
        headers |= options.pop("headers", {})
        with contextlib.suppress(httpx.TransportError):
            address = self.process.address + path
            return httpx.request(method, address, headers=headers, timeout=30, **options)
        return None

    def submit(self, name: str) -> None:
        """Until it is answered; sent again under the same key, it is one sweep."""
        headers = {"content-type": "application/yaml", "idempotency-key": f"key-{name}"}
        body = SWEEP.format(name=name, trials=TRIALS)
        path = "/api/v1/sweeps"
        for _ in _until():
            answer = self.ask("POST", path, NAMES[name], content=body, headers=headers)
            if answer is not None and answer.status_code == 201:
                return
            assert answer is None or answer.status_code >= 500, answer.text

    def describe(self, name: str, text: str) -> None:
        """Ask once for a change, and remember what was answered."""
        tried = self.acknowledged.setdefault(name, [])
        tried.append(text)
        path, body = f"/api/v1/sweeps/{name}", {"description": text}
        answer = self.ask("PATCH", path, NAMES[name], json=body)
        if answer is not None and answer.is_success:
            self.acknowledged[name] = [text]

    def entries(self) -> list[Entry]:
        for _ in _until():
            # PostgreSQL is away, or comes back.
            with contextlib.suppress(Exception), self.database.reading() as session:
                return listing.listed(session, Wish())
        raise AssertionError

    def progress(self) -> int:
        """How many evaluations have been told of so far; 0 where nobody says."""
        chosen = select(func.count()).where(Event.kind == "trial_evaluated")
        with contextlib.suppress(Exception), self.database.reading() as session:
            return session.scalar(chosen) or 0
        return 0

    def is_over(self) -> bool:
        return all(entry.over for entry in self.entries())

    # What can be killed

    def kill_service(self) -> None:
        self.process.end(signal.SIGKILL)
        self.process.start()

    def kill_postgres(self) -> None:
        self.postgres.kill()
        time.sleep(self.chance.uniform(0.0, 3.0))
        self.postgres.start()

    def kill_mlflow(self) -> None:
        for child in psutil.Process(self.process.process.pid).children(recursive=True):
            if "mlflow" in " ".join(child.cmdline()):
                child.kill()

    def kill_ray(self) -> None:
        found = head.find(self.process.home)
        for process in found.processes if found else ():
            with contextlib.suppress(psutil.Error):
                if process.name() == "gcs_server":
                    process.kill()

    def kill_driver(self) -> None:
        pids = [entry.driver.pid for entry in self.entries() if not entry.over and entry.driver]
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(self.chance.choice([pid for pid in pids if pid]), signal.SIGKILL)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with contextlib.ExitStack() as stack:
        try:
            postgres = stack.enter_context(server(tmp_path / "postgres.lock"))
        except Unavailable as error:
            pytest.skip(str(error))
        url, storage = (empty_place(postgres.address) for _ in range(2))
        database = Database(url)
        stack.callback(database.close)
        database.upgrade()
        tokens = {}
        with database.writing() as session:
            for name in ("ada", "bo", "cy"):
                person = accounts.add_person(session, name)
                tokens[name] = accounts.add_token(session, person, "test", Scope.SUBMIT)[1]
        environment = {"SWEEPER_DATABASE": url, "SWEEPER_STORAGE": storage}
        environment |= {"MLFLOW_TRACKING_URI": "", "RAY_ADDRESS": ""}
        process = Process(tmp_path / "sweeps", free_port(), environment=environment)
        process.start()
        stack.callback(head.down, process.home)
        stack.callback(process.end)
        chance = random.Random(7)
        yield Lab(process, postgres, database, storage, tokens, chance)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_is_lost_whatever_is_killed(lab: Lab) -> None:
    lab.process.until("The service is at", 300)
    for name in NAMES:
        lab.submit(name)
    kills: list[Callable[[], None]] = [
        *(lab.kill_service, lab.kill_postgres, lab.kill_mlflow, lab.kill_ray, lab.kill_driver)
    ]
    done = Counter[str]()
    for number in range(KILLS):
        seen, deadline = lab.progress(), time.monotonic() + LONGEST
        for step in itertools.count():
            lab.describe(lab.chance.choice(list(NAMES)), f"{number}.{step}")
            if lab.progress() > seen or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        time.sleep(lab.chance.uniform(0.0, 5.0))
        if lab.is_over():
            break
        # Each in its turn, so that none is left out of a short run.
        kill = kills[number % len(kills)]
        kill()
        done[kill.__name__] += 1
        print(number, kill.__name__, _told(lab), flush=True)
    assert len(done) == len(kills), f"the sweeps were over too soon: {done}"

    for _ in _until():
        if lab.is_over():
            break
        time.sleep(1.0)
    storage = optuna.storages.RDBStorage(lab.storage)
    try:
        assert _findings(lab, storage) == []
    finally:
        storage.engine.dispose()


def _findings(lab: Lab, storage: optuna.storages.BaseStorage) -> list[str]:
    """Everything that is wrong in the end, each in a sentence."""
    found = lab.entries()
    names = sorted(entry.sweep.name for entry in found)
    wrong = [] if names == sorted(NAMES) else [f"there are {names}"]
    with lab.database.reading() as session:
        told = events.events_after(session, 0, limit=100_000)
        used = Counter[str]()
        for row in session.scalars(select(Usage)):
            used[row.sweep_id] += row.cpu_seconds  # type: ignore[assignment]
    if [event.id for event in told] != list(range(1, len(told) + 1)):
        wrong.append("the events have a gap")
    for entry in found:
        sweep, driver = entry.sweep, entry.driver
        if entry.lease.state != "finished" or driver is None:
            wrong.append(f"{sweep.name} is {entry.lease.state}: {entry.lease.message}")
            continue
        if sweep.description not in lab.acknowledged.get(sweep.name, [""]):
            wrong.append(f"{sweep.name} is described as {sweep.description!r}: an answer was lost")
        ends = [
            event.data["number"]
            for event in told
            if event.sweep_id == sweep.id
            and event.kind == "trial_ended"
            and event.data["state"] == "completed"
        ]
        if sorted(ends) != list(range(TRIALS)):
            wrong.append(f"{sweep.name}: these trials were told to have ended: {sorted(ends)}")
        study = optuna.load_study(study_name=sweep.name, storage=storage)
        states = [(trial.number, trial.state) for trial in study.get_trials()]
        if states != [(number, TrialState.COMPLETE) for number in range(TRIALS)]:
            wrong.append(f"{sweep.name}: the study has {states}")
        if abs(used[sweep.id] - driver.cpu_seconds) > 1e-6:
            wrong.append(f"{sweep.name}: {used[sweep.id]} by the hour, {driver.cpu_seconds} in all")
        missed = driver.cpu_seconds - study.user_attrs["used"]["cpu_seconds"]
        if not -1e-6 <= missed <= driver.attempt * _longest(study):
            wrong.append(f"{sweep.name}: its study and the service differ by {missed} CPU seconds")
    return wrong


def _longest(study: optuna.Study) -> float:
    """CPU seconds that the sweep can have used from one evaluation to the next, at most."""
    longest = 0.0
    for trial in study.get_trials():
        times = sorted(
            float(measured["time"])
            for name, measured in trial.user_attrs.items()
            if isinstance(measured, dict) and "time" in measured and "metrics" in measured
        )
        longest = max([longest, *(later - one for one, later in itertools.pairwise(times))])
    return longest


def _told(lab: Lab) -> str:
    return ", ".join(
        f"{entry.sweep.name} {entry.lease.state} {entry.driver.over if entry.driver else 0}"
        for entry in lab.entries()
    )


def _until() -> Iterator[None]:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline, "it takes too long"
        yield
        time.sleep(0.5)
