"""A sweep driven without Ray: its workers are played by hand, and report in any order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeper.home import Home
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.conducting.sharing import Sharing
from sweeper.scheduling.machines.avoided import Nodes
from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.recording.events import Event
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.attempts import taken_up
from sweeper.scheduling.working.messages import REHEARSAL, Failure, Report, Work
from sweeper.search.ledger import Ledger
from sweeper.search.samplers.tpe import Tpe
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.resources import Given
from sweeper.sweepfile.sections import Limits
from sweeper.tracking import Outbox
from sweeper.trial import Evaluation, Trial

STEPS = 3
HERE = Place("here", "a node", ("0",))
SWEEP = Sweep(
    name="driven",
    base={"steps": STEPS},
    parameters=(Parameter("x", Range(0.0, 1.0)),),
    search=Tpe.Config(startup_trials=2, start_with_base=False),
)


class Driven:
    """A driver and its workers; `begun` are the trials as they were handed out."""

    def __init__(
        self,
        folder: Path,
        parallel: int,
        trials: int,
        outbox: Outbox | None = None,
        nodes: Nodes = lambda: {HERE.node: HERE.machine},
        machine: Given | None = None,
        **changes: Any,
    ) -> None:
        spec = replace(SWEEP, **{"limits": Limits(trials=trials, parallel=parallel), **changes})
        self.place = place = Home.at(folder).sweep(spec.name)
        place.create()
        self.ledger = Ledger.open(spec, place)
        self.heard: list[Event] = []
        recorder = Recorder(spec, place, outbox)
        sharing = Sharing(spec, place, machines=lambda: [machine or Given()])
        self.conductor = Conductor(
            spec, place, self.ledger, recorder, self.heard.append, nodes, sharing
        )
        self.places: dict[int, Place] = {}
        """Where workers train, by number of the trial; `HERE` where it is not named."""
        self.at_work: dict[int, Work] = {}
        self.begun: list[int] = []

    def hand_out(self) -> None:
        """Workers take up whatever they are given."""
        while (work := self.conductor.next_work()) is not None:
            self.conductor.started(work.number)
            with taken_up(Path(work.room), self.places.get(work.number, HERE)):
                pass  # it has said where it is
            self.at_work[work.number] = work
            if work.number != REHEARSAL:
                self.begun.append(work.number)

    def begin(self) -> None:
        """Up to the first trials, which are at work afterwards."""
        self.hand_out()
        if REHEARSAL in self.at_work:
            self.report(REHEARSAL)
            self.hand_out()

    def report(self, number: int) -> None:
        """The worker of a trial has trained up to its next evaluation."""
        report = Report(finished=True)
        if number != REHEARSAL:
            step = self.steps(number) + 1
            measured = {"fid": self.value(number, step)}
            report = Report((Evaluation(step, float(step), measured),), step == STEPS)
        self._tell(number, report)

    def value(self, number: int, step: int) -> float:
        """What the worker of a trial measures at this step."""
        return (float(self.at_work[number].config["x"]) - 0.3) ** 2 + 1 / step

    def fail(self, number: int, symptom: str = "error", reason: str = "ValueError: no") -> None:
        """Its training raises."""
        self._tell(number, Report(finished=True, failure=Failure(symptom, reason)))

    def leave(self, number: int) -> None:
        """Its training saves itself between two evaluations, to go on elsewhere."""
        self._tell(number, Report(left="its machine goes"))

    def steps(self, number: int) -> int:
        """The step that the study has of a trial."""
        return self.ledger.trial(number).steps

    def to_the_end(self) -> list[Trial]:
        """All of it, with no lease."""
        self.conductor.lease(None)
        while not self.conductor.finished:
            self.hand_out()
            self.report(min(self.at_work))
        return self.ledger.trials()

    def _tell(self, number: int, report: Report) -> None:
        if self.conductor.heard(number, report):
            del self.at_work[number]
