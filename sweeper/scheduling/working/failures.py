"""What a training's exception means: by which cause the trial has failed (`sweeper.causes`).

error            it raised
out_of_memory    of the machine's memory or of the GPU's
bucket_away      the bucket that it publishes in does not answer
device_fault     of CUDA's device, or its context (`devices`)
unreadable       its data, the extractor's weights, a checkpoint, a file or a package cannot be read

or what is no failure of the trial and stops the sweep:

disk_full        there is no space left where it writes
not_shared       the machine does not see the sweep's folder
"""

from __future__ import annotations

import errno
import os
import platform
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path

from sweeper.causes import BUCKET_AWAY, DEVICE_FAULT, ERROR, OUT_OF_MEMORY, UNREADABLE
from sweeper.errors import BucketAway, BucketError, SweeperError
from sweeper.scheduling.machines.devices import is_of_device
from sweeper.scheduling.working.messages import Failure
from sweeper.secrets import redacted
from trials.errors import CheckpointError, DataError, ExtractorError, encodable, in_one_line
from trials.origins import raised_by_another


class DiskFull(SweeperError):  # noqa: N818 - what happened
    """There is no space left where a trial, or its driver, writes."""


DISK_FULL = "disk_full"
NOT_SHARED = "not_shared"
LOG_LINES = 25

_OUTSIDE = (CheckpointError, DataError, ExtractorError, BucketError, ImportError, OSError)
"""What a training raises for the sake of something outside it."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MEMORY_WORDS = (
    *("out of memory", "can't allocate memory", "cannot allocate memory"),
    *("_alloc_failed", "_allocation_failed"),  # NVIDIA's libraries, beside torch's own allocator
    # Where a GPU is full, these find no room for a handle and say no more than that.
    "cublas_status_not_initialized when calling `cublascreate",
    "cusolver_status_internal_error, when calling `cusolverdncreate",
)
"""What is said for want of memory. `unable to find an engine`, of a convolution whose workspace has
found no room, is not among them: it is said where a GPU lacks a type or a cuDNN does not fit."""


def explain(error: BaseException, folder: Path) -> Failure:
    """The cause of an exception that a training in `folder` raised, with the end of its log."""
    trace = redacted(encodable("".join(traceback.format_exception(error))))
    cause = _cause(error, folder)
    if cause == DISK_FULL:
        reason = f"no space left for {_file(error) or folder} on {platform.node()}"
    else:
        reason = redacted(raised_by_another(error) or in_one_line(error))
    return Failure(cause, reason, tail(folder / "log.txt", trace))


def is_disk_full(error: BaseException) -> bool:
    """Whether an exception, or one that it came from, says that no space is left."""
    return any(isinstance(link, DiskFull) or _says_full(link) for link in _chain(error))


def tail(log: Path, trace: str = "") -> str:
    """The last lines of a trial's log; the traceback is added to the file, if there is room."""
    try:
        if trace:
            with log.open("a", encoding="utf-8") as file:
                file.write(trace)
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = trace
    return redacted("\n".join(text.splitlines()[-LOG_LINES:]))


def _cause(error: BaseException, folder: Path) -> str:
    if is_disk_full(error):
        return DISK_FULL
    if isinstance(error, BucketAway):
        return BUCKET_AWAY
    words = " ".join(str(link).lower() for link in _chain(error))
    if any(isinstance(link, MemoryError) for link in _chain(error)) or any(
        word in words for word in _MEMORY_WORDS
    ):
        return OUT_OF_MEMORY
    if is_of_device(words):
        return DEVICE_FAULT
    return UNREADABLE if any(isinstance(link, _OUTSIDE) for link in _chain(error)) else ERROR


def _says_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _FULL


def _file(error: BaseException) -> str:
    """What there was no space for; empty where the system has not said."""
    told = (link for link in _chain(error) if isinstance(link, OSError) and link.errno in _FULL)
    names = (link.filename for link in told if isinstance(link.filename, str | bytes))
    return next(map(os.fsdecode, names), "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield here
        here = here.__cause__ or here.__context__
