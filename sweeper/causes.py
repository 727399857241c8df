"""Why a trial ended before its last step: one entry a cause, for every room.

    name         as the study, MLflow and the tables have it
    ends_as      the state it leads to: `pruned` where the trainer or a rule stopped it in time,
                 `failed` where nothing can be made of it
    blames       whether the configuration is at fault: then its values teach no sampler and win no
                 comparison, and an analysis counts it as a failure
    saves        whether the steps that it did not train are saved, and not lost
    meaning, advice
                 what a reader is told

The signs of a failing GAN say of themselves what they mean (`trials.health`); what else can end a
trial stands here. Imports neither torch nor any vendor.
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
        """Whether the run failed through no fault of its configuration: nothing is known of it, and
        the next run of the sweep tries it again."""
        return self.ends_as == "failed" and not self.blames

    @property
    def curable(self) -> bool:
        """Whether a trial that failed so may do better once something is mended. A sign of failure
        would be seen again: the same seed gives the same training."""
        return self.ends_as == "failed" and self.name in _OWN

    @property
    def way_on(self) -> str:
        """What has trials that failed so tried again."""
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
            meaning="Somebody stopped it. What it might have become is not known: no sampler, "
            "comparison or table takes it for better or worse than others.",
            advice="It goes on from its last checkpoint where somebody has it tried again.",
        ),
        Cause(
            OUT_OF_MEMORY,
            ends_as="failed",
            blames=True,
            saves=False,
            meaning="It ran out of memory, and again when it was tried once more with its device "
            "to itself: its configuration is too large for that.",
            advice="A smaller batch_size, accumulate, or a smaller width of its networks help.",
        ),
        Cause(
            WORKER_DIED,
            ends_as="failed",
            blames=False,
            saves=False,
            meaning="The process that trained it died, and again when it was retried. This "
            "says nothing about the configuration.",
            advice="The next run tries it again.",
        ),
        Cause(
            NO_PROGRESS,
            ends_as="failed",
            blames=False,
            saves=False,
            meaning="It was silent for longer than limits.trial_silence and its process was ended, "
            "and again when it was retried. This says nothing about the configuration.",
            advice="Its log has where each thread stood. The next run tries it again.",
        ),
        Cause(
            BUCKET_AWAY,
            ends_as="failed",
            blames=False,
            saves=False,
            meaning="The bucket that it publishes in did not answer for minutes, and again when it "
            "was retried. This says nothing about the configuration.",
            advice="The next run tries it again, from what it has published last.",
        ),
        Cause(
            DEVICE_FAULT,
            ends_as="failed",
            blames=False,
            saves=False,
            meaning="CUDA says that the device is broken, or its context, and said so each time "
            "that it was tried again. This says nothing about the configuration.",
            advice="Its reason names device and machine: look there, into dmesg and nvidia-smi -q. "
            "The next run tries it again.",
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
    """Every cause by its name: what the service knows, and the signs that are registered."""
    return {**_OWN, **{name: _of_sign(sign) for name, sign in Sign.all().items()}}


def cause(name: str) -> Cause:
    """What is known of a cause by its name; an unknown one counts as a failed configuration."""
    if name in _OWN:
        return _OWN[name]
    if name in Sign.all():
        return _of_sign(Sign.all()[name])
    unknown = "No explanation of this cause is known."
    return Cause(name, "failed", blames=True, saves=False, meaning=unknown)


def to_retry(names: Iterable[str]) -> list[str]:
    """The names of causes by which trials that failed are to be tried again; without any, all. A
    single one may be given as it is.

    Raises:
        UserError: a name is no cause, or one that would come again.
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
    """Whether a trial in this state, ended by this cause, has no final value through its
    configuration's own fault.

    A training that collapsed is *pruned* where the watcher stops it, and still a failure like any
    other: a generator that has collapsed may have the best precision of all.
    """
    if state not in ("pruned", "failed"):
        return False
    return state == "failed" if name is None else cause(name).blames


def is_lost(name: str | None) -> bool:
    """Whether a trial that ended by this cause says nothing about its configuration."""
    return name is not None and cause(name).lost


def says_nothing(name: str | None) -> bool:
    """Whether the end of a trial by this cause says nothing about its configuration: no sampler may
    learn from it. It was lost, or somebody stopped it."""
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
