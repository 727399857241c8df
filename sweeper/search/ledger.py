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
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any, Literal, Self

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from sweeper.errors import SpecConflict
from sweeper.home import SweepFolder
from sweeper.search import attributes
from sweeper.search.attributes import finite, translated
from sweeper.search.journal import Journal, mend
from sweeper.search.proposer import Proposer
from sweeper.search.sampler_view import SamplerView
from sweeper.search.stopping_rule import StoppingRule, TakeOver
from sweeper.search.storage import STORAGE_VARIABLE as STORAGE_VARIABLE
from sweeper.search.storage import load_study, open_storage, storage_exists
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Evaluation, FinalScore, Trial

Importance = Literal["ped_anova", "fanova"]

FANOVA_TRIALS = 250
"""Trials that fANOVA looks at: a second for so many with 20 parameters, minutes for 10,000."""


class Ledger:
    """The study of one sweep: written by its one driver, read by anyone."""

    def __init__(
        self,
        sweep: Sweep,
        study: optuna.Study,
        storage: BaseStorage,
        journal: Journal | None = None,
    ) -> None:
        self.sweep = sweep
        self.study = study
        self._storage = storage
        self._journal = journal
        self._desk = Proposer(sweep, study, storage)
        self._rule = StoppingRule.of(sweep)
        self._ids: dict[int, int] = {}
        self._curves: dict[int, dict[int, float]] = {}
        self._steps: dict[int, set[int]] = {}

    @classmethod
    def open(cls, sweep: Sweep, folder: SweepFolder, storage: str | None = None) -> Self:
        """Open the sweep's study for writing, made first where it is missing.

        The caller holds the folder's lock. `storage` is a database URL or `storage.JOURNAL`, by
        default $SWEEPER_STORAGE, and without that the journal in the folder.

        Raises:
            LedgerError: the study cannot be read or written.
            SpecConflict: it belongs to another sweep.
            UserError: the storage's address is none, or its driver is not installed.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with translated(folder.path):
            mend(folder.study_journal)
            place, journal = open_storage(folder, storage)
            if sweep.name not in optuna.get_all_study_names(place):
                directions = [objective.goal for objective in sweep.objective]
                optuna.create_study(storage=place, study_name=sweep.name, directions=directions)
            study = load_study(sweep, place)
            known = study.user_attrs.get("fingerprint")
            if known is None:
                study.set_user_attr("fingerprint", sweep.fingerprint)
            elif not sweep.answers_to(known):
                raise SpecConflict(
                    f"the study {sweep.name!r} belongs to a sweep with another search space, base "
                    "or objective; give this one another name"
                )
            ledger = cls(sweep, study, place, journal)
            ledger._finish_what_was_cut_short()
            for trial in ledger._all():
                ledger._learn(trial)
        return ledger

    @classmethod
    def open_readonly(
        cls, sweep: Sweep, folder: SweepFolder, storage: str | None = None
    ) -> Self | None:
        """Open the study while another process may be writing it. None where there is none yet."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if not storage_exists(folder, storage):
            return None
        with translated(folder.path):
            place, _ = open_storage(folder, storage)
            known = sweep.name in optuna.get_all_study_names(place)
            return cls(sweep, load_study(sweep, place), place) if known else None

    def _finish_what_was_cut_short(self) -> None:
        for trial in self._all(TrialState.RUNNING):
            if "config" not in trial.user_attrs:
                self._desk.redraw(trial)
                continue
            for step, value in attributes.unreported(trial, self.sweep.objective):
                self._storage.set_trial_intermediate_value(trial._trial_id, step, value)
            if "end" in trial.user_attrs:
                self._tell(trial, trial.user_attrs["end"])

    def together(self) -> AbstractContextManager[None]:
        """What is written in this block reaches the disk at once, where the storage can do that."""
        return nullcontext() if self._journal is None else self._journal.together()

    # Handing out trials

    def interrupted(self) -> list[Trial]:
        """Trials that have not ended and that nobody runs now, in the order of their numbers."""
        return [attributes.trial_of(trial) for trial in self._all(TrialState.RUNNING)]

    def ask(self) -> Trial | None:
        """The search's next trial; None when the grid has no further cell."""
        with translated(), self.together():
            return self._desk.ask()

    def ask_replicate(self, of: int, seed: int) -> Trial:
        """A trial that repeats the configuration of trial `of` with another seed."""
        with translated():
            return self._desk.ask_replicate(of, seed)

    def started(self, number: int) -> int:
        """A worker has taken the trial up. Returns how often that has happened."""
        attempts = int(self._trial(number).user_attrs.get("attempts", 0)) + 1
        self._set(number, "attempts", attempts)
        return attempts

    def died(self, number: int) -> int:
        """A worker has died under the trial. How many have since it last got further."""
        trial = self._trial(number)
        reached = max(attributes.evaluations(trial.user_attrs), default=0)
        before = trial.user_attrs.get("deaths", {"count": 0, "step": reached})
        count = before["count"] + 1 if before["step"] == reached else 1
        self._set(number, "deaths", {"count": count, "step": reached})
        return int(count)

    # Following trials

    def report(self, number: int, evaluation: Evaluation) -> bool:
        """Write down an evaluation. False if that step of that trial was known already."""
        with translated(), self.together():
            return self._report(number, evaluation)

    def _report(self, number: int, evaluation: Evaluation) -> bool:
        trial, step = self._trial(number), evaluation.step
        if step in self._steps.get(number, ()) or trial.state.is_finished():
            return False
        protocol = trial.user_attrs.get("protocol", evaluation.protocol)
        if protocol and "protocol" not in trial.user_attrs:
            self._set(number, "protocol", dict(protocol))
        entry = attributes.entry_of(evaluation, protocol)
        self._set(number, f"{attributes.STEP}{step}", entry)
        value = evaluation.metrics.get(self.sweep.objective[0].metric)
        if value is not None and finite(value) and len(self.sweep.objective) == 1:
            self._storage.set_trial_intermediate_value(trial._trial_id, step, float(value))
        self._learn(self._trial(number))
        return True

    def unjudged(self, number: int) -> bool:
        """Whether the scheduler has not had its say at the trial's last evaluation.

        That is so when it has just been reported, and where a kill came between it and the verdict.
        """
        curve = self._curves.get(number)  # a replicate has none
        if not curve or not self._rule.judges:
            return False
        attrs = self._trial(number).user_attrs
        return max(curve) > max((int(attrs.get("judged", 0)), *attributes.donors(attrs)))

    def judged(self, number: int) -> None:
        """The scheduler lets the trial go on from its last evaluation."""
        self._set(number, "judged", max(self._curves[number]))

    def verdict(self, number: int) -> str | None:
        """Why the scheduler would stop the trial at its last evaluation; None to let it go on."""
        return self._rule.verdict(number, self._curves) if self._curves.get(number) else None

    def take_over(self, number: int) -> TakeOver | None:
        """Under population based training: whose checkpoint the trial goes on from, if another's.

        The decision is in the ledger when this returns; from then on `trial` gives the new values.
        The base configuration takes nothing over, since others are measured by it, and is copied
        only where it is a point of the space.
        """
        if self._rule.milestones is None or not self._curves.get(number):
            return None
        if self._trial(number).user_attrs.get("role") == "base":
            return None
        sound = {
            other.number: values
            for other in self._all()
            if other.number in self._curves
            and not attributes.broken(other)
            and (values := attributes.current(other.user_attrs, "values"))
        }
        curves = {other: self._curves[other] for other in sound}
        taken = self._rule.take_over(number, curves, sound)
        if taken is not None:
            entry = {
                "number": taken.donor,
                "step": taken.donor_step,
                "values": taken.draw.values,
                "config": taken.draw.config,
            }
            self._set(number, f"{attributes.DONOR}{max(self._curves[number])}", entry)
        return taken

    def donor(self, number: int) -> tuple[int, int] | None:
        """(trial, its step) of the checkpoint that the trial took over last."""
        donors = attributes.donors(self._trial(number).user_attrs)
        last = donors[max(donors)] if donors else None
        return None if last is None else (last["number"], last["step"])

    @property
    def kept(self) -> tuple[int, int] | None:
        """(interval, grace) of the milestones at which checkpoints are kept for others, if any."""
        marks = self._rule.milestones
        return None if marks is None else (marks.interval, marks.grace)

    # Ending trials

    def complete(self, number: int, values: Sequence[float]) -> None:
        """The trial reached its last step; `values` are finite, one an objective."""
        self._end(number, {"state": "completed", "values": [float(value) for value in values]})

    def prune(self, number: int, symptom: str, reason: str) -> None:
        """The trial was stopped before its end: by the scheduler, or for a mild symptom."""
        self._end(number, {"state": "pruned", "symptom": symptom, "reason": reason})

    def fail(self, number: int, symptom: str, reason: str, log_tail: str = "") -> None:
        """The trial came to nothing: it has no score, whatever was measured on the way."""
        end = {"state": "failed", "symptom": symptom, "reason": reason, "log": log_tail}
        self._end(number, end)

    def _end(self, number: int, end: dict[str, Any]) -> None:
        trial = self._trial(number)
        if trial.state.is_finished():
            return
        with translated(), self.together():
            self._set(number, "end", end)
            self._tell(trial, end)

    def _tell(self, trial: FrozenTrial, end: Mapping[str, Any]) -> None:
        if end["state"] == "completed":
            self.study.tell(trial.number, list(end["values"]))
        elif end["state"] == "pruned":
            self.study.tell(trial.number, state=TrialState.PRUNED)
        else:
            self.study.tell(trial.number, state=TrialState.FAIL)

    def scored(self, number: int, score: FinalScore) -> None:
        """The trial has won, and its generator was measured on fresh noise. It may be over: what
        is known of it afterwards belongs to the study, since Optuna closes a trial that ended."""
        with translated():
            self.study.set_user_attr(f"{attributes.FINAL}{number}", asdict(score))

    # Reading

    def trial(self, number: int) -> Trial:
        """One trial."""
        final = self.study.user_attrs.get(f"{attributes.FINAL}{number}")
        return attributes.trial_of(self._trial(number), final)

    def trials(self) -> list[Trial]:
        """All trials in the order of their numbers."""
        with translated():
            study = self.study.user_attrs
            return [
                attributes.trial_of(one, study.get(f"{attributes.FINAL}{one.number}"))
                for one in self._all()
            ]

    @property
    def budget(self) -> int | None:
        """How many trials there will be before any confirmation; None where that is not known."""
        if self.sweep.is_ablation:
            from sweeper.search.ablation_trials import design_of, seeds_of  # imports SciPy

            design = design_of(self.sweep)
            return len(design.possible) * len(seeds_of(self.sweep))
        return self._desk.budget

    def plan(self) -> int | None:
        """The `budget`, also written down for readers (`planned`)."""
        budget = self.budget
        if budget != self.planned:
            with translated():
                self.study.set_user_attr("budget", budget)
        return budget

    @property
    def planned(self) -> int | None:
        """The `budget` as the last driver knew it: which cells are possible only torch can say."""
        return self.study.user_attrs.get("budget")

    @property
    def seconds(self) -> float:
        """Seconds that drivers have spent on this sweep, all runs together."""
        return float(self.study.user_attrs.get("seconds", 0.0))

    def spend(self, seconds: float) -> None:
        """Add to `seconds`."""
        with translated():
            self.study.set_user_attr("seconds", self.seconds + seconds)

    def counts(self) -> Counter[str]:
        """How many trials there are by role (`search` counts the base configuration) and state."""
        count: Counter[str] = Counter()
        for trial in self._all():
            replicate = trial.user_attrs.get("role") == "replicate"
            count["replicate" if replicate else "search"] += 1
            count[trial.state.name.lower()] += 1
        return count

    def importances(self, method: Importance = "ped_anova") -> dict[str, float]:
        """Importance of each searched parameter for the first objective; they sum to 1.

        By Optuna on the completed trials of the search: `ped_anova` tells what sets good trials
        apart from the rest (Watanabe et al. 2023, arXiv:2304.10255), `fanova` what explains the
        variance over all of them (Hutter et al. 2014), by a forest with a fixed seed, on
        FANOVA_TRIALS trials at most, evenly chosen. Empty while fewer than four have completed or
        where all of their values are equal, and for an ablation, whose effects say more.
        """
        if self.sweep.is_ablation:
            return {}
        view = SamplerView(self.study, list if method == "ped_anova" else _thinned)
        complete = view.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        scores = {trial.values[0] for trial in complete}
        shared = set.intersection(*(set(trial.params) for trial in complete)) if complete else set()
        if len(complete) < 4 or len(scores) < 2 or not shared:
            return {}
        # With a target of its own PED-ANOVA takes the lowest for the best, whatever the goal.
        sign = -1.0 if self.sweep.objective[0].goal == "maximize" else 1.0
        target = None if len(self.sweep.objective) == 1 else lambda trial: sign * trial.values[0]
        by: optuna.importance.BaseImportanceEvaluator
        if method == "fanova":
            by = optuna.importance.FanovaImportanceEvaluator(n_trees=32, max_depth=32, seed=0)
        else:
            by = optuna.importance.PedAnovaImportanceEvaluator()
        with warnings.catch_warnings():
            # Of conditions that hardly a trial met: more trials are all that mends it.
            warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
            warnings.filterwarnings("ignore", ".*to achieve low `target` values", UserWarning)
            found = optuna.importance.get_param_importances(view, evaluator=by, target=target)
        return {path: float(share) for path, share in found.items()}

    def _all(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _trial(self, number: int) -> FrozenTrial:
        with translated():
            if number not in self._ids:
                self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(
                    self.study._study_id, number
                )
            return self._storage.get_trial(self._ids[number])

    def _set(self, number: int, key: str, value: Any) -> None:
        with translated():
            trial = self._trial(number)
            self._storage.set_trial_user_attr(trial._trial_id, key, value)

    def _learn(self, trial: FrozenTrial) -> None:
        """Keep a curve for the scheduler and the known steps, so that none is read twice."""
        attrs = trial.user_attrs
        self._steps[trial.number] = set(attributes.evaluations(attrs))
        if attrs.get("role") != "replicate":
            self._curves[trial.number] = attributes.curve_of(attrs, self.sweep.objective[0].metric)


def _thinned(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Completed trials, FANOVA_TRIALS at most, evenly spread over the search."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    step = max(1.0, len(complete) / FANOVA_TRIALS)
    return [complete[int(place * step)] for place in range(min(len(complete), FANOVA_TRIALS))]
