"""What goes wrong in a sweep, counted: when it is the sweep's own fault, or the cluster's."""

from __future__ import annotations

import re
from collections import Counter

from sweeper.causes import ERROR, cause, is_lost
from sweeper.errors import SweeperError
from sweeper.scheduling.working.messages import Failure
from sweeper.sweepfile.sections import Limits

FALSE_STARTS = 6
"""Workers in a row that may die before they start a trial, beside one for each of those at work,
which may all make way for new ones at once, until the cluster counts as broken."""

SAME_FAILURES = 3
"""Trials that fail for the same reason, before any other was evaluated, until it is taken for the
sweep's own."""


class FailureCounts:
    """Counts failures of one sweep; `failed` trials are in its study already."""

    def __init__(self, limits: Limits, failed: int) -> None:
        self._limits = limits
        self._failed = failed
        self._false_starts = 0
        self._evaluated = False
        self._alike: Counter[str] = Counter()

    def within(self, limits: Limits) -> None:
        """These limits hold from now on."""
        self._limits = limits

    def started(self) -> None:
        """A worker has taken a trial up."""
        self._false_starts = 0

    def false_start(self, reason: str) -> None:
        """A worker has died before it took its trial up.

        Raises:
            SweeperError: so have too many in a row.
        """
        self._false_starts += 1
        if self._false_starts >= FALSE_STARTS + self._limits.parallel:
            raise SweeperError(f"workers die before they can start a trial: {reason}")

    def evaluated(self) -> None:
        """A training gets somewhere."""
        self._evaluated = True
        self._alike.clear()

    def raised(self, failure: Failure) -> str:
        """A training raised. In words, where so do all, for one reason that is not their own: a
        part that is broken, or, also after others have worked, data that are there no more."""
        lost = is_lost(failure.cause)
        if not lost and (self._evaluated or failure.cause != ERROR):
            return ""
        # External failures are the same reason whatever path or number they name.
        told = re.sub(r"\S*\d\S*", "#", failure.reason) if lost else failure.reason
        self._alike[told] += 1
        if self._alike[told] < SAME_FAILURES:
            return ""
        return (
            f"{SAME_FAILURES} trials failed one after another for the same reason: "
            f"{failure.reason}; fix this, then {cause(failure.cause).way_on}"
        )

    def failed(self) -> None:
        """A trial has ended as failed."""
        self._failed += 1

    def forgiven(self) -> None:
        """One that had failed is tried again."""
        self._failed -= 1

    @property
    def limit(self) -> str:
        """Which limit has been reached; empty while none is."""
        limit = self._limits.failed
        if limit is None or self._failed < limit:
            return ""
        return f"{self._failed} trials have failed, and limits.failed is {limit}"
