"""The ledger: one Optuna study a sweep, the only truth about which trials exist.

    ask        RUNNING, with its configuration
    started    one more attempt, each time a worker takes the trial up
    report     all that was measured at a step, then the objective as intermediate value
    complete, prune, fail
               what is about to be told, then the study is told

Each of these is one write, or several in an order that lets `open` finish what a kill cut short:
a trial asked without its configuration is drawn again under the same number, a value measured but
not reported is reported, an end written but not told is told. What is RUNNING after that was
truly interrupted, and goes on from its checkpoint. `attributes` lists the attributes.

Before every write the ledger looks whether its driver is still the study's (`owner`). Entries of
other people (`foreign`) are never written, but for an enqueued point that is taken up or refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from typing import Any, Self

from optuna.trial import FrozenTrial, TrialState

from sweeper.home import Home, SweepFolder
from sweeper.search import attributes
from sweeper.search.attributes import finite, translated
from sweeper.search.budget import budget_of
from sweeper.search.foreign_entry import ForeignEntry
from sweeper.search.measuring import Measuring
from sweeper.search.mishaps import Mishaps
from sweeper.search.opening import Opened, open_study
from sweeper.search.proposer import Proposer
from sweeper.search.reader import StudyReader
from sweeper.search.scheduler import Scheduler
from sweeper.search.study_attributes import BUDGET
from sweeper.search.wishes import Wishes
from sweeper.standings.usage import Usage
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.resources import Given
from sweeper.sweepfile.sections import Limits
from sweeper.trial import Evaluation, FinalScore, Trial


class Ledger(StudyReader):
    """The study of one sweep as its one driver writes it."""

    def __init__(self, sweep: Sweep, opened: Opened, *, accept_protocol: bool = False) -> None:
        study, storage = opened.study, opened.storage
        super().__init__(sweep, study, storage)
        self.identity = opened.identity
        """What names this study for ever, also beside others of its name on a shared server."""
        self.measuring = Measuring(study, storage, self._entries, accept=accept_protocol)
        self.scheduler = Scheduler(sweep, study, self._entries, self.measuring)
        self._storage = storage
        self._journal = opened.journal
        self.owner = opened.owner
        self._proposer = Proposer(sweep, study, storage, self._entries, self.measuring)
        self._steps: dict[int, set[int]] = {}
        self.mishaps = Mishaps(self._entries, self.together)
        self.wishes = Wishes(sweep, study, self._entries, self.together, self._learn)

    @classmethod
    def open(
        cls,
        sweep: Sweep,
        folder: SweepFolder,
        storage: str | None = None,
        *,
        adopt: bool = False,
        accept_protocol: bool = False,
        home: Home | None = None,
    ) -> Self:
        """Open the sweep's study for writing, made first where it is missing.

        The caller holds the folder's lock. `storage` is a database URL or `storage.JOURNAL`, by
        default $SWEEPER_STORAGE, and without that the journal in the folder. `adopt` takes the
        study over where another home has driven it so far; `accept_protocol` lets another protocol
        take the place of the sweep's, once. `home` is where the sweeps are that it learns from, by
        default that of the folder.

        Raises:
            LedgerError: the study cannot be read or written, or is gone.
            ProtocolChanged: it has values of several protocols, which nobody has accepted.
            SpecConflict: it belongs to another sweep.
            SpecError: it cannot learn from what its file names.
            AnotherHome: it is driven from another home.
            UserError: the storage's address is none, or its driver is not installed.
        """
        with translated(folder.path):
            here = home or Home(folder.path.parent)
            opened = open_study(sweep, folder, storage, here, adopt=adopt)
            ledger = cls(sweep, opened, accept_protocol=accept_protocol)
            ledger._finish_what_was_cut_short()
            for trial in ledger._entries.all():
                ledger._learn(trial)
        return ledger

    def _finish_what_was_cut_short(self) -> None:
        for trial in self._entries.all(TrialState.RUNNING):
            if "config" not in trial.user_attrs:
                self._proposer.finish(trial)
                continue
            if trial.user_attrs.get(attributes.ANEW) and "end" not in trial.user_attrs:
                self._entries.begin_anew(attributes.number_of(trial))
                continue
            for step, value in attributes.unreported(trial, self.sweep.objective):
                self._storage.set_trial_intermediate_value(trial._trial_id, step, value)
            if "end" in trial.user_attrs:
                self._tell(trial, trial.user_attrs["end"])

    @contextmanager
    def together(self, *, waits: bool = True) -> Iterator[None]:
        """What is written in this block is written by the study's one driver, and reaches the disk
        at once, where the storage can do that; the block `waits` for that.

        Raises:
            Superseded: another driver has taken the study up.
            LedgerError: the study cannot be written.
        """
        with translated(), self._journal.together(waits=waits) if self._journal else nullcontext():
            self.owner.check()
            yield

    # Handing out trials

    def interrupted(self) -> list[Trial]:
        """Trials that have not ended and that no worker runs now, in the order of their numbers."""
        return [attributes.trial_of(trial) for trial in self._entries.all(TrialState.RUNNING)]

    def ask(self) -> Trial | None:
        """The search's next trial; None when the grid has no further point."""
        with self.together():
            return self._proposer.ask()

    def ask_replicate(self, of: int, seed: int) -> Trial:
        """A trial that repeats the configuration of trial `of` with another seed."""
        with self.together():
            return self._proposer.ask_replicate(of, seed)

    def refusals(self) -> list[ForeignEntry]:
        """Enqueued points that have been refused since this was last asked."""
        told, self._proposer.refused = self._proposer.refused, []
        return told

    def started(self, number: int, given: Given | None = None) -> int:
        """A worker that was `given` a share has taken the trial up. Returns how often one has."""
        attempts = int(self._entries.get(number).user_attrs.get("attempts", 0)) + 1
        with self.together(waits=False):  # without it the trial is handed out once more, no worse
            self._entries.set(number, "attempts", attempts)
            if given is not None:
                self._entries.set(number, "given", asdict(given))
        return attempts

    def ended_by_others(self, number: int) -> bool:
        """Whether another program has ended the trial: it is the sweep's no longer."""
        entry = self._entries.get(number)
        return entry.state.is_finished() and "end" not in entry.user_attrs

    def begin_anew(self, number: int) -> None:
        """The trial will be trained from its beginning, as it was asked."""
        with self.together():
            self._entries.begin_anew(number)
            self._learn(self._entries.get(number))

    def retry(self, also: Collection[str] = ()) -> list[int]:
        """Have trials that failed tried again (`Wishes.retry_failed`)."""
        return self.wishes.retry_failed(also)

    # Following trials

    def noted(self, number: int, note: str) -> None:
        """Write down a sentence that a reader of the trial should know, once."""
        self._entries.note(number, note)

    def report(self, number: int, evaluation: Evaluation) -> bool:
        """Write down an evaluation. False if that step of that trial was known already.

        Raises:
            ProtocolChanged: it was measured by another protocol than the sweep; nothing is written.
        """
        with self.together():
            return self._report(number, evaluation)

    def _report(self, number: int, evaluation: Evaluation) -> bool:
        trial, step = self._entries.get(number), evaluation.step
        known = step in self._steps.get(number, ())
        if trial.state.is_finished() or (known and attributes.has(trial, evaluation)):
            return False
        if self.measuring.admit(number, evaluation.protocol):
            for entry in self._entries.all():
                self._learn(entry)
        protocol = trial.user_attrs.get("protocol") or dict(evaluation.protocol)
        if protocol and not trial.user_attrs.get("protocol"):
            self._entries.set(number, "protocol", protocol)
        settled = self.scheduler.settled(trial, step)
        written = attributes.entry_of(evaluation, protocol, settled)
        self._entries.set(number, f"{attributes.STEP}{step}", written)
        if trial.user_attrs.get(attributes.ANEW):
            self._entries.set(number, attributes.ANEW, None)
        value = evaluation.metrics.get(self.sweep.objective[0].metric)
        if value is not None and finite(value) and len(self.sweep.objective) == 1:
            self._storage.set_trial_intermediate_value(trial._trial_id, step, float(value))
        self._learn(self._entries.get(number))
        return True

    # Ending trials

    def complete(self, number: int, values: Sequence[float]) -> None:
        """The trial reached its last step; `values` are finite, one an objective."""
        self._end(number, {"state": "completed", "values": [float(value) for value in values]})

    def prune(self, number: int, cause: str, reason: str) -> None:
        """The trial was stopped before its end: by the scheduler, or for a mild symptom."""
        self._end(number, {"state": "pruned", "symptom": cause, "reason": reason})

    def fail(self, number: int, cause: str, reason: str, log_tail: str = "") -> None:
        """The trial came to nothing: it has no score, whatever was measured on the way."""
        end = {"state": "failed", "symptom": cause, "reason": reason, "log": log_tail}
        self._end(number, end)

    def _end(self, number: int, end: dict[str, Any]) -> None:
        trial = self._entries.get(number)
        if trial.state.is_finished():
            return
        with self.together():
            self._entries.set(number, "end", end)
            self._tell(trial, end)

    def _tell(self, trial: FrozenTrial, end: Mapping[str, Any]) -> None:
        if end["state"] == "completed":
            self._study.tell(trial.number, list(end["values"]))
        else:
            pruned = end["state"] == "pruned"
            self._study.tell(trial.number, state=TrialState.PRUNED if pruned else TrialState.FAIL)

    def scored(self, number: int, score: FinalScore) -> None:
        """The trial has won, and its generator was measured on fresh noise. It may be over: what
        is known of it afterwards belongs to the study, since Optuna closes a trial that ended."""
        with self.together():
            self._study.set_user_attr(f"{attributes.FINAL}{number}", asdict(score))

    # The sweep as a whole

    @property
    def budget(self) -> int | None:
        """How many trials there will be before any confirmation; None where that is not known."""
        return budget_of(self.sweep)

    def plan(self) -> int | None:
        """The `budget`, also written down for readers (`planned`)."""
        if (budget := self.budget) != self.planned:
            with self.together():
                self._study.set_user_attr(BUDGET, budget)
        return budget

    def within(self, limits: Limits) -> None:
        """The sweep has these limits from now on."""
        self.sweep = replace(self.sweep, limits=limits)

    def accompanied_by(self, foreign: Mapping[str, str], readings: Mapping[str, int]) -> None:
        """Write down whose parts the sweep runs with from now on, and how its settings are read."""
        if (foreign, readings) != (self.foreign_parts, self.readings):
            with self.together():
                self._study.set_user_attr("company", dict(foreign))
                self._study.set_user_attr("readings", dict(readings))

    def use(self, used: Usage) -> None:
        """Write down what the sweep has used so far."""
        with self.together():
            self._study.set_user_attr("used", used.as_dict())

    def _learn(self, trial: FrozenTrial) -> None:
        """Keep what is known of a trial, so that nothing is read twice."""
        self._steps[attributes.number_of(trial)] = set(attributes.evaluations(trial.user_attrs))
        self.scheduler.learn(trial)
