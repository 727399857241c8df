"""Paths as people write them."""

from __future__ import annotations

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
