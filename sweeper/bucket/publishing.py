"""One attempt at a trial in a scratch folder, which is published after each evaluation."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from sweeper.bucket.commits import FILES, Commit, Commits, Entry
from sweeper.bucket.copies import fetch, sha256_of
from sweeper.bucket.store import Store
from sweeper.errors import BucketError

AT_ONCE = 8 << 20
"""Bytes of a file that is sent from memory, as it was when it was hashed: a log may grow."""

CLOCK_TICK = 1.0
"""Seconds within which a file system may give two files the same time."""


def _everything(name: str) -> bool:
    return True


class Publisher:
    """Publishes a trial's `folder` as one attempt.

    `here` says of a file's name whether it is to be in the folder; the others stay in the commits
    as they are.
    """

    def __init__(
        self,
        store: Store,
        attempt: str,
        folder: Path,
        here: Callable[[str], bool] = _everything,
    ) -> None:
        self._commits = Commits(store)
        self._attempt = attempt
        self._folder = folder
        self._here = here
        self._number = 0
        self._key = ""
        self._standing = Commit()
        self._hashes: dict[tuple[int, int, int], str] = {}

    def take_up(self, said: Mapping[str, str]) -> None:
        """Claim the trial, and have in the folder what was published of it.

        Raises:
            BucketError: the store does not answer (BucketAway), refuses, or gives something else
                than was published.
            TakenOver: a later attempt has begun.
            OSError: there is no room for the files.
        """
        self._commits.claim(self._attempt, said)
        standing = self._commits.standing()
        self._number += 1
        # Also where there is nothing yet: what is removed next no earlier commit may stand on.
        self._put(Commit() if standing is None else standing.commit)
        self._commits.tidy(self._attempt, self._standing)
        here = {name: entry for name, entry in self._standing.files.items() if self._here(name)}
        try:
            fetch(self._commits.store, self._folder, here)
        except FileNotFoundError as error:
            raise BucketError(f"{self._commits.store.address} lacks a file: {error}") from error

    def publish(self) -> None:
        """Have the folder as it is now be what stands, whole.

        Raises:
            BucketError: the store does not answer (BucketAway), or refuses.
            TakenOver: a later attempt has begun.
            OSError: the folder cannot be read, or has gone.
        """
        self._number += 1
        before = self._standing.files
        known = {entry.sha256: entry for entry in before.values()}
        files = {name: entry for name, entry in before.items() if not self._here(name)}
        for name, path in _files(self._folder):
            sha256 = self._hash(path)
            files[name] = known.get(sha256) or self._sent(name, path, sha256)
            known[files[name].sha256] = files[name]
        if not self._folder.is_dir():  # by now, whenever it went: what was found may be half of it
            told = "what was trained there is not published, as the folder has gone"
            raise FileNotFoundError(errno.ENOENT, told, str(self._folder))
        self._become(files)

    def amended(self, *, without: Collection[str], plus: Mapping[str, bytes]) -> Commit:
        """Have what stands be without some files, and with others of this content."""
        self._number += 1
        files = {name: e for name, e in self._standing.files.items() if name not in without}
        self._become(files | {name: self._written(name, it) for name, it in plus.items()})
        return self._standing

    def _become(self, files: Mapping[str, Entry]) -> None:
        if files == self._standing.files:
            return
        before, key = self._standing, self._key
        self._put(Commit(files=files))
        kept = {entry.key for entry in files.values()}
        gone = {entry.key for entry in before.files.values()} - kept
        self._commits.let_go(self._attempt, [*filter(None, (key,)), *sorted(gone)])

    def _put(self, commit: Commit) -> None:
        self._key = self._commits.put(self._attempt, self._number, commit)
        self._standing = commit

    def _sent(self, name: str, path: Path, sha256: str) -> Entry:
        size = path.stat().st_size
        if size <= AT_ONCE:
            return self._written(name, path.read_bytes())
        key = self._key_of(name)
        self._commits.store.send(path, key)
        return Entry(key=key, size=size, sha256=sha256)

    def _written(self, name: str, content: bytes) -> Entry:
        key = self._key_of(name)
        self._commits.store.write(key, content)
        return Entry(key=key, size=len(content), sha256=hashlib.sha256(content).hexdigest())

    def _key_of(self, name: str) -> str:
        """Where a new file goes. A number is used once, also where it came to no commit that is
        known of: it may be there nevertheless."""
        return f"{FILES}/{self._attempt}.{self._number:06d}/{name}"

    def _hash(self, path: Path) -> str:
        """A file's hash; of one that has lain there as it is, from memory."""
        facts = path.stat()
        state = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if state not in self._hashes:
            sha256 = sha256_of(path)
            if time.time() - facts.st_mtime < CLOCK_TICK:  # another one may look the same
                return sha256
            self._hashes[state] = sha256
        return self._hashes[state]


def amend(
    store: Store, attempt: str, *, without: Collection[str], plus: Mapping[str, bytes]
) -> Commit:
    """Have what an `attempt` that has ended has published be without some files, and with others of
    this content. Returns that; what killed attempts have left goes too.

    Raises:
        BucketError: the store does not answer (BucketAway), or refuses.
        TakenOver: a later attempt has begun.
    """
    new = Commits(store).right_after(attempt)
    publisher = Publisher(store, new, Path(), here=lambda name: False)
    publisher.take_up({})
    return publisher.amended(without=without, plus=plus)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """A trial's files by their names; what begins with a dot is unfinished, or the attempt's."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                yield path.relative_to(folder).as_posix(), path
