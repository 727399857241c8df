"""Writing files so that a crash at any moment leaves the old content or the new, never a part;
reading those that somebody else made, whatever lies at their paths."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from trials.errors import TakenOver
from trials.temporary import temporary_for

Content = bytes | str | Callable[[Path], object]
"""What a file is to hold: bytes, a text, or a function that writes the file whose path it is given,
for libraries that write files themselves."""


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Have whoever else takes this lock wait, on other machines too that share the folder.

    Some network file systems have no locks: then both do the work of one, and what they write must
    be right all the same.
    """
    with lock.open("a") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


_room: ContextVar[Path | None] = ContextVar("room", default=None)


@contextlib.contextmanager
def writing_through(room: Path) -> Iterator[None]:
    """Inside, the files of the folder in which `room` stands pass through `room`.

    A file gets its name by a rename out of the room, and the system refuses that once the room has
    another name or is gone. So whoever moves the room away ends all writing of this kind at once,
    also that of a process that was stopped between any two of its instructions and wakes later.
    """
    token = _room.set(room)
    try:
        yield
    finally:
        _room.reset(token)


@contextlib.contextmanager
def temporary_of(path: Path) -> Iterator[Path]:
    """A new name, for what will be renamed to `path`: in its folder, or in the room that this
    folder is written through.

    Raises:
        TakenOver: there is such a room no more.
    """
    room = _room.get()
    if room is not None and not path.is_relative_to(room.parent):
        room = None
    beside = temporary_for(path)
    try:
        yield beside if room is None else room / beside.name
    except FileNotFoundError as error:
        if room is None or room.is_dir():
            raise
        raise TakenOver(f"another attempt goes on in {room.parent}") from error


def atomic_write(path: Path, content: Content) -> None:
    """Replace the file at `path` by `content` (a text is written as UTF-8), durably.

    Readers see the whole old file or the whole new one, and after this returns a power cut does
    not bring the old one back. The folder must exist.

    Raises:
        OSError: the content cannot be written (a full disk, no permission), with the path of what
            could not. The old file is intact
            and no temporary file is left, here and after whatever a function raises.
        TakenOver: the folder is written through a room that is gone (`writing_through`).
    """
    with temporary_of(path) as temporary:
        # Not tempfile.mkstemp: that makes it 0600 whatever the umask, and a home may be shared.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        try:
            if callable(content):
                content(temporary)
            else:
                temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            _sync(temporary, os.O_RDWR)
            os.replace(temporary, path)
        except BaseException as error:
            if isinstance(error, OSError) and error.filename is None:
                error.filename = os.fspath(path)  # a full disk does not say where
            temporary.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def also_name(path: Path, name: Path) -> None:
    """Give the file at `path` a second name, in place of what lies there.

    Raises:
        OSError: there is no such file, or no second name.
        TakenOver: the folder is written through a room that is gone (`writing_through`).
    """
    with temporary_of(name) as temporary:
        try:
            os.link(path, temporary)
        except FileNotFoundError:
            raise
        except OSError:  # not every file system knows a second name
            shutil.copyfile(path, temporary)
        os.replace(temporary, name)
        temporary.unlink(missing_ok=True)  # it stays where both are names of one file already


def remove(path: Path) -> None:
    """Remove the file at `path`, if there is one.

    Raises:
        TakenOver: the folder is written through a room that is gone (`writing_through`).
    """
    with temporary_of(path) as temporary:
        if os.path.lexists(path):
            os.replace(path, temporary)
    temporary.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make the names in this folder durable: a rename is lost in a power cut until this is done.

    Raises:
        OSError: there is no such folder, or it cannot be read.
    """
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class NotAFileError(OSError):
    """What lies at a path is no regular file: a pipe, a device, a folder."""


@contextlib.contextmanager
def opened_regular(path: Path) -> Iterator[BinaryIO]:
    """The file at `path`, open for reading; nothing but a regular file is ever opened.

    A pipe would wait for a writer, and a device may have no end.

    Raises:
        NotAFileError: there is something else.
        OSError: there is nothing, or it may not be read.
    """
    _require_regular(os.stat(path), path)
    # It may have become something else by now: do not wait for a writer, and look again.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _require_regular(os.fstat(descriptor), path)
        yield file


def obstacle(path: Path, most: int) -> str:
    """Why the file at `path` cannot be read, as far as a look can tell; empty where it can be.

    More than `most` bytes are an obstacle.
    """
    try:
        facts = os.stat(path)
        _require_regular(facts, path)
    except FileNotFoundError as error:
        return "a link that leads nowhere" if path.is_symlink() else str(error.strerror)
    except OSError as error:
        return str(error.strerror)
    if facts.st_size > most:
        return f"{facts.st_size:,} bytes, more than {most:,}"
    return "" if os.access(path, os.R_OK) else "permission denied"


_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
)


def _require_regular(facts: os.stat_result, path: Path) -> None:
    if stat.S_ISREG(facts.st_mode):
        return
    kind = next((name for is_one, name in _KINDS if is_one(facts.st_mode)), "something else")
    raise NotAFileError(errno.EINVAL, f"{kind}, not a file", str(path))
