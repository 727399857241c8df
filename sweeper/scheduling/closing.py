"""How a run of a sweep ended, in a word and in a sentence: both follow from what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sweeper.causes import cause, is_lost
from sweeper.errors import LedgerError, SweeperError, TrackingError
from sweeper.scheduling.cluster.connecting import ClusterLost
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.recording.events import Loss, SweepState
from sweeper.scheduling.working.failures import is_disk_full
from sweeper.scheduling.working.machine_checks import Outdated
from sweeper.trial import Trial
from sweeper.wording import plural
from trials.origins import raised_by_another

Ending = tuple[SweepState, str]
"""The word, and the sentence: what there is to know, and how to go on."""

PATIENCE = 60.0
"""Seconds to wait at the end until MLflow has everything, and everything published is here."""

IMPATIENCE = 2.0
"""The same where the user asked the sweep to end now; its writer goes on by itself for a while."""


def patience(state: SweepState) -> float:
    """Seconds to wait after such an end for what is still on its way."""
    return PATIENCE if state in ("finished", "incomplete", "stopped") else IMPATIENCE


def closing(
    conductor: Conductor,
    trials: Sequence[Trial],
    *,
    signalled: bool,
    cancelled: bool,
    unscored: str = "",
) -> Ending:
    """How the sweep of these trials ended. `signalled` and `cancelled` say that somebody asked it
    to end, by a signal or in another way; `unscored`, that it was to end before its final score."""
    failed = none_finished(trials)
    if conductor.complete:
        if unscored:
            asked: SweepState = "cancelled" if cancelled else "stopped"
            message = f"{unscored}; run the sweep again to measure it"
            return "interrupted" if signalled else asked, message
        if failed:
            return "failed", failed
        lost = [trial for trial in trials if is_lost(trial.cause)]
        return ("incomplete", _lost(lost)) if lost else ("finished", "")
    halting = conductor.halting
    again = f"{halting.again} to go on"
    if signalled:
        return "interrupted", f"interrupted; {again}: every trial continues from its checkpoint"
    if cancelled:
        return "cancelled", f"cancelled; {again}"
    message = halting.message or "stopped"
    if halting.limited and failed:
        return "failed", f"{message}; {failed}"
    return "failed" if halting.too_many_failed else "stopped", f"{message}; {again}"


def none_finished(trials: Sequence[Trial]) -> str:
    """That trials have ended and none of them completed, of what, and what to do about it; empty
    where that is not so."""
    over = [trial for trial in trials if trial.over]
    if not over or any(trial.state == "completed" for trial in over):
        return ""
    counts = Counter(trial.cause or trial.state for trial in over)
    [(most, _)] = counts.most_common(1)
    told = ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
    reason = next(trial.reason for trial in over if (trial.cause or trial.state) == most)
    found = f"none of {plural(len(over), 'trial')} finished ({told}): {reason}"
    return f"{found}; fix this, then {cause(most).way_on}" if cause(most).curable else found


def _lost(lost: Sequence[Trial]) -> str:
    """That there are runs of which nothing is known, and how they are tried again."""
    names = Counter(trial.cause for trial in lost)
    told = ", ".join(f"{count:,} {name}" for name, count in names.most_common())
    them = "it" if len(lost) == 1 else "them"
    return (
        f"{plural(len(lost), 'trial')} failed for reasons outside the configuration "
        f"({told}): {lost[-1].reason}; run the sweep again to retry {them}"
    )


def told_of(error: Exception) -> str | None:
    """What stopped a run, in words for its user; None of a fault that is ours."""
    return str(error) if isinstance(error, SweeperError) else raised_by_another(error)


def gave_out(error: Exception) -> Loss:
    """What stopped a run by nothing of the sweep's own, so that another driver can go on: a full
    disk, or anything else around it; empty where it was the sweep's own."""
    if is_disk_full(error):
        return "disk"
    beneath = ClusterLost | LedgerError | TrackingError | Outdated
    return "surroundings" if isinstance(error, beneath) else ""


def unwritten(error: OSError) -> str:
    """Of a run whose report could not be written."""
    return f"cannot write the report: {error}; no trial is lost: run the sweep again to write it"
