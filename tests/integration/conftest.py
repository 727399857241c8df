"""MLflow for tests of what is recorded: an empty database, and one real server for all of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mlflow_server import Server, make_database


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_database(tmp_path_factory.mktemp("schema"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[str]:
    """Address of a real MLflow server."""
    home = tmp_path_factory.mktemp("served")
    shutil.copy(database, home / "mlflow.db")
    served = Server(home)
    served.start()
    try:
        served.wait()
        yield served.address
    finally:
        served.kill()


@pytest.fixture(params=["database", "server"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "server":
        return str(request.getfixturevalue("server"))
    shutil.copy(request.getfixturevalue("database"), tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"
