"""A sweep whose trials publish in a bucket, from its driver's side.

The driver trains nothing and reads little: a thread of its own brings what trials have published
into their folders of the home, where records, pages and the report find it, and lets go in the
bucket of what was let go of there. A store that is away delays that, and nothing else.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from sweeper.bucket.commits import driver_of
from sweeper.bucket.copies import PUBLISHED, Copies
from sweeper.bucket.giving_up import given_up
from sweeper.bucket.place import check_bucket, keep_owner, keep_place
from sweeper.causes import BUCKET_AWAY, WORKER_DIED
from sweeper.errors import BucketError
from sweeper.home import SweepFolder
from sweeper.provenance.attempts import FILE as PROVENANCE
from sweeper.retention import let_go_afar
from sweeper.scheduling.conducting.conductor import Conductor
from sweeper.scheduling.recording.recorder import CONFIG_FILE
from sweeper.scheduling.working import attempts
from sweeper.scheduling.working.messages import Report, Work
from sweeper.search.identity import Identity
from sweeper.search.ledger import Ledger

LOOK_EVERY = 2.0
"""Seconds between two rounds of what is to be brought."""

LEAVE_AFTER = 5.0
"""Seconds that what is being brought as the driver ends may still take."""


class _Trouble(Exception):  # noqa: N818 - what happened
    """The store does not give what it was asked for, or the disk has no room for it."""


class Published:
    """What the trials of one sweep publish at `address`. `driver` is the driver's number there, and
    `unknown` are trials that are there and not in its study."""

    def __init__(
        self, folder: SweepFolder, address: str, driver: int, unknown: Iterable[int] = ()
    ) -> None:
        self.address = address
        self._folder = folder
        self._driver = driver
        self._unknown = set(unknown)
        self._hand_outs = count(1)
        self._copies = Copies(folder, address, patience=0.0)
        self._attempts: dict[int, str] = {}
        """The last one at each trial that was handed out."""
        self._silent: set[int] = set()
        """Trials whose workers have not said yet where they are."""
        self._asked: set[int] = set()
        self._busy = True
        self._came: dict[int, set[str]] = defaultdict(set)
        self._trouble = ""
        self._lock = threading.Lock()
        self._wake, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="published", daemon=True)

    def __enter__(self) -> Published:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._wake.set()
        self._thread.join(LEAVE_AFTER)

    def handed(self, work: Work) -> Work:
        """The work as it goes to a machine that sees no folder of the home."""
        if work.number < 0:  # no trial
            return replace(work, bucket=self.address)
        attempts.write_no_log(self._folder.trial(work.number))
        if work.number in self._unknown:
            self._begin_anew(work.number)
        hand_out = f"{next(self._hand_outs):06d}-{secrets.token_hex(4)}"
        attempt = self._attempts[work.number] = f"{self._driver:06d}-{hand_out}"
        return replace(work, bucket=self.address, attempt=attempt)

    def _begin_anew(self, number: int) -> None:
        """Have nothing stand of a trial that the study did not know, and has asked for again: its
        settings may be others."""
        commits = Copies(self._folder, self.address).commits(number)
        commits.begin_anew(f"{self._driver:06d}-{0:06d}-{secrets.token_hex(4)}")
        self._unknown.remove(number)

    def started(self, number: int) -> None:
        """A worker has taken the trial up."""
        with self._lock:
            self._silent.add(number)

    def look(self, number: int) -> None:
        """A trial may have published."""
        with self._lock:
            self._asked.add(number)
        self._wake.set()

    def look_now(self, number: int) -> None:
        """Have here what is known of a trial whose worker has died, as far as the store answers."""
        with contextlib.suppress(BucketError, OSError):
            self._say(number)
        self.look(number)

    def came(self) -> dict[int, set[str]]:
        """Number → names of the files that have come since this was last asked."""
        with self._lock:
            came, self._came = self._came, defaultdict(set)
        return came

    def settle(self, patience: float) -> str:
        """Wait until everything that was asked for is here. Why it is not, in words."""
        end = time.monotonic() + patience
        # `_busy` last: the thread sets it before it takes what was asked for.
        while self._asked or given_up(self._folder) or self._busy:
            self._wake.set()
            if time.monotonic() > end:
                lacking = f"not everything that trials published has arrived: {self._trouble}"
                return f"{lacking}; run the sweep again to fetch the rest"
            time.sleep(LOOK_EVERY / 20)
        return ""

    def _run(self) -> None:
        known = False
        while not self._over.is_set():
            self._busy = True
            with contextlib.suppress(_Trouble):
                if not known:
                    with self._troubled():
                        for number in set(self._copies.changed()) - self._unknown:
                            self.look(number)
                    known = True
                self._round()
                self._busy = False
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()

    def _round(self) -> None:
        for number in tuple(self._silent):
            with self._troubled():
                self._say(number)
        while self._asked and not self._over.is_set():
            with self._lock:
                number = min(self._asked)
                self._asked.remove(number)
            try:
                with self._troubled():
                    fresh = self._copies.bring(number)
            except _Trouble:
                with self._lock:
                    self._asked.add(number)
                raise
            self._have_come(number, fresh)
        with self._troubled():
            let_go_afar(self._folder, self._copies, self._have_come)

    def _have_come(self, number: int, names: set[str]) -> None:
        with self._lock:
            self._came[number] |= names

    @contextlib.contextmanager
    def _troubled(self) -> Iterator[None]:
        try:
            yield
        except (BucketError, OSError) as error:
            self._trouble = str(error)
            raise _Trouble from error

    def _say(self, number: int) -> None:
        """Leave in a trial's room what its worker has said of itself, as on this machine."""
        said = self._copies.commits(number).said()
        if said and said["attempt"] == self._attempts.get(number):
            attempts.say(self._folder.trial(number), said)
            with self._lock:
                self._silent.discard(number)


def conductor_with(published: Published | None, *given: Any, **also: Any) -> Conductor:
    """The conductor of a sweep whose trials publish, or do not; the rest is what one is given."""
    if published is None:
        return Conductor(*given, **also)
    return PublishingConductor(published, *given, **also)


def taken_in(conductor: Conductor, patience: float) -> str:
    """Wait until what trials have published is here, and record it; let go of what they need not
    keep. Why that has not come to its end, in words."""
    if not isinstance(conductor, PublishingConductor):
        return ""
    return conductor.take_in_all(patience)


@contextlib.contextmanager
def publishing(folder: SweepFolder, ledger: Ledger, checked: str) -> Iterator[Published | None]:
    """What a sweep's trials publish, for the length of the block; None where they do not.

    `checked` is the address that is known to be usable, or one that it lies below.

    Raises:
        UserError: its trials publish elsewhere, and that is not usable.
        BucketError: the bucket has come to refuse, or does not answer (BucketAway).
    """
    address = ledger.owner.bucket
    if not address:
        yield None
        return
    if not (checked and address.startswith(checked)):
        check_bucket(address)
    keep_place(folder, address)
    if (identity := Identity.of(folder)) is not None:
        keep_owner(address, identity.home, str(folder.path))
    # A study that was brought back from an older copy knows fewer drivers, and fewer trials.
    there = Copies(folder, address).last_attempts()
    driver = max([ledger.owner.attempt, *(driver_of(one) + 1 for one in there.values())])
    unknown = there.keys() - {trial.number for trial in ledger.trials()}
    with Published(folder, address, driver, unknown) as published:
        yield published


class PublishingConductor(Conductor):
    """The conductor of a sweep whose trials publish."""

    def __init__(self, published: Published, *given: Any, **also: Any) -> None:
        self._published = published
        super().__init__(*given, **also)

    def next_work(self) -> Work | None:
        work = super().next_work()
        return work and self._published.handed(work)

    def started(self, number: int) -> None:
        super().started(number)
        if number >= 0:
            self._published.started(number)

    def heard(self, number: int, report: Report) -> bool:
        failure = report.failure
        if failure is not None and failure.cause == BUCKET_AWAY and number >= 0:
            self.died(number, failure.reason, BUCKET_AWAY)
            return True
        if number >= 0 and (failure is not None or report.left):
            self._published.look_now(number)  # what becomes of it depends on where it was
        stops = super().heard(number, report)
        if number >= 0:
            self._published.look(number)
        return stops

    def died(self, number: int, reason: str, cause: str = WORKER_DIED) -> None:
        if number >= 0 and cause == WORKER_DIED:
            self._published.look_now(number)
        super().died(number, reason, cause)

    def look(self) -> None:
        super().look()
        self._take_in()

    def take_in_all(self, patience: float) -> str:
        """Wait for all that has been published, and record it. Why it is not all here, in words."""
        lacking = self._published.settle(patience)
        self._take_in()
        return lacking

    def _take_in(self) -> None:
        """Record what has come since the last look."""
        for number, names in self._published.came().items():
            try:
                trial = self._ledger.trial(number)
            except KeyError:  # it is of a trial that the study does not know
                continue
            told = {CONFIG_FILE, *(one.samples for one in trial.evaluations)}
            told |= {attempts.LOG, PROVENANCE} if trial.over else set()
            for name in sorted(names & told):
                self._recorder.stays(number, name)
            if trial.over:
                self._recorder.stays(number, PUBLISHED)
                self.keeping.came(trial)
