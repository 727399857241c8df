"""Who may write into a trial's folder: the worker that the trial was handed to last.

Each hand-out makes a room in the folder, `.attempt-…`, which the worker's files pass through
(`trials.files.writing_through`), and removes the room of the attempt before. A worker that was
stopped in the middle of a write, by SIGSTOP or with a machine that slept, finds its room gone when
it wakes: what it had begun gets no name in the folder, wherever it was stopped. So there is nothing
to check between two writes, and no moment in which a check is out of date. The trial's log, written
line by line, is opened by its name in the room, and `log.txt` is another file from the moment that
the room is gone: what the worker has open has no name any more.

The driver alone makes and removes rooms; of drivers there is one (`SweepFolder.lock`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from sweeper.errors import SweeperError
from sweeper.scheduling.machines.places import Place
from sweeper.scheduling.working.failures import DiskFull, is_disk_full
from sweeper.scheduling.working.silence import SILENT
from trials.errors import TakenOver
from trials.files import atomic_write, writing_through

_ROOM, _OVER = ".attempt-", ".over-"
_COPY = "copy"
PLACE = "place"
"""In a room: where its worker is."""
LOG = "log.txt"
"""What a trial prints, in its folder."""


def hand_out(folder: Path) -> Path:
    """Make the room of a new attempt at the trial in `folder`, which is made if need be.

    Raises:
        SweeperError: the folder cannot be written (DiskFull where it is for want of space).
    """
    room = folder / f"{_ROOM}{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        take_back(folder)
        room.mkdir()
        (folder / LOG).touch()
        _also_name(folder / LOG, room / LOG)
    except OSError as error:
        kind = DiskFull if is_disk_full(error) else SweeperError
        raise kind(f"cannot write in {folder}: {error.strerror}; nothing is lost") from error
    return room


def write_no_log(folder: Path) -> None:
    """The worker of the present attempt writes its log elsewhere: it comes here by another way."""
    for room in folder.glob(f"{_ROOM}*"):
        (room / LOG).unlink(missing_ok=True)


def take_back(folder: Path) -> None:
    """From now on no worker may write into the folder."""
    for room in folder.glob(f"{_ROOM}*"):
        # In one step: whoever writes there meanwhile would keep it from being removed.
        room.rename(folder / f"{_OVER}{room.name.removeprefix(_ROOM)}")
    for over in folder.glob(f"{_OVER}*"):
        if (over / LOG).is_file():
            shutil.copyfile(over / LOG, over / _COPY)
            os.replace(over / _COPY, folder / LOG)
            (over / LOG).unlink()
        shutil.rmtree(over, ignore_errors=True)


def _also_name(log: Path, name: Path) -> None:
    try:
        os.link(log, name)
    except FileNotFoundError:
        raise
    except OSError:  # not every file system knows a second name: it is told of at the end
        shutil.copyfile(log, name)


def place_of(folder: Path) -> Place:
    """Where the present attempt runs; nothing is known where its worker has not said so yet."""
    for room in folder.glob(f"{_ROOM}*"):
        with contextlib.suppress(OSError):
            return Place.read((room / PLACE).read_text(encoding="utf-8"))
    return Place()


def silent_in(folder: Path) -> str:
    """Why the worker of the present attempt ended itself; empty where it did not (`silence`)."""
    for room in folder.glob(f"{_ROOM}*"):
        with contextlib.suppress(OSError):
            return (room / SILENT).read_text(encoding="utf-8")
    return ""


def say(folder: Path, said: Mapping[str, str]) -> None:
    """Write down what the worker of the present attempt has said from afar, as if it had here."""
    for room in folder.glob(f"{_ROOM}*"):
        with contextlib.suppress(FileNotFoundError):  # it is over this instant
            _sign(room, Place.read(said.get(PLACE, "")))
            if SILENT in said:
                (room / SILENT).write_text(said[SILENT], encoding="utf-8")
                atomic_write(folder / LOG, said.get("log", ""))


def _sign(room: Path, place: Place) -> None:
    (room / PLACE).write_text(place.text(), encoding="utf-8")


@contextlib.contextmanager
def taken_up(room: Path, place: Place) -> Iterator[None]:
    """Inside, the files of a worker at this place pass through the room that it was handed.

    Raises:
        TakenOver: the room is gone.
    """
    try:
        _sign(room, place)
    except FileNotFoundError as error:
        raise TakenOver(f"another attempt is running in {room.parent}") from error
    with writing_through(room):
        yield


def is_over(room: Path) -> bool:
    """Whether another attempt has begun, or the trial has ended."""
    return not os.path.isdir(room)
