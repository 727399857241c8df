"""Drivers without Ray: a sweep whose trials are trained one after another by its own process.

python -m tests.service.rayless SWEEP_ID ATTEMPT     a driver, as the dispatcher starts it
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from sweeper.home import Home, Request
from sweeper.scheduling.closing import closing
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.conducting.requests import Requests
from sweeper.scheduling.conducting.steering import Steering
from sweeper.scheduling.recording.events import Listener, Outcome, SweepEnded, SweepStarted
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.recording.spec_files import keep_spec
from sweeper.scheduling.working.messages import REHEARSAL, Report, Work
from sweeper.search.ledger import Ledger
from sweeper.service.driving.drive import drive
from sweeper.service.settings import database_url
from sweeper.service.state.database import Database
from sweeper.sweepfile.model import Sweep
from tests.fakes import FakeTraining


def run(
    sweep: Sweep, home: Home, *, events: Listener, source: Path, steering: Steering, **_: Any
) -> Outcome:
    """What `sweeper.scheduling.run.run` does, without Ray, MLflow and report."""
    folder = home.sweep(sweep.name)
    with folder.lock():
        folder.create()
        ledger = Ledger.open(sweep, folder)
        keep_spec(sweep, folder, source)
        budget = ledger.plan()
        replicates = sweep.replicates(budget)
        events(
            SweepStarted(
                *(sweep, folder.path, budget or 0, replicates, bool(ledger.trials())),
                *(tuple(ledger.trials()), ledger.measuring.protocol, time.time()),
            )
        )
        conductor = Conductor(sweep, folder, ledger, Recorder(sweep, folder, None), events)
        cancelled = _Workers(conductor, Requests(steering), steering, home).work()
        conductor.interrupt_all()
        conductor.meter.keep()
        state, message = closing(conductor, ledger.trials(), signalled=False, cancelled=cancelled)
        events(SweepEnded(state, message, time.time()))
        return Outcome(state, message, folder.path, ledger.standings())


class _Workers:
    def __init__(
        self, conductor: Conductor, requests: Requests, steering: Steering, home: Home
    ) -> None:
        self._conductor = conductor
        self._requests = requests
        self._steering = steering
        self._home = home
        self._at_work: dict[int, FakeTraining | None] = {}

    def work(self) -> bool:
        """Until all is done or stopped; whether it was cancelled."""
        while not self._conductor.finished:
            asked = self._requests.written()
            if asked is Request.CANCEL:
                return True
            if asked is Request.STOP:
                self._conductor.halting.stop("no_new", "stopped on request")
            self._conductor.halting.pause(asked is Request.PAUSE)
            self._conductor.within(self._requests.limits())
            self._conductor.lease(self._requests.parallel())
            self._requests.have_obeyed(self._conductor.obey)
            while (work := self._conductor.next_work()) is not None:
                self._begin(work)
            for number, training in list(self._at_work.items()):
                self._go_on(number, training)
            self._conductor.look()
            self._steering.beat(self._conductor.pulse)
            if not self._at_work:
                time.sleep(0.05)
        return False

    def _begin(self, work: Work) -> None:
        self._conductor.started(work.number)
        if work.number == REHEARSAL:
            self._at_work[REHEARSAL] = None
            return
        training = FakeTraining(work.config, Path(work.folder), self._home.cache)
        self._at_work[work.number] = training
        if training.restore():
            missed = tuple(one for one in training.history if one.step not in work.recorded)
            self._report(work.number, Report(missed, training.finished))

    def _go_on(self, number: int, training: FakeTraining | None) -> None:
        if training is None:
            self._report(number, Report(finished=True))
        else:
            self._report(number, Report((training.advance(),), training.finished))

    def _report(self, number: int, report: Report) -> None:
        if (report.evaluations or report.finished) and self._conductor.heard(number, report):
            del self._at_work[number]


if __name__ == "__main__":
    home = Home.at()
    sys.exit(drive(Database(database_url(home)), home, sys.argv[1], int(sys.argv[2]), run))
