"""What a report means for the study: whether its trial has ended, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sweeper.causes import DIVERGENCE, ERROR, SCHEDULER, cause
from sweeper.scheduling.working.messages import Report
from sweeper.search.attributes import finite
from sweeper.search.ledger import Ledger
from sweeper.search.stopping_rule import TakeOver
from sweeper.sweepfile.model import Sweep
from sweeper.trial import Symptom, Trial


@dataclass(frozen=True)
class End:
    """How a trial is told: with its values, or with the cause of its end."""

    state: Literal["completed", "pruned", "failed"]
    values: tuple[float, ...] = ()
    cause: str = ""
    reason: str = ""


def verdict_of(sweep: Sweep, trial: Trial, stopped_by: Symptom | None) -> End:
    """The end of a training that will not go on.

    `stopped_by` is the symptom for which it ended itself, None when it reached its last step. Then
    its score is what its last evaluation measured; without a finite number there, it has none.
    """
    if stopped_by is not None:
        reason = f"{stopped_by.note} (step {stopped_by.step})"
        return End(cause(stopped_by.name).ends_as, (), stopped_by.name, reason)
    last = trial.evaluations[-1].metrics if trial.evaluations else {}
    values = [last.get(objective.metric) for objective in sweep.objective]
    final = tuple(value for value in values if value is not None and finite(value))
    if len(final) == len(values):
        return End("completed", final)
    wanted = ", ".join(objective.metric for objective in sweep.objective)
    if any(value is not None for value in values):
        return End("failed", (), DIVERGENCE, f"{wanted} is not finite at the last step")
    measured = ", ".join(sorted(last)) or "nothing"
    reason = f"the last evaluation has no {wanted}; it measured {measured}"
    return End("failed", (), ERROR, reason)


def conclude(
    sweep: Sweep, ledger: Ledger, number: int, report: Report
) -> tuple[Trial, None] | tuple[None, TakeOver | None]:
    """Tell the study what becomes of a trial after its evaluations are in it: its record if it has
    ended, else whose checkpoint it goes on from, if another's."""
    ledger.scheduler.took(number, own=report.own)
    if report.finished:
        end = verdict_of(sweep, ledger.trial(number), report.stopped_by)
        if end.state == "completed":
            ledger.complete(number, end.values)
        elif end.state == "pruned":
            ledger.prune(number, end.cause, end.reason)
        else:
            ledger.fail(number, end.cause, end.reason)
        return ledger.trial(number), None
    if not ledger.scheduler.undecided(number):
        return None, None
    reason = ledger.scheduler.verdict(number)
    if reason is not None:
        ledger.prune(number, SCHEDULER, reason)
        return ledger.trial(number), None
    taken = ledger.scheduler.take_over(number)
    if taken is None:
        ledger.scheduler.went_on(number)
    return None, taken
