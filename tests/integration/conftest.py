"""MLflow for tests of what is recorded: an empty database, and one real server for all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.tracking.store import Store
from sweeper.tracking.ui import free_port, ui_address, ui_command
from sweeper.tracking.vendor import ENVIRONMENT


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: making its schema takes seconds."""
    path = tmp_path_factory.mktemp("schema") / "mlflow.db"
    store = Store(f"sqlite:///{path}", path.parent)
    store.experiment("Default")
    store.fold()  # copies are made of the file alone
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[str]:
    """Address of a real MLflow server."""
    home = tmp_path_factory.mktemp("served")
    shutil.copy(database, home / "mlflow.db")
    command = ui_command(home, free_port(0))
    address = ui_address(command)
    process = subprocess.Popen(
        command,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=1):
                    break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture(params=["database", "server"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "server":
        return str(request.getfixturevalue("server"))
    shutil.copy(request.getfixturevalue("database"), tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"
