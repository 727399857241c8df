"""Ray's servers as processes of this machine: which are ours, and do they live?"""

from __future__ import annotations

import psutil


def is_dead(server: psutil.Process) -> bool:
    """Whether it runs no more, reaped or not."""
    try:
        return not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it died between the two questions
        return True


def server_name(server: psutil.Process) -> str:
    """What a process calls itself; `server` for one that is gone."""
    try:
        return str(server.name())
    except psutil.Error:
        return "server"


def children() -> list[psutil.Process]:
    """All that this process has started and that still lives."""
    return list(psutil.Process().children(recursive=True))


def servers() -> list[psutil.Process]:
    """The two servers of a Ray that this process has started."""
    return [child for child in children() if server_name(child) in ("raylet", "gcs_server")]
