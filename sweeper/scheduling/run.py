"""Run a sweep: one call that starts it, resumes it or extends it.

    lock the folder → compare the spec → open the ledger → tell the outbox what it knows
      → Ray → trials until the budget is spent and the best are confirmed → the winner's final score
      → what has come of it (`conclusion`) → drain the outbox

There is no other way in: opening the ledger settles what a killed driver left, and a sweep that has
nothing left to do ends at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.bucket.place import began_at_home, check_place
from sweeper.changed_meanings import known, reread
from sweeper.errors import StudyAway, Superseded, SweeperError, UserError
from sweeper.foreign_parts import ForeignParts
from sweeper.home import Home, Request, SweepFolder
from sweeper.permissions import private
from sweeper.provenance.run_record import Kept, Start, keep_run
from sweeper.scheduling.closing import Ending, closing, gave_out, patience, told_of, unwritten
from sweeper.scheduling.cluster.connecting import environment, growth
from sweeper.scheduling.cluster.room import Room
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.conducting.requests import Requests
from sweeper.scheduling.conducting.sharing import Sharing
from sweeper.scheduling.conducting.steering import Steering, by_control_file
from sweeper.scheduling.final_score import Scoring
from sweeper.scheduling.machines.eviction import notices_asked_for
from sweeper.scheduling.published import Published, conductor_with, publishing, taken_in
from sweeper.scheduling.recording.events import (
    Listener,
    Loss,
    Noted,
    Outcome,
    PhaseChanged,
    SweepEnded,
    SweepStarted,
    SweepState,
)
from sweeper.scheduling.recording.recorder import Recorder, resolved
from sweeper.scheduling.recording.spec_files import going_on, keep_spec, make_way
from sweeper.scheduling.recording.wires import Wires, recording
from sweeper.scheduling.tune_loop import Tuning
from sweeper.scheduling.working.machine_checks import Mark
from sweeper.scheduling.working.trainable import Factory, build_training
from sweeper.search.driver_lock import sole_driver
from sweeper.search.ledger import Ledger
from sweeper.standings.confirming import most_replicates
from sweeper.standings.forecast import forecast_of
from sweeper.standings.verdict import verdict_in_words
from sweeper.sweepfile.load import read_stored
from sweeper.sweepfile.model import Sweep
from sweeper.tracking.address import tracking_uri
from trials.part import using
from trials.temporary import remove_leftovers

if TYPE_CHECKING:
    from sweeper.scheduling.recording.conclusion import Results

BEAT_EVERY = 1.0
"""Seconds between two signs of life."""


def run(
    sweep: Sweep,
    home: Home,
    *,
    events: Listener | None = None,
    factory: Factory | None = None,
    source: Path | None = None,
    record: bool = True,
    report: bool = True,
    adopt: bool = False,
    retry_failed: Collection[str] = (),
    unpause: bool = False,
    accept_protocol: bool = False,
    steering: Steering | None = None,
    take_over: bool = False,
    start: Start | None = None,
) -> Outcome:
    """Run `sweep` in `home` until it is done or stopped by the user.

    `events` hears what happens. `factory` makes the trainings (real ones by default). `source` is
    its file, kept beside it. `adopt` takes the study over where another home has driven it so far.
    `record` says whether MLflow is told, `report` whether the `conclusion` is written when no more
    trials will run. Trials that failed through no fault of their own are tried again, and those
    that failed by a (curable) cause in `retry_failed`. A sweep that was paused before is told to
    be, and starts no trials until it is resumed: with `unpause`, now. `accept_protocol` lets the
    sweep go on where it would be measured by another protocol than so far: what was measured before
    is compared with nothing that follows. `steering` says what is asked of it meanwhile, by default
    the control file in its folder. `take_over` ends an earlier driver of it, frozen or cut off;
    with `adopt` only its hold of a database. `start` is the command behind it.

    What goes wrong once it runs is an Outcome with state `failed`, and can be resumed.

    Raises:
        UserError: it cannot run: SpecConflict, AnotherHome, RecordedElsewhere, a cluster too small.
        SweepBusy: another process runs it.
        ProtocolChanged: its study has values of several protocols, which nobody has accepted.
        LedgerError, BucketError: its study is damaged, or its bucket refuses or does not answer.
        TrackingError: its outbox is damaged, or MLflow's address cannot be used.
    """
    notices_asked_for()  # what cannot be understood is refused before anything is begun
    room = Room(sweep.resources, growth())
    folder = home.sweep(sweep.name)
    usable = check_place(folder)
    uri = tracking_uri(home.path, sweep.tracking.uri) if record else None
    make_way(sweep, home, folder, events)
    alone = sole_driver(sweep.name, take_over=take_over or adopt)
    lock = folder.lock(take_over=take_over)
    with using({"parts": sweep.parts}), private(home.path), lock, alone, environment():
        _make_tidy(home, folder)
        begun = read_stored(folder.spec_json) if folder.exists() else None
        sweep = going_on(sweep, folder, begun)
        ledger = Ledger.open(sweep, folder, adopt=adopt, accept_protocol=accept_protocol)
        keep_spec(sweep, folder, source, begun)  # only now: the study is this home's
        foreign = ForeignParts.of(sweep)
        made_of = keep_run(sweep, folder, foreign, start)
        ledger.retry(retry_failed)
        asked = steering or by_control_file(folder, unpause)
        with recording(uri, home, folder, foreign) if uri else contextlib.nullcontext() as wires:
            given = (sweep, home, folder, ledger, foreign, made_of, wires, usable, room)
            return _Run(*given, events, report, asked, factory).through()


class _Run:
    def __init__(
        self,
        sweep: Sweep,
        home: Home,
        folder: SweepFolder,
        ledger: Ledger,
        foreign: ForeignParts,
        made_of: Kept,
        wires: Wires | None,
        usable: str,
        room: Room,
        events: Listener | None,
        report: bool,
        steering: Steering,
        factory: Factory | None,
    ) -> None:
        self._report = report
        self._sweep = sweep
        self._home = home
        self._folder = folder
        self._ledger = ledger
        self._foreign = foreign
        self._made_of = made_of
        self._wires = wires
        self._usable = usable
        self._room = room
        self._published: Published | None = None
        self._tell: Listener = events or (lambda event: None)
        self._steering = steering
        self._next_beat = 0.0
        self._lost: Loss = ""
        self._requests = Requests(steering)
        self._factory = factory or build_training
        self._resolve = resolved if factory is None else dict  # a caller's own configs are not ours
        outbox = wires.outbox if wires else None
        self._recorder = Recorder(sweep, folder, outbox, self._resolve, foreign)

    def through(self) -> Outcome:
        afar = publishing(self._folder, self._ledger, self._usable)
        with self._requests.listening(), afar as self._published:
            self._begin()
            conductor = conductor_with(
                self._published,
                *(self._sweep, self._folder, self._ledger, self._recorder, self._tell),
                nodes=self._room.names_in_time,
                sharing=Sharing(
                    *(self._sweep, self._folder, self._resolve),
                    machines=lambda: list(self._room.machines().values()),
                    to_come=self._room.to_come,
                ),
            )
            try:
                state, message = self._drive(conductor)
            except UserError:
                raise
            except Superseded as error:
                return self._give_way(str(error))
            except Exception as error:
                told = told_of(error)
                if told is None:
                    raise
                if newer := self._ledger.owner.superseded():  # it may have ended our connections
                    return self._give_way(newer)
                if isinstance(error, StudyAway):
                    raise
                state, message = "failed", told
                self._lost = gave_out(error)
            with contextlib.suppress(SweeperError):  # the first failure is the one to tell
                conductor.interrupt_all()
            return self._end(conductor, state, message)

    def _drive(self, conductor: Conductor) -> Ending:
        """Have the trials run, and say how that ended."""
        self._requests.have_obeyed(conductor.obey)
        self._say_if_paused(conductor)
        bucket = self._published.address if self._published else ""
        # A machine that sees no folder of the home has caches of its own.
        cache = None if bucket else self._home.cache
        scoring = Scoring(
            *(self._sweep, self._folder, self._ledger, self._recorder, cache),
            *(self._tell, self._foreign.parts, bucket),
        )
        tuning = Tuning(
            self._sweep,
            conductor,
            self._requests,
            scratch=self._folder.path / ".tune",
            cache=cache,
            mark=Mark.leave(self._folder, self._foreign, bucket),
            room=self._room,
            parts=self._foreign.parts,
            run=self._made_of.digest,
            factory=self._factory,
            notices=notices_asked_for(),
            note=self._note,
            look=lambda: self._look(conductor),
            afterwards=scoring.run,
        )
        if not conductor.finished or (conductor.complete and scoring.due()):
            tuning.run()
        told = scoring.message  # of what went wrong with it
        state, message = closing(
            *(conductor, self._ledger.trials()),
            signalled=bool(self._requests.interrupts or self._requests.ended_by),
            cancelled=tuning.now,
            unscored=scoring.unscored() if conductor.complete and not told else "",
        )
        if conductor.halting.limited and state == "stopped":
            left = forecast_of(self._ledger.standings()).in_words()
            message += f"; what is left: {left}"
        return state, message or told

    def _give_way(self, message: str) -> Outcome:
        """End without a word to MLflow and without a report: a newer driver sees to both."""
        self._tell(SweepEnded("failed", message, time.time()))
        standings, how = self._ledger.standings(), self._requests.ended_by
        return Outcome("failed", message, self._folder.path, standings, None, how)

    def _begin(self) -> None:
        sweep, records = self._sweep, self._ledger.trials()
        self._recorder.sweep_started(self._ledger.identity)
        self._recorder.made_of(self._made_of)
        self._recorder.replay(self._ledger)
        self._tell(
            SweepStarted(
                sweep=sweep,
                folder=self._folder.path,
                budget=(budget := self._ledger.plan()) or 0,
                replicates=most_replicates(self._ledger.standings(), budget),
                resumed=bool(records),
                trials=tuple(records),
                protocol=self._ledger.measuring.protocol,
                time=time.time(),
                accepted=self._ledger.measuring.accepted,
            )
        )
        self._note(self._wires.moved if self._wires else "")
        if not records and (learned := self._ledger.learned):
            self._note(f"the sampler learns from {learned}")
        self._note(began_at_home(self._folder))
        if records:
            self._note(self._foreign.changes(self._ledger.foreign_parts))
            self._note(reread(sweep, self._ledger.readings))
        self._ledger.accompanied_by(self._foreign.as_dict(), known(sweep))

    def _note(self, told: str) -> None:
        if told:
            self._tell(Noted(told, time.time()))

    def _say_if_paused(self, conductor: Conductor) -> None:
        """Tell of a pause that has outlived its driver before anything is waited for."""
        if self._requests.written() is Request.PAUSE and not conductor.finished:
            name = self._sweep.name
            self._note(
                f"{name} was paused in an earlier run: no trial starts until `sweeper resume "
                f"{name}{self._home.flag}`; run it with --resume to do both at once"
            )

    def _look(self, conductor: Conductor) -> None:
        if self._wires is not None:
            self._wires.writer.ensure_alive()
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT_EVERY
            self._steering.beat(conductor.pulse)

    def _end(self, conductor: Conductor, state: SweepState, message: str) -> Outcome:
        results: Results | None = None
        try:
            conductor.meter.keep()
            self._steering.beat(conductor.pulse)  # of the last ends, which no regular one tells
            lacking = taken_in(conductor, patience(state))
            if self._report:
                # Matplotlib takes a second, for which no trial need wait.
                from sweeper.scheduling.recording.conclusion import conclude

                self._tell(PhaseChanged("finishing", "writing the report", time.time()))
                results = conclude(
                    self._sweep, self._folder, self._ledger, state=state, recorder=self._recorder
                )
            if conductor.complete:
                conductor.keeping.settle()
                lacking = taken_in(conductor, patience(state))
            verdict = verdict_in_words(results.standings) if results else ""
            self._recorder.sweep_ended(state, "\n\n".join(filter(None, (verdict, message))))
            message = "\n".join(filter(None, (message, lacking, self._drain(state))))
        except StudyAway:
            raise
        except Exception as error:
            told = unwritten(error) if isinstance(error, OSError) else told_of(error)
            if told is None:
                raise
            if state != "failed":
                state, message = "failed", told
                self._lost = gave_out(error)
        self._tell(SweepEnded(state, message, time.time()))
        standings = results.standings if results else self._ledger.standings()
        how = self._requests.ended_by, self._lost
        return Outcome(state, message, self._folder.path, standings, results, *how)

    def _drain(self, state: SweepState) -> str:
        if self._wires is None:
            return ""
        self._tell(PhaseChanged("finishing", "sending the last records to MLflow", time.time()))
        asked = self._requests.asked_so_far
        left = self._wires.writer.drain(
            patience(state),
            enough=lambda: self._requests.asked_so_far != asked,
        )
        return left.advice(self._sweep.name + self._home.flag) if left else ""


def _make_tidy(home: Home, folder: SweepFolder) -> None:
    """Make the sweep's folder, and remove what killed processes have left unfinished in it, and
    beside all of them."""
    folder.create()
    remove_leftovers(folder.path)
    for shared in (home.path, home.cache):
        remove_leftovers(shared, below=False)
