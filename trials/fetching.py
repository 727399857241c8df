"""Bringing here what lies at an address: once a machine, whole, and with its hashes.

    FETCHED/ADDRESS-STATE/content/…      the file, or the folder, under its own name
    FETCHED/ADDRESS-STATE/manifest.json  size and sha256 of every file

FETCHED is `$SWEEPER_FETCHED`, else `gan-sweeper` in the user's folder for caches. STATE is a hash
of what the storage says of the files (sizes, entity tags, times), so that what has changed there is
fetched again, beside what there was. An entry is filled under another name and renamed once its
manifest is in it: a kill leaves nothing that is ever read. What was fetched is looked at before it
is used, and a file that is not as it came is hashed.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from trials.errors import TrialError, reason_of
from trials.files import alone, atomic_write
from trials.storages import StorageError, opened
from trials.temporary import remove_leftovers, temporary_for
from trials.urls import Url

log = logging.getLogger(__name__)

FOLDER_VARIABLE = "SWEEPER_FETCHED"
MANIFEST, CONTENT = "manifest.json", "content"

_SAID = (
    *("size", "ETag", "etag", "md5Hash", "content_md5", "VersionId", "generation", "blob_id"),
    *("LastModified", "last_modified", "updated", "mtime", "created"),
)
"""What the storages say of a file that changes with it; each says a few of these."""

_here: dict[str, Path] = {}
"""What this process has looked at: an address is asked about once."""


class FetchError(TrialError):
    """What an address names cannot be brought here."""


class Remote(NamedTuple):
    """A file of a storage: its whole name there, and what is said of it."""

    name: str
    facts: Mapping[str, Any]


def fetched(url: Url) -> Path:
    """The path on this machine of the file, folder or pattern (`*`) that an address names.

    Raises:
        FetchError: there is none, or it cannot be read, with the extra to install where one is
            lacking; or what came is not what the storage says of it.
        OSError: there is no room for it.
    """
    address = str(url)
    if address not in _here or not _here[address].parent.exists():
        _here[address] = _fetch(url)
    return _here[address]


def fetched_folder() -> Path:
    """Where what was fetched lies on this machine."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen).expanduser().absolute()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "gan-sweeper"


def _fetch(url: Url) -> Path:
    try:
        storage, place = opened(str(url))
    except StorageError as error:
        raise FetchError(str(error)) from error
    home, known = fetched_folder(), _digest(str(url))
    home.mkdir(parents=True, exist_ok=True)
    try:
        files = _listed(storage, place, url)
    except FetchError:
        raise
    except Exception as error:
        if earlier := _newest(home, known):
            log.warning(
                "%s cannot be asked (%s); going on with what was fetched", url, reason_of(error)
            )
            return _place_in(earlier, place)
        raise FetchError(f"{url} cannot be read: {reason_of(error)}") from error
    entry = home / f"{known}-{_digest(json.dumps(_state(files), sort_keys=True))}"
    with alone(home / f"{known}.lock"):
        if not _is_whole(entry):
            remove_leftovers(home, below=False)
            _fill(entry, storage, place, files, url)
    return _place_in(entry, place)


def _listed(storage: Any, place: str, url: Url) -> list[Remote]:
    """The files that an address names: one listing, however many they are."""
    try:
        if _is_pattern(place):
            found = storage.glob(place, detail=True)
        elif (facts := storage.info(place))["type"] == "directory":
            found = storage.find(place, detail=True)
        else:
            found = {place: facts}
    except FileNotFoundError as error:
        raise FetchError(f"there is nothing at {url}") from error
    files = [Remote(name, facts) for name, facts in sorted(found.items()) if _is_file(facts)]
    if not files:
        raise FetchError(f"there is no file at {url}")
    return files


def _is_file(facts: Mapping[str, Any]) -> bool:
    return str(facts.get("type", "file")) == "file"


def _is_pattern(place: str) -> bool:
    return any(sign in place for sign in "*?[")


def _state(files: list[Remote]) -> list[Any]:
    return [
        (file.name, {key: str(file.facts[key]) for key in _SAID if key in file.facts})
        for file in files
    ]


def _fill(entry: Path, storage: Any, place: str, files: list[Remote], url: Url) -> None:
    """Fetch the files into a new entry.

    Raises:
        FetchError: the storage did not give them as it says they are.
        OSError: there is no room for them.
    """
    unfinished = temporary_for(entry)
    try:
        local = [unfinished / CONTENT / _name_in(place, file.name, url) for file in files]
        for folder in {path.parent for path in local}:
            folder.mkdir(parents=True, exist_ok=True)
        size = sum(int(file.facts.get("size") or 0) for file in files)
        log.info("fetching %d files, %.3g MB, from %s", len(files), size / 1e6, url)
        try:
            storage.get([file.name for file in files], [str(path) for path in local])
            storage.invalidate_cache()
            same = _state(_listed(storage, place, url)) == _state(files)
        except FetchError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise FetchError(f"{url} cannot be fetched: {reason_of(error)}") from error
        if not same:
            raise FetchError(f"{url} has changed while it was fetched")
        manifest = {
            path.relative_to(unfinished / CONTENT).as_posix(): _checked(path, file, url)
            for path, file in zip(local, files, strict=True)
        }
        atomic_write(
            unfinished / MANIFEST, json.dumps({"address": str(url), "files": manifest}, indent=2)
        )
        shutil.rmtree(entry, ignore_errors=True)
        unfinished.rename(entry)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _checked(path: Path, file: Remote, url: Url) -> dict[str, Any]:
    """What the manifest says of a file that has come, once that is what the storage says of it."""
    facts, hashes = path.stat(), _hashes(path)
    told = file.facts.get("size")
    lfs = file.facts.get("lfs") or {}
    sha256 = lfs.get("sha256") if isinstance(lfs, Mapping) else getattr(lfs, "sha256", None)
    md5 = file.facts.get("md5Hash")
    wrong = (
        (told is not None and int(told) != facts.st_size)
        or (sha256 is not None and sha256 != hashes["sha256"])
        or (isinstance(md5, str) and base64.b64decode(md5).hex() != hashes["md5"])
    )
    if wrong:
        raise FetchError(f"{url}: what came of {file.name} is not what lies there")
    return {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns, "sha256": hashes["sha256"]}


def _hashes(path: Path) -> dict[str, str]:
    made = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", "md5")}
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            for one in made.values():
                one.update(block)
    return {name: one.hexdigest() for name, one in made.items()}


def _is_whole(entry: Path) -> bool:
    """Whether an entry holds what its manifest says: by size and time, and where the time is
    another, by hash."""
    try:
        files = json.loads((entry / MANIFEST).read_text("utf-8"))["files"]
        for name, told in files.items():
            path = entry / CONTENT / name
            facts = path.stat()
            if facts.st_size != told["size"]:
                return False
            if facts.st_mtime_ns != told["mtime_ns"] and _hashes(path)["sha256"] != told["sha256"]:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _newest(home: Path, known: str) -> Path | None:
    """What was last fetched of an address."""
    whole = [entry for entry in home.glob(f"{known}-*") if _is_whole(entry)]
    return max(whole, key=lambda entry: entry.stat().st_mtime, default=None)


def _place_in(entry: Path, place: str) -> Path:
    """Where the file, the folder or the pattern is in an entry."""
    return entry / CONTENT / PurePosixPath(place).name


def _name_in(place: str, name: str, url: Url) -> str:
    """The name of a file in its entry: below the last name of the address; beside one another where
    that is a pattern."""
    base = PurePosixPath(place)
    if _is_pattern(place):
        inside = PurePosixPath(name).name
    else:
        inside = PurePosixPath(name).relative_to(base.parent).as_posix()
    if ".." in PurePosixPath(inside).parts:
        raise FetchError(f"{url} names {name}, which would lie elsewhere")
    return inside


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
