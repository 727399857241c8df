"""MLflow's own pages over the database that sweeps are recorded in, for this machine only."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from sweeper.errors import UserError
from sweeper.privacy import private
from sweeper.secrets import without_user
from sweeper.tracking.address import database_file, is_server, tracking_uri
from sweeper.tracking.moved import follow_home
from sweeper.tracking.serving import run_server
from sweeper.tracking.vendor import ENVIRONMENT
from sweeper.wording import visible

LOOPBACK = "127.0.0.1"
USUAL_PORT = 5000


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
    print(f"MLflow: {ui_address(command)}  (Ctrl-C ends it)", flush=True)
    with private(home):
        return run_server(command, {**os.environ, **ENVIRONMENT})


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
