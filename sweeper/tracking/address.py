"""Which MLflow a home records to."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from sweeper.errors import TrackingError
from sweeper.secrets import secrets_in, without_user

URI_VARIABLE = "MLFLOW_TRACKING_URI"

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https", "databricks")


def tracking_uri(home: Path, configured: str | None = None) -> str:
    """The sweep file's own `tracking.uri`, else $MLFLOW_TRACKING_URI, else the home's database.

    Raises:
        TrackingError: the address cannot work: a folder (MLflow no longer records into plain
            files), a home whose path an address cannot hold, or a secret in the address, where
            every process list and every copy of the sweep file would show it.
    """
    uri = configured or os.environ.get(URI_VARIABLE) or _own_database(home)
    scheme = _scheme(uri)
    if scheme not in (*_DATABASES, *_SERVERS) and uri != "databricks":
        raise TrackingError(
            f"MLflow cannot record to {without_user(uri)!r}: expected sqlite:///FILE.db or the "
            "address of a server, http(s)://HOST:PORT"
        )
    try:
        urlsplit(uri)
    except ValueError as error:
        raise TrackingError(f"{without_user(uri)} is not an address: {error}") from error
    for secret in secrets_in(uri):
        where = (
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or into MLFLOW_TRACKING_TOKEN"
            if scheme in _SERVERS
            else "PGPASSFILE or the database's own environment"
        )
        raise TrackingError(
            f"the address of MLflow, {without_user(uri)}, holds {secret.what} which logs and "
            f"process lists would show: put it into {where}"
        )
    return uri


def _own_database(home: Path) -> str:
    path = str(home.absolute())
    if "%" in path or "?" in path:
        raise TrackingError(
            f"MLflow cannot keep its database in {path}: '%' and '?' mean something else in an "
            "address; choose another home, or name a tracking server: tracking.uri in a sweep "
            "file, MLFLOW_TRACKING_URI for a service"
        )
    return f"sqlite:///{path}/mlflow.db"


def _scheme(uri: str) -> str:
    """`postgresql` of `PostgreSQL+psycopg://…`; empty where it is not an address."""
    return uri.partition("://")[0].partition("+")[0].lower() if "://" in uri else ""


def is_server(uri: str) -> bool:
    """Whether runs go to a server, which has pages of its own, and to no database."""
    return uri == "databricks" or _scheme(uri) in _SERVERS


def database_file(uri: str) -> Path | None:
    """The file of an SQLite address; None for anything else."""
    # As SQLAlchemy reads it: a `#` belongs to the name, where urlsplit would end the path.
    _, scheme, rest = uri.partition("sqlite:///")
    name = rest.partition("?")[0]
    return Path(name) if scheme and name not in ("", ":memory:") else None


def artifact_root(uri: str, folder: Path, experiment: str) -> str | None:
    """Where the artifacts of a new experiment go; None where a server decides that itself."""
    if _scheme(uri) in _DATABASES:
        return (folder.absolute() / experiment).as_uri()
    return None
