"""Why a trial ended before its last step: one entry per cause, used by every package.

    name         in the study, MLflow and the tables
    ends_as      the state it leads to: `pruned` if the trainer or a rule stopped it in time,
                 `failed` if its values cannot be used
    blames       whether the configuration is at fault: then its values teach no sampler and win no
                 comparison, and an analysis counts it as a failure
    saves        whether the untrained steps count as saved rather than lost
    meaning, advice
                 texts for the reader

Each sign of a failing GAN carries its own texts (`trials.health`); the other causes are listed
here. Imports neither torch nor any vendor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sweeper.errors import UserError
from trials.health import Sign
from trials.problems import Problem, nearest

SCHEDULER = "scheduler"
STOPPED_BY_HAND = "stopped_by_hand"
OUT_OF_MEMORY = "out_of_memory"
WORKER_DIED = "worker_died"
NO_PROGRESS = "no_progress"
BUCKET_AWAY = "bucket_away"
DEVICE_FAULT = "device_fault"
UNREADABLE = "unreadable"
ERROR = "error"
DIVERGENCE = "divergence"


@dataclass(frozen=True)
class Cause:
    """Why a trial did not reach its last step; the module says what the fields mean."""

    name: str
    ends_as: Literal["pruned", "failed"]
    blames: bool
    saves: bool
    meaning: str
    advice: str = ""

    @property
    def lost(self) -> bool:
        """Whether the run failed through no fault of its configuration. It says nothing, and the
        next run of the sweep retries it."""
        return self.ends_as == "failed" and not self.blames

    @property
    def curable(self) -> bool:
        """Whether a retry may succeed once something outside is fixed. A sign of failure would come
        again: the same seed gives the same training."""
        return self.ends_as == "failed" and self.name in _OWN

    @property
    def way_on(self) -> str:
        """What the user does to have such trials retried."""
        again = "run the sweep again"
        return again if self.lost else f"{again} with --retry-failed {self.name}"

    @property
    def words(self) -> str:
        """Meaning and advice in one line."""
        return f"{self.meaning} {self.advice}".strip()


_OWN = {
    cause.name: cause
    for cause in (
        Cause(
            SCHEDULER,
            ends_as="pruned",
            blames=False,
            saves=True,
            meaning="The scheduler stopped it: at the same step, other trials were better. "
            "Nothing was wrong.",
        ),
        Cause(
            STOPPED_BY_HAND,
            ends_as="pruned",
            blames=False,
            saves=False,
            meaning="Somebody stopped it. Its final value is unknown, so no sampler, comparison or "
            "table ranks it.",
            advice="A retry continues from its last checkpoint.",
        ),
        Cause(
            OUT_OF_MEMORY,
            ends_as="failed",
            blames=True,
            saves=False,
            meaning="It ran out of memory, and again when it was retried with its device to "
            "itself: its configuration is too large for the device.",
            advice="Lower batch_size, raise accumulate, or lower the networks' width.",
        ),
        Cause(
            WORKER_DIED,
            ends_as="failed",
            blames=False,
            saves=False,
            meaning="Its process died, and again when it was retried. This says nothing about the "
            "configuration.",
            advice="The next run retries it.",
        ),
        Cause(
            NO_PROGRESS,
            ends_as="failed",
            blames=False,
            saves=False,
            meaning="It made no progress for limits.trial_silence and its process was ended, and "
            "again when it was retried. This says nothing about the configuration.",
            advice="Its log shows the stack of each thread. The next run retries it.",
        ),
        Cause(
            BUCKET_AWAY,
            ends_as="failed",
            blames=False,
            saves=False,
            meaning="The bucket that holds its files did not answer for minutes, and again when it "
            "was retried. This says nothing about the configuration.",
            advice="The next run retries it from its last published checkpoint.",
        ),
        Cause(
            DEVICE_FAULT,
            ends_as="failed",
            blames=False,
            saves=False,
            meaning="CUDA reported a broken device or context, and again on every retry. This says "
            "nothing about the configuration.",
            advice="The reason names the device and the machine: check dmesg and nvidia-smi -q "
            "there. The next run retries it.",
        ),
        Cause(
            UNREADABLE,
            ends_as="failed",
            blames=False,
            saves=False,
            meaning="What it needs could not be read: its data, the extractor's weights, a "
            "checkpoint, a file or a package. This says nothing about the configuration.",
            advice="Fix what the reason names, and run the sweep again: it retries the trial.",
        ),
        Cause(
            ERROR,
            ends_as="failed",
            blames=True,
            saves=False,
            meaning="The training raised an error; the last lines of its log say where.",
        ),
    )
}


def causes() -> dict[str, Cause]:
    """Every cause by its name: those listed here, and the registered signs."""
    return {**_OWN, **{name: _of_sign(sign) for name, sign in Sign.all().items()}}


def cause(name: str) -> Cause:
    """The cause of a name; an unknown one counts as a failed configuration."""
    if name in _OWN:
        return _OWN[name]
    if name in Sign.all():
        return _of_sign(Sign.all()[name])
    unknown = "This cause has no explanation here."
    return Cause(name, "failed", blames=True, saves=False, meaning=unknown)


def to_retry(names: Iterable[str]) -> list[str]:
    """The causes whose failed trials are retried: those named, or all that can be retried. A
    single name may be given as a string.

    Raises:
        UserError: a name is not a cause, or names one that would come again.
    """
    names, known = [names] if isinstance(names, str) else list(names), causes()
    good = [name for name, one in known.items() if one.curable]
    problems = []
    for name in names:
        if name in good:
            continue
        if name in known:
            told = "such a trial would end the same way again: same seed, same training"
            problems.append(Problem(name, told, ", ".join(good)))
        else:
            problems.append(Problem(name, "no such cause", ", ".join(good), nearest(name, good)))
    if problems:
        raise UserError("these failures cannot be retried:", problems)
    return names or good


def to_blame(state: str, name: str | None) -> bool:
    """Whether a trial in this state, ended by this cause, lacks a final value because of its
    configuration.

    A training that collapsed is *pruned* if the watcher stops it, and still counts as a failure: a
    collapsed generator may have the best precision of all.
    """
    if state not in ("pruned", "failed"):
        return False
    return state == "failed" if name is None else cause(name).blames


def is_lost(name: str | None) -> bool:
    """Whether a trial that ended by this cause says nothing about its configuration."""
    return name is not None and cause(name).lost


def says_nothing(name: str | None) -> bool:
    """Whether no sampler may learn from a trial that ended by this cause: it was lost, or somebody
    stopped it."""
    return name == STOPPED_BY_HAND or is_lost(name)


def _of_sign(sign: type[Sign]) -> Cause:
    return Cause(
        sign.key,
        ends_as="failed" if sign.ends_as == "failed" else "pruned",
        blames=True,
        saves=True,
        meaning=f"{sign.summary}.",
        advice=sign.advice,
    )
