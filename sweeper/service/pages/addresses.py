"""Where things are: every address that a page links to, made in one place."""

from __future__ import annotations

from urllib.parse import quote


def sweep(name: str) -> str:
    """The page of a sweep."""
    return f"/sweeps/{quote(name, safe='')}"


def trial(name: str, number: int) -> str:
    """The page of a trial."""
    return f"{sweep(name)}/trials/{number}"


def samples(name: str, number: int, step: int) -> str:
    """A grid of samples, as PNG."""
    return f"/api/v1{trial(name, number)}/samples/{step}"
