"""MLflow's own pages over the database that sweeps are recorded in, for this machine only."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from sweeper.errors import TrackingError, UserError
from sweeper.home import Home
from sweeper.permissions import private
from sweeper.secrets import without_user
from sweeper.tracking.address import database_file, is_server, tracking_uri
from sweeper.tracking.moved import follow_home
from sweeper.tracking.pages import tracking_pages
from sweeper.tracking.serving import run_server
from sweeper.tracking.vendor import ENVIRONMENT
from sweeper.wording import visible

LOOPBACK = "127.0.0.1"
USUAL_PORT = 5000
_MOST_PAGES = 8


def ui_command(home: Path, port: int | None = None) -> list[str]:
    """The command that serves MLflow over the database of this home's runs, on loopback alone.

    `port` is 5000 by default, or any free one where that is taken.
    """
    return [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        tracking_uri(home),
        "--artifacts-destination",
        str(home.absolute() / "mlartifacts"),
        "--host",
        LOOPBACK,
        "--port",
        str(port or free_port()),
        "--workers",
        "1",
    ]


def ui_address(command: list[str]) -> str:
    """Where a browser finds what this command serves."""
    return f"http://{LOOPBACK}:{command[command.index('--port') + 1]}"


def serve_ui(home: Path, port: int | None = None) -> int:
    """Print the address and serve until Ctrl-C or another signal. Returns the exit status.

    Where the sweeps of this home are recorded on a server, that server is the place to look.

    Raises:
        UserError: no sweep was recorded yet, or the port is taken.
        TrackingError: the home cannot have a database, or names no MLflow; or its server fails.
    """
    uri = tracking_uri(home)
    if is_server(uri):
        print(f"The runs are recorded at {without_user(uri)}: open that in a browser.")
        return 0
    file = database_file(uri)
    if file is not None and not file.exists():
        raise UserError(f"nothing is recorded in {file} yet; `sweeper run FILE` does")
    if port is not None and free_port(port) != port:
        raise UserError(f"port {port} is taken; name another, or none to have a free one")
    if moved := follow_home(uri, home.absolute() / "mlartifacts"):
        print(visible(moved))
    command = ui_command(home, port)
    print(f"MLflow: {ui_address(command)}  (Ctrl-C ends it)")
    for name, page in newest_pages(home, uri, f"{ui_address(command)}/").items():
        print(f"  {name:<20} {page}")
    sys.stdout.flush()
    with private(home):
        return run_server(command, {**os.environ, **ENVIRONMENT})


def newest_pages(home: Path, uri: str, root: str) -> dict[str, str]:
    """Of the sweeps of a home that are recorded at `uri`, the last few: name → where MLflow, below
    `root`, shows all trials of it."""
    here = Home(home)
    outboxes = {name: here.sweep(name).outbox for name in here.names()}
    there = {name: path.stat().st_mtime for name, path in outboxes.items() if path.exists()}
    found: dict[str, str] = {}
    for name in sorted(there, key=there.__getitem__, reverse=True):
        try:
            pages = tracking_pages(outboxes[name], root)
        except TrackingError:  # damaged: `sweeper run` says so
            continue
        if pages.address == uri and pages.sweep is not None:
            found[name] = pages.sweep
        if len(found) == _MOST_PAGES:
            break
    return found


def free_port(preferred: int = USUAL_PORT) -> int:
    """`preferred` if no process listens there, else (and for 0) one that the system has to spare.

    Raises:
        OSError: there is none.
    """
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free on this machine")
