"""What runs are called and tagged in MLflow, and what the driver's words mean there."""

from __future__ import annotations

from typing import Literal

SWEEP = -1
"""The number under which the outbox keeps the sweep's own run; trials count from 0."""

OWN_PREFIX = "sweeper."
"""Tags under this prefix are nobody's but ours."""
STUDY_TAG = "sweeper.study"
"""Identity of the study. With TRIAL_TAG it names one run for ever: the writer looks for the pair
before it creates anything."""
TRIAL_TAG = "sweeper.trial"
"""`00012`, or `sweep` on the parent run."""
STATE_TAG = "sweeper.state"
"""The driver's own word: MLflow has one FINISHED for completed and pruned alike."""
MODEL_TAG = "sweeper.model"
"""Address of the logged generator, `models:/m-…`, on its run; on the sweep's, the winner's."""
WINNER_TAG = "sweeper.winner"
"""Which trial has won, spelt as TRIAL_TAG, on the sweep's run."""
CHANGED_PREFIX = "sweeper.changed."
"""MLflow parameters never change: a limit that was raised later is found under this prefix."""
PROTOCOL_PREFIX = "protocol."
"""How the values of a run were measured is found under this prefix, a tag a field."""

SEPARATOR = " · "
"""Between the words of a run's name."""
ADDRESS = "address"
"""Under this word the outbox keeps the address of the MLflow that it was sent to."""
EXPERIMENT_TAGS = "experiment_tags"
"""Under this word it keeps what the experiment is to be tagged with, as JSON, and beside it what
has arrived of that."""
SENT_EXPERIMENT_TAGS = "sent_experiment_tags"

DATA_TAG = "sweeper.data"
"""The path of the data, where they have one."""
PUBLISHED_TAG = "sweeper.published"
"""Address of what the trial has in a bucket, where it publishes in one."""
PAGE_TAG = "sweeper.page"
"""Address of the service's own page on the sweep or trial, where a service runs it."""
EXPERIMENT_ID = "experiment_id"
"""Under this word the outbox keeps the id of the experiment, once MLflow has it."""

PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"
TABLES_TAG = "mlflow.loggedArtifacts"
USER_TAG = "mlflow.user"

TrialEnding = Literal["completed", "pruned", "failed", "interrupted", "retrying", "moved"]
SweepEnding = Literal["finished", "incomplete", "stopped", "cancelled", "interrupted", "failed"]

STATUS = {
    "running": "RUNNING",
    "completed": "FINISHED",
    "pruned": "FINISHED",
    "finished": "FINISHED",
    "incomplete": "FINISHED",
    "stopped": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "retrying": "KILLED",
    "moved": "KILLED",
    "cancelled": "KILLED",
}
"""The driver's word → MLflow's run status."""

FINAL = frozenset({"completed", "pruned", "failed"})
"""A trial in one of these runs again only where it is said to be reopened; in any other it is so
when it starts again."""

EXIT_DONE = 0
EXIT_LEFT = 75
"""Exit status of a writer that could not send everything (EX_TEMPFAIL)."""
EXIT_BUSY = 73
"""Exit status of one that found another at work."""


def trial_tag(number: int) -> str:
    """Value of TRIAL_TAG: `00012`, `sweep` for the sweep's own run."""
    return "sweep" if number == SWEEP else f"{number:05d}"


def trial_number(tag: str) -> int | None:
    """The number that `trial_tag` spelt, None where the tag is not ours."""
    if tag == "sweep":
        return SWEEP
    return int(tag) if tag.isdecimal() else None
