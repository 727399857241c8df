"""The loop: Ray Tune's own, with the conductor in every place where something is decided."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ray import tune

from sweeper.errors import SweeperError
from sweeper.home import Request
from sweeper.scheduling.adapters import Abort, NumberedTrials, Silence, StopNow, Trials, Verdicts
from sweeper.scheduling.cluster.connecting import Cluster
from sweeper.scheduling.cluster.room import Room
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.conducting.requests import Requests
from sweeper.scheduling.machines.eviction import Notices
from sweeper.scheduling.machines.guards import Guards
from sweeper.scheduling.machines.watching import Watching
from sweeper.scheduling.working.failures import DiskFull, is_disk_full
from sweeper.scheduling.working.machine_checks import Mark, check_machines, needs
from sweeper.scheduling.working.messages import Work
from sweeper.scheduling.working.trainable import Factory, Worker
from sweeper.sharing.gauges import ProcessGauge
from sweeper.sharing.mps import under_mps
from sweeper.sweepfile.model import Sweep

CRASHES = 3
"""How often in a row Tune may give out under us before the sweep stops."""

TICK = 0.1
"""Seconds between two looks around."""


class Ended(Exception):  # noqa: N818 - what happened, not an error
    """The operator wants the sweep to end at once."""


class Tuning:
    """Runs the trials that a conductor hands out, until it has no more or is stopped."""

    def __init__(
        self,
        sweep: Sweep,
        conductor: Conductor,
        requests: Requests,
        *,
        scratch: Path,
        cache: Path | None,
        mark: Mark,
        room: Room,
        parts: bytes,
        run: str,
        factory: Factory,
        notices: Notices | None,
        note: Callable[[str], None],
        look: Callable[[], None],
        afterwards: Callable[[Callable[[], bool]], None],
    ) -> None:
        self.now = False
        self._sweep = sweep
        self._conductor = conductor
        self._requests = requests
        self._scratch = scratch
        self._cache = cache
        self._mark = mark
        self._room = room
        self._parts = parts
        self._run_record = run
        self._factory = factory
        self._note = note
        self._look = look
        self._afterwards = afterwards
        self._next_tick = 0.0
        setbacks = conductor.setbacks
        self._guards = Guards(lambda: setbacks.wrong, room.names)
        self._watching: Watching | None = None
        if notices is not None:
            told = (setbacks.notice, setbacks.deaf)
            watched = self._names_with_trials if room.grows else room.names
            self._watching = Watching(notices, mark.text, watched, *told)
        self._cluster = Cluster(
            sweep.resources, sweep.limits.parallel, self._end_start, requests.listen
        )

    def run(self) -> None:
        """Run them.

        Raises:
            SweeperError: what stopped it: Ray, the disk, the study, or nothing that works.
        """
        try:
            self._run()
        except Ended:
            return

    def _run(self) -> None:
        mps = under_mps() if self._sweep.resources.mps else contextlib.nullcontext()
        with mps, self._cluster, contextlib.closing(self._guards):
            self._requests.listen()
            self._room.check()
            check_machines(self._mark, self._room)
            if not self._room.nodes():
                self._note("no machine is available for a trial yet: waiting for Ray's autoscaler")
            crashes = 0
            while not (self._conductor.finished or self.now):
                if self._conductor.stands_by:
                    time.sleep(TICK)
                    self._tick()
                    continue
                handed_out = self._conductor.reports
                try:
                    self._run_tune()
                except Abort as abort:
                    raise abort.cause from None
                except Exception as error:
                    if is_disk_full(error):
                        raise DiskFull(f"no space left for Ray: {error}") from error
                    crashes = crashes + 1 if self._conductor.reports == handed_out else 1
                    if crashes > CRASHES:
                        raise SweeperError(f"Ray Tune keeps failing: {error}") from error
                    self._conductor.lost_all(f"Ray Tune failed: {error}")
            if self._conductor.complete:
                while not (self._conductor.may_work or self._is_to_end()):
                    time.sleep(TICK)
                self._afterwards(self._is_to_end)

    def _is_to_end(self) -> bool:
        """Whether the user asked the driver to end while it does what comes afterwards."""
        self._cluster.check()
        self._conductor.look()
        self._look()
        asked = self._requests
        self._conductor.lease(asked.parallel())
        self.now = self.now or asked.written() == Request.CANCEL
        return bool(asked.interrupts or asked.ended_by or self.now)

    def _run_tune(self) -> None:
        parallel, resources = self._sweep.limits.parallel, self._sweep.resources
        worker = tune.with_parameters(
            Worker,
            factory=self._factory,
            cache=str(self._cache or ""),
            mark=self._mark,
            parts=self._parts,
            run=self._run_record,
            leaving=self._mark.text if self._watching else "",
            threads=resources.threads,
            part=resources.part,
            gauge=ProcessGauge() if resources.shares else None,
            mps=resources.mps,
        )
        verdicts = Verdicts(self._conductor)
        with _empty(self._scratch), _hushed(), _uncounted(), _pending(parallel):
            try:
                tune.run(
                    worker,
                    name="tune",
                    storage_path=str(self._scratch),
                    search_alg=NumberedTrials(*(self._conductor, self._tick), self._needs),
                    scheduler=verdicts,
                    callbacks=[Trials(self._conductor, verdicts, self._tick), Silence()],
                    stop=StopNow(lambda: self.now),
                    num_samples=-1,
                    reuse_actors=True,
                    max_failures=0,  # the conductor hands a trial out again; it knows why it must
                    raise_on_failed_trial=False,
                    trial_name_creator=lambda trial: trial.config["name"],
                    trial_dirname_creator=lambda trial: f"{trial.config['name']}-{time.time_ns()}",
                    verbose=0,
                )
            except Abort:
                verdicts.kill_workers()
                raise

    def _needs(self, work: Work) -> dict[str, Any]:
        return needs(work, self._room.machines, self._conductor.alone.machine_for)

    def _names_with_trials(self) -> dict[str, str]:
        """Ray's id → name of the machines on which something of the sweep is at work: whoever
        watches one keeps Ray's autoscaler from giving it back."""
        at_work = self._conductor.setbacks.nodes
        return {node: name for node, name in self._room.names().items() if node in at_work}

    def _tick(self) -> None:
        """Look around: does the cluster live, was anything asked, is a limit reached?"""
        self._obey()  # every time: short trials may all be over before the next look
        here = time.monotonic()
        if here < self._next_tick:
            return
        self._next_tick = here + TICK
        self._cluster.check()
        self._guards.look()
        if self._watching is not None:
            self._watching.look()
        self._conductor.look()
        self._look()

    def _obey(self) -> None:
        asked, written = self._requests, self._requests.written()
        if asked.interrupts > 1 or asked.ended_by or written == Request.CANCEL:
            self._end_now("cancelled" if written == Request.CANCEL else "interrupted")
        elif asked.interrupts == 1:
            self._conductor.halting.stop(
                "at_evaluation", "interrupted: each trial stops at its next evaluation"
            )
        elif written == Request.STOP:
            self._conductor.halting.stop("no_new", "stopped on request: no new trials")
        self._conductor.halting.pause(written == Request.PAUSE)
        self._conductor.within(asked.limits())
        self._conductor.lease(asked.parallel())
        asked.have_obeyed(self._conductor.obey)

    def _end_start(self) -> None:
        """While Ray starts nothing is at work, so whatever ends the sweep ends it at once."""
        self._requests.listen()
        self._obey()
        if self._conductor.halting.halt:
            raise Ended

    def _end_now(self, message: str) -> None:
        if self.now:
            return
        self.now = True
        self._conductor.halting.stop("at_evaluation", message)
        self._conductor.interrupt_all()
        if self._cluster.own:
            raise Ended(message)  # its workers die with it, in the middle of whatever they do


@contextlib.contextmanager
def _empty(scratch: Path) -> Iterator[None]:
    """A folder for Tune's record of the experiment, which is never read. On NFS a file that is open
    somewhere stays in it, as `.nfs…`, until it is closed there."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(exist_ok=True)
    try:
        yield
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Tune's log says what the conductor has said already, in other words and at length."""
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.air", "ray.train")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _uncounted() -> Iterator[None]:
    """Keep Tune from counting its callbacks for Ray's usage statistics.

    To tell them apart it imports every integration that it has, MLflow's among them, which takes
    most of a second; and nothing here phones home.
    """
    usage: Any = getattr(getattr(tune, "tune", None), "air_usage", None)
    if not hasattr(usage, "tag_callbacks"):  # another version of Ray, which does not do so
        yield
        return
    kept = usage.tag_callbacks
    usage.tag_callbacks = lambda callbacks: False
    try:
        yield
    finally:
        usage.tag_callbacks = kept


@contextlib.contextmanager
def _pending(parallel: int) -> Iterator[None]:
    """Let Tune hold as many trials that wait for an actor as may run (ray#46965)."""
    name = "TUNE_MAX_PENDING_TRIALS_PG"
    kept = os.environ.get(name)
    os.environ[name] = str(parallel)
    try:
        yield
    finally:
        if kept is None:
            del os.environ[name]
        else:
            os.environ[name] = kept
