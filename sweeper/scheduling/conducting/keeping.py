"""What stays of a sweep's trials, and what is let go of while it goes on.

Files of trials that are over go as the sweep file's `keep` has it (`standings.kept`). What trials
keep for one another (population based training) goes once nobody of this search can ask for it any
more: a trial asks for what was kept of the milestone that it has just reached, so that goes when
the search has all its trials and each of them has come past it, or has ended. A sweep may be
extended: so of each milestone those of the best stay, as many as `keep` leaves checkpoints, and the
study says which. What a trial took over last stays as long as it runs: it may lose what it had
since. In a bucket all that goes when the sweep has ended, since a trial's worker alone writes
there.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from sweeper.bucket.copies import give_up_published, published_in
from sweeper.home import SweepFolder
from sweeper.retention import going, let_go
from sweeper.scheduling.conducting.hand_out import HandOut
from sweeper.scheduling.recording.recorder import Recorder
from sweeper.scheduling.working.messages import KEPT_FOLDER
from sweeper.search.ledger import Ledger
from sweeper.standings.kept import kept_in
from sweeper.sweepfile.sections import Keep
from sweeper.trial import Trial
from trials.state.names import CHECKPOINT, NEWEST_CHECKPOINT

OFTEN = 50
"""Who is among the best is worked out anew when one of so many that have completed is new: after
every single one it would take longer and longer."""


class Keeping:
    """What one sweep's trials keep. Files go after MLflow's outbox has it that they do, so that a
    kill leaves none in MLflow for ever; those that it leaves here the next driver finds."""

    def __init__(
        self, keep: Keep, folder: SweepFolder, ledger: Ledger, recorder: Recorder, trials: HandOut
    ) -> None:
        self._keep = keep
        self._folder = folder
        self._ledger = ledger
        self._recorder = recorder
        self._scheduler = ledger.scheduler
        self._trials = trials
        self._passed = 0.0
        self._kept = kept_in(ledger.standings(), keep, settled=False)
        self._holding: dict[int, Trial] = {}
        """Trials with a final value that have files which may have to go yet."""
        self._completed = self._new = 0

    def begin(self) -> None:
        """Let go of what an earlier driver did not come to."""
        for trial in self._ledger.trials():
            if trial.over:
                self._take(trial)
        self._sort_out(settled=False)
        self.look()

    def ended(self, trial: Trial) -> None:
        """The trial is over."""
        self._take(trial)
        if self._new * OFTEN > self._completed:
            self._sort_out(settled=False)

    def came(self, trial: Trial) -> None:
        """The trial is over, and more of what it has is known."""
        self._apply(trial)

    def settle(self) -> None:
        """The sweep has come to its end, so that its best are decided."""
        self._sort_out(settled=True)
        self.look()  # that the search has no more to ask may have come to light since the last
        if self._scheduler.kept is None:
            return
        there = {
            trial.number: _published(self._folder.trial(trial.number))
            for trial in (self._ledger.trials() if self._folder.bucket.exists() else ())
            if trial.over
        }
        steps = {step for kept in there.values() for step in kept.values() if step is not None}
        leaves = self._leaving(steps)
        for number, kept in there.items():
            names = [name for name, step in kept.items() if step is None or leaves(number, step)]
            give_up_published(self._folder.trial(number), names)

    def _take(self, trial: Trial) -> None:
        if trial.state == "completed":
            self._completed += 1
            self._new += 1
            self._holding[trial.number] = trial
        else:
            self._apply(trial)  # without a final value it is not among the best

    def _sort_out(self, *, settled: bool) -> None:
        self._new = 0
        self._kept = kept_in(self._ledger.standings(), self._keep, settled=settled)
        for number, trial in list(self._holding.items()):
            self._apply(trial)
            if not any(best is not None and number in best for best in self._kept):
                del self._holding[number]  # what it has now, it has for good

    def _apply(self, trial: Trial) -> None:
        folder = self._folder.trial(trial.number)
        if files := going(folder, trial, self._kept, self._keep):
            self._recorder.let_go(trial.number, [file.name for file in files])
            let_go(folder, files, self._keep)
        stay = self._kept.checkpoints
        if stay is None or trial.number in stay:
            self._recorder.stays(trial.number, CHECKPOINT)

    def look(self) -> None:
        """Remove what is kept for nobody."""
        if self._scheduler.kept is None or not self._trials.has_asked_all:
            return
        interval, _ = self._scheduler.kept
        unfinished = self._trials.unfinished
        steps = map(self._scheduler.decided, unfinished)
        passed = min((step // interval for step in steps), default=math.inf)
        if passed == self._passed:
            return
        self._passed = passed  # fewer than before, where one was asked for or begins anew
        taken = {self._scheduler.donor(number) for number in unfinished}
        there = [one for one in self._places() if one[1] // interval <= passed]
        leaves = self._leaving({step for _, step, _ in there})
        for number, step, place in there:
            if leaves(number, step) and (number, step) not in taken:
                # That first, so that a kill leaves no part of it which could be taken for whole.
                for checkpoint in place.glob(f"{NEWEST_CHECKPOINT}*"):
                    checkpoint.unlink(missing_ok=True)
                shutil.rmtree(place, ignore_errors=True)

    def _places(self) -> Iterator[tuple[int, int, Path]]:
        """(trial, its step, where) of each checkpoint that is kept here for others."""
        for place in self._folder.trials.glob(f"*/{KEPT_FOLDER}/*"):
            trial = place.parent.parent.name
            if place.name.isdigit() and trial.isdigit():
                yield int(trial), int(place.name), place

    def _leaving(self, steps: Collection[int]) -> Callable[[int, int], bool]:
        """(trial, its step) → whether what it has kept there is for nobody any more, of those
        `steps` whose milestone all have come past."""
        stay = self._keep.best(self._keep.checkpoints)
        if stay is None or not steps:
            return lambda number, step: False
        with self._ledger.together():
            staying = self._scheduler.settle(steps, stay)
        return lambda number, step: number not in staying[step]


def _published(folder: Path) -> dict[str, int | None]:
    """What a trial has published of what it has kept: the step, or None where that was for itself
    alone."""
    places = {name: name.split("/") for name in published_in(folder)}
    return {
        name: int(parts[1]) if parts[1].isdigit() else None
        for name, parts in places.items()
        if parts[0] == KEPT_FOLDER
    }
