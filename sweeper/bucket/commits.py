"""The commits of one trial: which one stands, and the keys that an attempt may use.

What a bucket holds was written by others, so a commit is read as data, and its names stay inside
the folder that they are fetched to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sweeper.bucket.store import Store
from sweeper.errors import BucketError
from trials.errors import TakenOver

COMMITS, FILES = "commits", "files"

_COMMIT = re.compile(COMMITS + r"/([0-9]{6}-[0-9]{6}-[0-9a-f]+)\.([0-9]{6})\.json")
_SAID = re.compile(COMMITS + r"/([0-9]{6}-[0-9]{6}-[0-9a-f]+)\.(?:claim|words)")
_KEY = re.compile(r"(?:commits|files)/([0-9]{6}-[0-9]{6}-[0-9a-f]+)\.")

_LOOKS = 20
"""At a trial whose commits go while one looks: it publishes faster than that."""


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or any(part.startswith(".") for part in path.parts):
        raise ValueError(f"{name!r} is no name of a trial's file")
    return path.as_posix()


Inside = Annotated[str, AfterValidator(_inside)]


class Entry(BaseModel):
    """A file of a commit: the `key` of its content, and what that must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Inside
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="[0-9a-f]{64}")]


class Commit(BaseModel):
    """Every file of a trial at one moment, by its name in the trial's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: Mapping[Inside, Entry] = {}


@dataclass(frozen=True)
class Standing:
    """A commit with its `key`."""

    key: str
    commit: Commit


class Commits:
    """Those of the trial whose objects are below the store's address."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def standing(self) -> Standing | None:
        """The commit that stands; None before the first.

        Raises:
            BucketError: there is one that cannot be read.
        """
        for _ in range(_LOOKS):
            keys = sorted(filter(_COMMIT.fullmatch, self.store.listed(COMMITS)), reverse=True)
            try:
                return next(filter(None, map(self._read, keys)), None)
            except FileNotFoundError:  # there is a later one by now
                continue
        raise BucketError(f"the commits in {self.store.address} go while they are looked at")

    def _read(self, key: str) -> Standing | None:
        """The commit of a key; None of one that is cut off, as a folder on a disk leaves it."""
        try:
            return Standing(key, Commit.model_validate_json(self.store.read(key)))
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "json_invalid":
                return None
            told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise BucketError(f"{self.store.address}/{key} is no commit: {told}") from error

    def claim(self, attempt: str, said: Mapping[str, str]) -> None:
        """From now on the trial is this attempt's. `said` is what a reader may want to know."""
        self.store.write(f"{COMMITS}/{attempt}.claim", json.dumps(dict(said)).encode())

    def last_words(self, attempt: str, words: Mapping[str, str]) -> None:
        """What an attempt that ends itself has to say."""
        self.store.write(f"{COMMITS}/{attempt}.words", json.dumps(dict(words)).encode())

    def said(self) -> dict[str, str]:
        """What the last attempt has said, and its name as `attempt`; empty before the first."""
        keys = [key for key in self.store.listed(COMMITS) if _SAID.fullmatch(key)]
        last = max(map(attempt_of, keys), default="")
        told: dict[str, str] = {}
        for key in keys:
            if attempt_of(key) == last:
                try:
                    words = json.loads(self.store.read(key))
                    told |= {str(name): str(word) for name, word in words.items()}
                except (FileNotFoundError, ValueError, RecursionError, AttributeError):
                    continue
        return told | {"attempt": last} if last else {}

    def put(self, attempt: str, number: int, commit: Commit) -> str:
        """Have the commit stand from now on. Returns its key."""
        key = f"{COMMITS}/{attempt}.{number:06d}.json"
        self.store.write(key, commit.model_dump_json().encode())
        return key

    def begin_anew(self, attempt: str) -> None:
        """Have nothing of the trial stand from now on: what earlier attempts have published goes.

        Raises:
            TakenOver: a later attempt has begun.
        """
        self.claim(attempt, {})
        self.put(attempt, 1, Commit())
        self.tidy(attempt, Commit())

    def let_go(self, attempt: str, keys: Iterable[str]) -> None:
        """Remove what the attempt's commit, which stands, has no longer.

        Raises:
            TakenOver: a later attempt has begun, which may have it.
        """
        if keys := list(keys):
            self.see_to_it(attempt)
            self.store.remove(keys)

    def see_to_it(self, attempt: str) -> None:
        """See that the trial is this attempt's still.

        Raises:
            TakenOver: it is a later one's.
        """
        later = map(attempt_of, self.store.listed(COMMITS))
        if any(other > attempt for other in later):
            raise TakenOver(f"another attempt goes on with the trial in {self.store.address}")

    def right_after(self, attempt: str) -> str:
        """A new attempt, later than this one and than what came right after it, and earlier than
        whatever is handed out afterwards."""
        known = map(attempt_of, self.store.listed(COMMITS))
        return max((one for one in known if one.startswith(attempt)), default=attempt) + "f"

    def tidy(self, attempt: str, standing: Commit) -> None:
        """Remove what earlier attempts have left and this one's commit, which stands, has not.

        Raises:
            TakenOver: a later attempt has begun.
        """
        kept = {entry.key for entry in standing.files.values()}
        earlier = [key for key in self.store.listed() if "" < attempt_of(key) < attempt]
        self.let_go(attempt, (key for key in earlier if key not in kept))


def driver_of(attempt: str) -> int:
    """The attempt of the driver that has handed it out; 0 of none."""
    return int(attempt.partition("-")[0] or 0)


def newest(keys: Iterable[str]) -> str:
    """The key of the commit that stands, of those of one trial; empty before the first."""
    return max(filter(_COMMIT.fullmatch, keys), default="")


def attempt_of(key: str) -> str:
    """The attempt whose object this is; empty where it is none's."""
    found = _KEY.match(key)
    return found[1] if found else ""
