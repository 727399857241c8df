"""Where a worker trains: in the trial's folder of the home, or in a scratch folder that it
publishes (`sweeper.bucket`).

A scratch folder lies in the folder for temporary files of its machine ($TMPDIR, else /tmp), is
this account's alone, and goes with the trial. What a worker that was killed has left there the next
one on this machine removes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeper.bucket.commits import Commits
from sweeper.bucket.copies import fetch, is_drawn_from
from sweeper.bucket.publishing import Publisher
from sweeper.bucket.store import Store
from sweeper.errors import SweeperError
from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.working import attempts
from sweeper.scheduling.working.messages import KEPT_FOLDER, Work
from sweeper.scheduling.working.silence import SILENT
from trials.fetching import fetched_folder
from trials.temporary import remove_leftovers, temporary_for


class Workplace:
    """That of one piece of work: the trial's `folder`, the `room` that its files pass through, and
    `take_over`, where the checkpoint lies that it goes on from."""

    def __init__(self, work: Work) -> None:
        self.folder = Path(work.folder)
        self.room = Path(work.room)
        self.take_over = work.take_over

    def publish(self) -> None:
        """Have the folder as it is be what another attempt goes on from."""

    def say(self, silent: str) -> None:
        """This process is about to end, for this reason."""

    def leave(self) -> None:
        """Nothing more is done here."""


class ScratchPlace(Workplace):
    """One on a machine that sees no folder of the home."""

    def __init__(self, work: Work, place: Place) -> None:
        name = f"{work.number:05d}"
        scratch = _scratch()
        remove_leftovers(scratch, below=False)
        self._whole = temporary_for(scratch / name)
        self.folder = self._whole / name
        self.take_over = None
        self._store = Store(work.bucket).below(name)
        self._attempt = work.attempt
        self._publisher: Publisher | None = None
        try:
            self.folder.mkdir(parents=True)
            self._take_up(work, place)
            self.room = attempts.hand_out(self.folder)
        except BaseException:
            self.leave()
            raise

    def _take_up(self, work: Work, place: Place) -> None:
        if work.attempt:
            self._publisher = Publisher(self._store, work.attempt, self.folder, _is_own)
            self._publisher.take_up({attempts.PLACE: place.text()})
        if work.take_over is not None:
            self.take_over = self._donated(Store(work.bucket), work.take_over)

    def publish(self) -> None:
        if self._publisher is not None:
            self._publisher.publish()

    def say(self, silent: str) -> None:
        log = (self.folder / attempts.LOG).read_text(encoding="utf-8", errors="replace")
        Commits(self._store).last_words(self._attempt, {SILENT: silent, "log": log})

    def leave(self) -> None:
        shutil.rmtree(self._whole, ignore_errors=True)

    def _donated(self, bucket: Store, place: str) -> str:
        """Have here what another trial has kept, `…/00003/kept/000500`; nothing where it has not
        any more."""
        donor, *kept = Path(place).parts[-3:]
        store = bucket.below(donor)
        standing = Commits(store).standing()
        beginning = "/".join(kept) + "/"
        files = standing.commit.files if standing is not None else {}
        asked = {name: entry for name, entry in files.items() if name.startswith(beginning)}
        fetch(store, self._whole / donor, asked)
        return str(self._whole.joinpath(donor, *kept))


def cache_at(cache: str) -> Path:
    """The folder of caches that all trials share; without one that of this machine."""
    return Path(cache) if cache else fetched_folder() / "cache"


@contextmanager
def to_be_drawn_from(folder: Path, bucket: str) -> Iterator[Path]:
    """A trial's folder with its generator; where trials publish at `bucket`, a copy for as long as
    the block is.

    Raises:
        BucketError: it cannot be had.
    """
    if not bucket:
        yield folder
        return
    whole = temporary_for(_scratch() / folder.name)
    store = Store(bucket).below(folder.name)
    standing = Commits(store).standing()
    files = standing.commit.files if standing is not None else {}
    try:
        fetch(store, whole, {name: entry for name, entry in files.items() if is_drawn_from(name)})
        yield whole
    finally:
        shutil.rmtree(whole, ignore_errors=True)


def _is_own(name: str) -> bool:
    """Whether a file is one that a training goes on with; what it keeps for others stays where it
    is."""
    return not name.startswith(f"{KEPT_FOLDER}/")


def workplace_for(work: Work, place: Place) -> Workplace:
    """That of a piece of work, for a worker at this place.

    Raises:
        BucketError: what was published cannot be had (BucketAway: not now).
        TakenOver: a later attempt has begun.
        OSError: there is no room.
    """
    return ScratchPlace(work, place) if work.bucket else Workplace(work)


def _scratch() -> Path:
    folder = Path(tempfile.gettempdir()) / f"gan-sweeper-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.geteuid() or folder.is_symlink():
        raise SweeperError(
            f"{folder} belongs to another account: set TMPDIR to a folder of your own"
        )
    return folder
