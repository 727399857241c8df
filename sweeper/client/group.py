"""What the groups of methods have in common."""

from __future__ import annotations

from urllib.parse import quote

from sweeper.client.transport import Transport
from sweeper.errors import UnknownSweep


class Group:
    """Methods that ask one server about one kind of thing."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport


def sweep_path(name: str) -> str:
    """Where a sweep is; no name leads elsewhere.

    Raises:
        UnknownSweep: none can have this name.
    """
    if name in ("", ".", "..") or "/" in name:
        raise UnknownSweep(f"there is no sweep {name!r}")
    return f"/sweeps/{quote(name, safe='')}"


def trial_path(name: str, number: int) -> str:
    """Where a trial is."""
    return f"{sweep_path(name)}/trials/{number:d}"
