"""What is wrong with data, tied to the setting that points at them."""

from __future__ import annotations

from pathlib import Path

from trials.errors import DataError
from trials.problems import Problem


class SettingError(DataError):
    """A `DataError` that knows its setting, so that `validate` can list it."""

    def __init__(self, knob: str, message: str, expected: str = "", nearest: str = "") -> None:
        self.problem = Problem(f"data.{knob}", message, expected, nearest)
        super().__init__(str(self.problem))


def require_file(path: Path, knob: str, expected: str) -> Path:
    """`path`, once it is known to be a readable file that is not empty.

    Raises:
        SettingError: it is not; `expected` says what should have been there.
    """
    if not path.exists():
        raise SettingError(knob, f"{path} does not exist", expected)
    if not path.is_file():
        raise SettingError(knob, f"{path} is not a file", expected)
    try:
        with path.open("rb") as file:
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
        raise SettingError(knob, f"{path} does not exist", expected)
    if not path.is_dir():
        raise SettingError(knob, f"{path} is not a folder", expected)
    try:
        next(path.iterdir(), None)
    except OSError as error:
        raise SettingError(knob, f"{path} cannot be listed: {error.strerror}", expected) from error
    return path
