"""Names of what is not whole yet. A name says who writes it, so that what a killed process has left
can be told from what another one is about to finish."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ENDING = ".tmp"
_NAME = re.compile(
    r"\..+\.(?P<machine>[^.]+)\.(?P<process>[0-9]{1,9})\.[0-9a-f]{8}" + re.escape(_ENDING)
)
_FORSAKEN_AFTER = 86400.0
"""Seconds without a write, below a folder too, after which what another machine has begun is taken
for left."""


def temporary_for(path: Path) -> Path:
    """A new name beside `path`, for a file or folder that will be renamed to it.

    Raises:
        IsADirectoryError: it has no name itself, as `.` and `/` have none.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    token = secrets.token_hex(4)
    return path.with_name(f".{path.name}.{_machine()}.{os.getpid()}.{token}{_ENDING}")


def remove_leftovers(folder: Path, *, below: bool = True) -> None:
    """Remove what processes that are gone have left unfinished in a folder, and `below` it.

    Of a process of this machine it is known whether it lives. What another machine has begun is
    left alone until it has not been written for a day. What cannot be removed stays.
    """
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            found = _NAME.fullmatch(name)
            if found and _is_left(Path(parent, name), found):
                _remove(Path(parent, name))
        folders[:] = [name for name in folders if below and not _NAME.fullmatch(name)]


def _is_left(path: Path, name: re.Match[str]) -> bool:
    if name["machine"] == _machine():
        return not _is_alive(int(name["process"]))
    try:
        return all(
            time.time() - one.lstat().st_mtime > _FORSAKEN_AFTER for one in _with_what_is_in(path)
        )
    except OSError:
        return False


def _with_what_is_in(path: Path) -> Iterator[Path]:
    """A file; or a folder and all below, since its own time tells only of the names right in it."""
    yield path
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            yield Path(parent, name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            # At once, as a folder that is being read or written is there whole or not at all.
            path.rename(gone := temporary_for(path.with_name("gone")))
            shutil.rmtree(gone)
        else:
            path.unlink()


def _machine() -> str:
    """This machine's name, as a part of a file's."""
    return re.sub(r"[^A-Za-z0-9-]", "-", platform.node())[:40] or "-"
