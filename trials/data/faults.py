"""What is wrong with data, tied to the setting that points at them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from trials.errors import DataError
from trials.fetching import FetchError, fetched
from trials.files import opened_regular
from trials.problems import Problem
from trials.urls import Url


class SettingError(DataError):
    """A `DataError` that knows its setting, so that `validate` can list it."""

    def __init__(self, knob: str, message: str, expected: str = "", nearest: str = "") -> None:
        self.problems = [Problem(f"data.{knob}", message, expected, nearest)]
        super().__init__(str(self.problems[0]))

    def add(self, others: Iterable[Self]) -> Self:
        """This fault, together with `others` that were found by the same look."""
        self.problems += [problem for other in others for problem in other.problems]
        self.args = ("; ".join(map(str, self.problems)),)
        return self


def raise_all(faults: Iterable[SettingError]) -> None:
    """Raise what one look has found, all at once; nothing where it has found nothing."""
    found = list(faults)
    if found:
        raise found[0].add(found[1:])


def at_hand(path: Path, knob: str) -> Path:
    """Where what a setting names lies on this machine: `~` expanded, an address fetched.

    Raises:
        SettingError: it is an address, and cannot be fetched.
    """
    if not isinstance(path, Url):
        return path.expanduser()
    try:
        return fetched(path)
    except FetchError as error:
        raise SettingError(knob, str(error)) from error


def require_file(path: Path, knob: str, expected: str) -> Path:
    """`path`, once it is known to be a readable file that is not empty.

    Raises:
        SettingError: it is not; `expected` says what should have been there.
    """
    if not path.exists():
        raise SettingError(knob, f"{path} {_not_there(path)}", expected)
    if not path.is_file():
        raise SettingError(knob, f"{path} is not a file", expected)
    try:
        with opened_regular(path) as file:
            empty = not file.read(1)
    except OSError as error:
        raise SettingError(knob, f"{path} cannot be read: {error.strerror}", expected) from error
    if empty:
        raise SettingError(knob, f"{path} is an empty file", expected)
    return path


def require_folder(path: Path, knob: str, expected: str) -> Path:
    """`path`, once it is known to be a folder that can be listed.

    Raises:
        SettingError: it is not; `expected` says what should have been there.
    """
    if not path.exists():
        raise SettingError(knob, f"{path} {_not_there(path)}", expected)
    if not path.is_dir():
        raise SettingError(knob, f"{path} is not a folder", expected)
    try:
        next(path.iterdir(), None)
    except OSError as error:
        raise SettingError(knob, f"{path} cannot be listed: {error.strerror}", expected) from error
    return path


def _not_there(path: Path) -> str:
    return "is a link that leads nowhere" if path.is_symlink() else "does not exist"
