"""MLflow's server behind the service: the command that starts it, and what it asks of us.

It listens on loopback alone, where no login stands before it: whoever has an account on the machine
finds it. It keeps what it is sent below HOME/mlartifacts, under addresses that begin with
`mlflow-artifacts:`, so that clients on other machines fetch and send artifacts through it.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from sweeper.secrets import for_children
from sweeper.tracking.ui import ui_command
from sweeper.tracking.vendor import ENVIRONMENT


def server_command(home: Path, port: int) -> list[str]:
    """The command that serves this home's runs on a port of loopback.

    Raises:
        TrackingError: the home cannot have a database.
    """
    quiet = "--log-level warning"  # else its log has a line a request, with what was asked
    command = ui_command(home, port)
    return [*command, "--allowed-hosts", f"127.0.0.1:{port}", "--uvicorn-opts", quiet]


def server_environment() -> dict[str, str]:
    """What that command is run with."""
    return {**for_children(os.environ), **ENVIRONMENT}


def authorization(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a server that is not ours wants to be told, from MLflow's own variables."""
    if token := environment.get("MLFLOW_TRACKING_TOKEN"):
        return {"authorization": f"Bearer {token}"}
    user, password = (environment.get(f"MLFLOW_TRACKING_{n}") for n in ("USERNAME", "PASSWORD"))
    if user and password:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"authorization": f"Basic {pair}"}
    return {}
