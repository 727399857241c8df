"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path


def at_home(path: Path) -> Path:
    """`path` with `~` or `~user` at its beginning expanded.

    Raises:
        ValueError: there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"there is no such user as {path.parts[0]}") from error


def folder_at(path: Path | str) -> Path:
    """The absolute path of a folder, which need not be there yet; `~` is expanded.

    Raises:
        ValueError: there can be none: an empty text, no such user, no UTF-8, below a file,
            relative to a folder that has been removed.
    """
    if not os.fspath(path):
        raise ValueError("its path is an empty string")
    try:
        here = at_home(Path(path)).absolute()
    except FileNotFoundError as error:
        raise ValueError(f"{path} lies in the current folder, which has been removed") from error
    try:
        os.fspath(here).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{here} is not UTF-8, as databases and tables need it") from error
    there = next(place for place in (here, *here.parents) if place.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is not a folder")
    return here
