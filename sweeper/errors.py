"""Everything that sweeper raises on purpose.

    SweeperError                 exit status 1
    ├── UserError                exit status 2: the user can mend it; carries `problems`
    │   ├── SpecError            a sweep file is wrong: every problem of the file at once
    │   ├── UnknownSweep         no sweep of that name in this home
    │   ├── SpecConflict         the name exists with another search space, base or objective
    │   ├── NoLocks              the file system of the home was mounted without locks
    │   ├── AnotherHome          the study is another home's, which alone may write it
    │   └── RecordedElsewhere    MLflow's address is another one than that of the sweep's record
    ├── SweepBusy                another process drives this sweep
    ├── PartError                a part gave what its base class does not allow
    ├── ProtocolChanged          values would be measured by another protocol than the sweep's
    ├── LedgerError              the study could not be read or written
    │   ├── Superseded           a newer driver writes it now
    │   └── StudyAway            the database that holds it has gone away
    ├── BucketError              the bucket that trials publish in refuses, or holds something else
    │   └── BucketAway           it does not answer; it may again
    ├── Unreachable              a sweep service does not answer, or failed at it
    └── TrackingError            MLflow or the outbox before it failed for good

The command line prints these without a traceback. Vendors' exceptions are translated into them
where the vendor is called; `trials` has a tree of its own.
"""

# ruff: noqa: N818 - a name says what happened (UnknownSweep); the tree says that it is an error.

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from sweeper.secrets import redacted
from trials.problems import Problem as Problem


class SweeperError(Exception):
    """Base of everything raised on purpose. Its message, which may quote others, holds no secret of
    an address."""

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))


class UserError(SweeperError):
    """Something that the user wrote or asked for is wrong; `problems` lists it piece by piece."""

    exit_status: ClassVar[int] = 2

    def __init__(self, message: str, problems: Iterable[Problem] = ()) -> None:
        self.message = redacted(message)
        self.problems: tuple[Problem, ...] = tuple(map(_redacted, problems))
        super().__init__("\n".join([message, *(f"  {problem}" for problem in self.problems)]))


class SpecError(UserError):
    """A sweep file, or an override of it, is not a valid sweep."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        listed = tuple(problems)
        count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
        super().__init__(f"not a valid sweep: {count}", listed)


class UnknownSweep(UserError):
    """No sweep of this name exists in this home."""


class SpecConflict(UserError):
    """A sweep of this name exists already, and what it searches is something else."""


class NoLocks(UserError):
    """The file system knows no locks, without which two drivers cannot be told from one."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the home is on a file system without locks ({reason}): mount it with locks (Lustre:"
            " -o flock; NFS 3: with its lock service), or choose another --home"
        )


class AnotherHome(UserError):
    """The study is driven from another home, and two of them cannot share one."""


class RecordedElsewhere(UserError):
    """The sweep's record is in another MLflow than the one that is set now."""


class SweepBusy(SweeperError):
    """Another process holds the lock of this sweep; `pid` is None when it has not said which, or
    runs elsewhere, which `where` tells then."""

    def __init__(self, name: str, pid: int | None, where: str = "") -> None:
        self.name = name
        self.pid = pid
        owner = where or ("another process" if pid is None else f"process {pid}")
        super().__init__(f"sweep {name!r} is being run by {owner}")


class PartError(SweeperError):
    """A part did what its base class does not allow; the message names it and says what."""


class ProtocolChanged(SweeperError):
    """Values were, or would be, measured by another protocol than the sweep's. `change` says how;
    `bring_back` whether what it was before would mend it."""

    def __init__(self, change: str, *, bring_back: bool = True) -> None:
        back = "restore what it was and run the sweep again; or " if bring_back else ""
        super().__init__(
            f"{change}. Values of two protocols cannot be compared, so nothing was judged by them: "
            f"{back}give the sweep a new name; or run it with --accept-protocol: what was measured "
            "before then stays in the record and is compared with nothing that follows"
        )


class LedgerError(SweeperError):
    """The study could not be read or written."""


class Superseded(LedgerError):
    """A newer driver has taken the study over: an older one writes nothing more."""


class StudyAway(LedgerError):
    """The database that holds the study does not answer any more; it may again."""


class BucketError(SweeperError):
    """The bucket that trials publish in refuses, or does not hold what it should."""


class BucketAway(BucketError):
    """The bucket that trials publish in does not answer; it may again."""


class Unreachable(SweeperError):
    """A sweep service does not answer, or has failed at what it was asked."""


class TrackingError(SweeperError):
    """MLflow, or the outbox before it, failed in a way that trying again does not mend."""


def _redacted(problem: Problem) -> Problem:
    """The problem without the secrets that it quotes."""
    return replace(
        problem,
        path=redacted(problem.path),
        message=redacted(problem.message),
        expected=redacted(problem.expected),
        file=redacted(problem.file),
    )
