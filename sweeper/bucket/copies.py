"""Copies of what trials have published, in their folders of the home, for whoever reads.

    trials/00012/.published.json    which commit was looked at last, and what of it is here
    trials/00012/published.json     where each of its files lies, for whoever has no home

Nothing is fetched twice, and what a commit has no longer goes here as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from sweeper.bucket.commits import Commit, Commits, Entry, Standing, attempt_of, newest
from sweeper.bucket.giving_up import give_up, given_up
from sweeper.bucket.place import place_of
from sweeper.bucket.store import PATIENCE, Store
from sweeper.errors import BucketError
from sweeper.home import SweepFolder
from trials.files import atomic_write
from trials.state.names import ANY_GENERATOR, NEWEST_CHECKPOINT, PREVIOUS_CHECKPOINT
from trials.temporary import temporary_for

STAMP = ".published.json"
PUBLISHED = "published.json"

_TRIES = 5
"""At files that go while they are fetched, since there is a later commit."""

_HEAVY = (NEWEST_CHECKPOINT, PREVIOUS_CHECKPOINT, "kept/", ANY_GENERATOR)
"""How the names begin of what nobody reads who does not train or draw."""


def is_light(name: str) -> bool:
    """Whether a file is one of those that are read: settings, pictures, log, where it was made."""
    return not name.startswith(_HEAVY)


def is_drawn_from(name: str) -> bool:
    """Whether a file is one that samples are drawn by."""
    return is_light(name) or name.startswith(ANY_GENERATOR)


class _Stamp(BaseModel):
    key: str = ""
    commit: Commit = Commit()
    here: Mapping[str, str] = {}
    """Name → hash of what was fetched."""


class Copies:
    """Those of a sweep's trials, published at its address in a bucket."""

    def __init__(self, folder: SweepFolder, address: str, patience: float = PATIENCE) -> None:
        self._folder = folder
        self._store = Store(address, patience)

    def commits(self, number: int) -> Commits:
        """A trial's commits."""
        return Commits(self._store.below(self._folder.trial(number).name))

    def published(self, number: int) -> dict[str, int]:
        """`published_in` as it is now, whether that has come here yet or not.

        Raises:
            BucketError: the store does not answer (BucketAway), or refuses.
        """
        standing = self.commits(number).standing()
        files = standing.commit.files if standing is not None else {}
        return _still_there(self._folder.trial(number), files)

    def changed(self) -> list[int]:
        """The trials that have published since it was last looked at: one listing for all."""
        stands = {number: newest(keys) for number, keys in self._listed().items()}
        return [
            number
            for number, key in sorted(stands.items())
            if key and key != _stamp(self._folder.trial(number)).key
        ]

    def last_attempts(self) -> dict[int, str]:
        """The last attempt at each trial of which there is something: one listing for all."""
        return {number: max(map(attempt_of, keys)) for number, keys in self._listed().items()}

    def _listed(self) -> dict[int, list[str]]:
        keys: dict[int, list[str]] = {}
        for key in self._store.listed():
            name, _, rest = key.partition("/")
            if name.isdecimal():
                keys.setdefault(int(name), []).append(rest)
        return keys

    def bring(self, number: int, wanted: Callable[[str], bool] = is_light) -> set[str]:
        """Have the files that are `wanted` in a trial's folder, as they were published last.
        Returns the names of those that have come now.

        Raises:
            BucketError: the store does not answer (BucketAway), refuses, or gives something else.
            OSError: there is no room for them.
        """
        commits, folder = self.commits(number), self._folder.trial(number)
        for left in reversed(range(_TRIES)):
            standing = commits.standing()
            if standing is None:
                return set()
            try:
                return _bring(commits.store, folder, standing, wanted)
            except FileNotFoundError as error:
                if not left:
                    raise BucketError(f"{commits.store.address} lacks a file: {error}") from error
        return set()


def _bring(
    store: Store, folder: Path, standing: Standing, wanted: Callable[[str], bool]
) -> set[str]:
    folder.mkdir(parents=True, exist_ok=True)
    before, files = _stamp(folder), standing.commit.files
    for name in before.here.keys() - files.keys():
        (folder / name).unlink(missing_ok=True)
    here = {n: e.sha256 for n, e in files.items() if _is_here(folder, before, n, e)}
    asked = {n: e for n, e in files.items() if wanted(n) and n not in here}
    fetch(store, folder, asked)
    here |= {name: entry.sha256 for name, entry in asked.items()}
    stamp = _Stamp(key=standing.key, commit=standing.commit, here=here)
    if stamp != before:  # the stamp last: without it all this is done again
        atomic_write(folder / PUBLISHED, _addresses(store, standing.commit))
        atomic_write(folder / STAMP, stamp.model_dump_json())
    return set(asked)


def _addresses(store: Store, commit: Commit) -> str:
    """Where each file of a commit lies, and what it is to be, as JSON."""
    files = {
        name: {"address": f"{store.address}/{one.key}", "size": one.size, "sha256": one.sha256}
        for name, one in sorted(commit.files.items())
    }
    return json.dumps({"address": store.address, "files": files}, indent=2) + "\n"


def copies_of(folder: SweepFolder) -> Copies | None:
    """The copies of a sweep whose trials publish; None where their files are in the home."""
    address = place_of(folder)
    return Copies(folder, address) if address else None


def trial_folder(
    folder: SweepFolder, number: int, wanted: Callable[[str], bool] = is_light
) -> Path:
    """A trial's folder; where its files are in a bucket, with those in it that are `wanted`.

    Raises:
        BucketError: they cannot be had.
    """
    if copies := copies_of(folder):
        copies.bring(number, wanted)
    return folder.trial(number)


def bring_all(folder: SweepFolder) -> None:
    """Have in the trials' folders what is read of them, where they publish.

    Raises:
        BucketError: it cannot be had.
    """
    if copies := copies_of(folder):
        for number in copies.changed():
            copies.bring(number)


def published_in(folder: Path) -> dict[str, int]:
    """Name → size of what a trial has published, as it was known last; empty of one that does not
    publish."""
    return _still_there(folder, _stamp(folder).commit.files)


def _still_there(folder: Path, files: Mapping[str, Entry]) -> dict[str, int]:
    """Those of a trial's files that have not been given up, with their sizes."""
    if not files:
        return {}
    gone = {
        name
        for one in given_up(SweepFolder(folder.parents[1]))
        if folder.name == f"{one.number:05d}"
        for name in one.names
    }
    return {name: entry.size for name, entry in files.items() if name not in gone}


def give_up_published(folder: Path, names: Iterable[str]) -> None:
    """Those of these files that a trial has published are to go from the bucket too."""
    if published := published_in(folder).keys() & set(names):
        give_up(folder, published, attempt_of(_stamp(folder).key))


def fetch(store: Store, folder: Path, files: Mapping[str, Entry]) -> None:
    """Have these files in a folder, each whole and as it was published.

    Raises:
        FileNotFoundError: one is not there.
        BucketError: the store does not answer (BucketAway), refuses, or gives something else.
        OSError: there is no room for them.
    """
    for name, entry in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_for(path)
        try:
            store.fetch(entry.key, temporary)
            if temporary.stat().st_size != entry.size or sha256_of(temporary) != entry.sha256:
                raise BucketError(f"{store.address}/{entry.key} is not what was published")
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(folder: Path) -> _Stamp:
    try:
        return _Stamp.model_validate_json((folder / STAMP).read_bytes())
    except (OSError, ValidationError):
        return _Stamp()


def _is_here(folder: Path, stamp: _Stamp, name: str, entry: Entry) -> bool:
    if stamp.here.get(name) != entry.sha256:
        return False
    try:
        return (folder / name).stat().st_size == entry.size
    except OSError:
        return False
