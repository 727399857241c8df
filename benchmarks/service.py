"""What readers wait for, and what they cost a sweep: the service while a sweep runs beside it.

    OMP_NUM_THREADS=1 python benchmarks/service.py [--trials 5000] [--readers 50] [--streams 20]
    [--seconds 20] [--rounds 3] [--every 100]

On one machine there run: the service; a sweep of real trainings, one at a time, on a Ray of its
own; a study of 5,000 trials to which a writer adds an evaluation every second; and, in a process of
their own, 50 readers, each of whom asks for the list of sweeps, the big sweep, its standings and a
page of its trials, the sweep that runs and its trials, with a second between two questions, and 20
streams that hear of an event every second.

The sweep runs all the time, evaluated as the quickstart's trials are (`--every` 100 steps, on 1,000
samples); the readers come and go, `rounds` times `seconds` with and as many without them. What they
cost it is a training step's time with them over that without, read from its evaluations' times.

Targets: 99 of 100 answers within 300 ms; the sweep slowed by at most 5 %; no gap in any stream.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweeper.home import Home, SweepFolder
from sweeper.service.app import Service, application
from sweeper.service.listening import give_way, listener
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import accounts, events, sweeps
from sweeper.service.state.accounts import Scope
from sweeper.service.state.database import Database
from sweeper.service.state.tables import Lease
from sweeper.sweepfile.load import load_sweep, read_stored
from sweeper.trial import Evaluation

PAUSE = 1.0
EVALUATIONS = 10
BIG = {
    "name": "big",
    "base": {"data": {"name": "digits"}, "steps": 1000},
    "parameters": {
        "optimizer.generator.lr": {"distribution": "log_uniform", "min": 1.0e-5, "max": 1.0e-2},
        "batch_size": {"values": [16, 32, 64]},
        "loss": {"values": ["hinge", "wgan", "non_saturating"]},
    },
    "search": {"sampler": "random"},
    "limits": {"trials": 1_000_000},
}
LIVE: dict[str, Any] = {
    "name": "live",
    "base": {"data": {"name": "digits"}, "steps": 1_000_000},
    "parameters": {"optimizer.generator.lr": {"values": [2.0e-4]}},
    "search": {"sampler": "random", "start_with_base": False},
    "health": {"stop_on": []},
    "limits": {"trials": 1, "parallel": 1},
}


# What there is to read --------------------------------------------------------------------------


def add_big(folder: SweepFolder, trials: int) -> None:
    """A study of so many trials that are over, and one that runs. The ledger makes the first few;
    the rest are copies, since each is asked of a sampler that looks at all before it."""
    import optuna

    from sweeper.scheduling.recording.spec_files import keep_spec
    from sweeper.search.address import JOURNAL
    from sweeper.search.foreign import MARK, mark_of
    from sweeper.search.ledger import Ledger
    from sweeper.search.storage import open_storage

    folder.create()
    sweep = load_sweep(BIG)
    ledger = Ledger.open(sweep, folder, JOURNAL)
    for _ in range(20):
        trial = ledger.ask()
        assert trial is not None
        ledger.started(trial.number)
        for step in range(1, EVALUATIONS + 1):
            value = 500.0 / step + trial.number
            protocol = {"extractor": "digits", "fake_count": "1000"}
            ledger.report(
                trial.number, Evaluation(100 * step, time.time(), {"fid": value}, protocol)
            )
        if trial.number < 19:
            ledger.complete(trial.number, [value])
    keep_spec(sweep, folder, None)
    storage, _ = open_storage(folder, JOURNAL)
    study = optuna.load_study(study_name="big", storage=storage)
    first = study.trials
    templates, identity = first[:19], study.user_attrs["id"]
    for number in range(len(first), trials):
        template = templates[number % len(templates)]
        marked = {**template.user_attrs, MARK: mark_of(identity, number)}
        study.add_trial(
            optuna.trial.create_trial(
                state=template.state,
                values=template.values,
                params=template.params,
                distributions=template.distributions,
                user_attrs=marked,
                intermediate_values=template.intermediate_values,
            )
        )


def write_on(home: Path, url: str, stop: Any) -> None:
    """Add an evaluation to the big study and an event to the database, once a second."""
    from sweeper.search.address import JOURNAL
    from sweeper.search.ledger import Ledger

    folder, database = Home(home).sweep("big"), Database(url)
    ledger, step = Ledger.open(read_stored(folder.spec_json), folder, JOURNAL), 1000
    while not stop.wait(1.0):
        step += 1
        ledger.report(19, Evaluation(step, time.time(), {"fid": 50.0}))
        with database.writing() as session:
            events.add_event(session, None, "evaluated", {"trial": 19, "step": step})


def serve(home: Path, url: str, bound: socket.socket) -> None:
    """The service, in a process of its own."""
    port = bound.getsockname()[1]
    settings = ServiceSettings(Home(home), url, port=port)
    service = Service(settings, Database(url))
    give_way()
    listener(application(service), service.settings, service.ending).run(sockets=[bound])


# Who reads --------------------------------------------------------------------------------------


async def read_for(address: str, token: str, readers: int, streams: int, seconds: float) -> Any:
    """Seconds of every answer by what was asked, and the numbers that each stream has heard."""
    import httpx

    asked = {
        "the list": "/api/v1/sweeps",
        "the big sweep": "/api/v1/sweeps/big",
        "its standings": "/api/v1/sweeps/big/standings",
        "a page of its trials": "/api/v1/sweeps/big/trials?sort=rank&limit=50",
        "the live sweep": "/api/v1/sweeps/live",
        "its trials": "/api/v1/sweeps/live/trials",
    }
    took: dict[str, list[float]] = {name: [] for name in asked}
    heard: list[list[int]] = [[] for _ in range(streams)]
    until = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=None)
    headers = {"authorization": f"Bearer {token}"}

    async def read(client: httpx.AsyncClient, place: int) -> None:
        await asyncio.sleep(PAUSE * place / readers)
        while time.monotonic() < until:
            for name, path in asked.items():
                began = time.monotonic()
                (await client.get(path)).raise_for_status()
                took[name].append(time.monotonic() - began)
                await asyncio.sleep(PAUSE)

    async def listen(client: httpx.AsyncClient, numbers: list[int]) -> None:
        accept = {"accept": "text/event-stream"}
        async with client.stream("GET", "/api/v1/events", headers=accept) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    numbers.append(json.loads(line[6:])["number"])

    async with httpx.AsyncClient(
        base_url=address, headers=headers, timeout=60, limits=limits
    ) as client:
        listening = [asyncio.create_task(listen(client, numbers)) for numbers in heard]
        await asyncio.gather(*(read(client, place) for place in range(readers)))
        for task in listening:
            task.cancel()
    return took, heard


def answer_readers(connection: Any) -> None:
    """`read_for` in a process of its own, as often as it is sent what to read."""
    import httpx  # noqa: F401 - before anything is measured

    while arguments := connection.recv():
        connection.send(asyncio.run(read_for(*arguments)))


# What it costs ----------------------------------------------------------------------------------


def evaluations_of(folder: SweepFolder) -> tuple[Evaluation, ...]:
    """What the live sweep's only training has reported."""
    from sweeper.search.reader import read_study

    study = read_study(read_stored(folder.spec_json), folder) if folder.exists() else None
    return study.trials()[0].evaluations if study and study.trials() else ()


def rate(folder: SweepFolder, seconds: float) -> float:
    """Training steps a second between the first and the last evaluation of the next `seconds`."""
    began = time.time()
    time.sleep(seconds)
    within = [one for one in evaluations_of(folder) if one.time >= began]
    return (within[-1].step - within[0].step) / (within[-1].time - within[0].time)


def live(every: int) -> dict[str, Any]:
    """The sweep that runs: evaluated every so many steps."""
    base = {**LIVE["base"], "evaluation": {"every": every, "samples": 1000}}
    return {**LIVE, "base": base}


def prepared(place: Path, trials: int, every: int) -> tuple[str, str]:
    """Address of a database that knows both sweeps, and a token."""
    url = f"sqlite:///{place}/service.db"
    database = Database(url)
    database.upgrade()
    with database.writing() as session:
        person = accounts.add_person(session, "reader")
        token = accounts.add_token(session, person, "benchmark", Scope.READ)[1]
        for given in (BIG, live(every)):
            name, spec = str(given["name"]), load_sweep(given).to_dict()
            row = sweeps.add_sweep(session, person, name=name, source=json.dumps(given), spec=spec)
            session.get_one(Lease, row.id).state = "running"
    database.close()
    print(f"making a study of {trials:,} trials", flush=True)
    add_big(Home(place).sweep("big"), trials)
    return url, token


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=100, help="steps between two evaluations")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), given)


def run(place: Path, given: argparse.Namespace) -> None:
    """All rounds, on a home at `place`."""
    url, token = prepared(place, given.trials, given.every)
    file = place / "live.json"
    file.write_text(json.dumps(live(given.every)))
    context = multiprocessing.get_context("spawn")
    stop, (mine, theirs) = context.Event(), context.Pipe()
    command = [sys.executable, "-m", "sweeper"]
    sweep = subprocess.Popen(
        [*command, "run", str(file), "--home", str(place)], stdout=subprocess.DEVNULL
    )
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    parts = [
        context.Process(target=serve, args=(place, url, bound)),
        context.Process(target=write_on, args=(place, url, stop)),
        context.Process(target=answer_readers, args=(theirs,)),
    ]
    try:
        for part in parts:
            part.start()
        folder = Home(place).sweep("live")
        while len(evaluations_of(folder)) < 5 and sweep.poll() is None:
            time.sleep(1)
        mine.send((address, token, 2, 1, 8.0))
        mine.recv()  # the service has read the big study by now
        asked = (address, token, given.readers, given.streams, given.seconds)
        measure(folder, mine, asked, given.rounds, [parts[0].pid or 0, parts[2].pid or 0])
    finally:
        mine.send(())
        stop.set()
        sweep.send_signal(signal.SIGTERM)
        for part in parts:
            os.kill(part.pid or 0, signal.SIGTERM)
            part.join(30)
        sweep.wait(60)


def computed(process: int) -> float:
    """Seconds of computing that a process has had."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    folder: SweepFolder, readers: Any, asked: tuple[Any, ...], rounds: int, processes: Sequence[int]
) -> None:
    """Take turns with and without readers, and print what came of it. `processes` are the service
    and the readers, which on one machine take their share of it too."""
    seconds = asked[-1]
    quiet, busy, gaps, spent = [], [], 0, [0.0, 0.0]
    took: dict[str, list[float]] = {}
    for _ in range(rounds):
        quiet.append(rate(folder, seconds))
        readers.send(asked)
        before = [computed(process) for process in processes]
        busy.append(rate(folder, seconds))
        found, heard = readers.recv()
        now = [computed(process) for process in processes]
        spent = [had + after - first for had, after, first in zip(spent, now, before, strict=True)]
        for name, times in found.items():
            took.setdefault(name, []).extend(times)
        gaps += sum(n != list(range(n[0], n[0] + len(n))) for n in heard if n)
        print(f"a round: {quiet[-1]:.1f} steps/s alone, {busy[-1]:.1f} beside readers", flush=True)
    took["all"] = [one for times in took.values() for one in times]
    for name, times in took.items():
        cuts = [1000 * cut for cut in statistics.quantiles(times, n=100)]
        shown = ", ".join(f"{p}th {cuts[p - 1]:.0f} ms" for p in (50, 90, 99))
        print(f"{name:<22} {len(times):>6} answers: {shown}, longest {1000 * max(times):.0f} ms")
    slower = statistics.median(quiet) / statistics.median(busy) - 1
    print(f"the sweep beside readers: {slower:+.1%} of the time of a step")
    for name, computing in zip(("the service", "its readers"), spent, strict=True):
        print(f"{name} computed {1000 * computing / len(took['all']):.1f} ms an answer")
    print(f"streams with a gap: {gaps}")


if __name__ == "__main__":
    main()
