"""Which MLflow a home records to, and how its address is said without giving a secret away."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from sweeper.errors import TrackingError

URI_VARIABLE = "MLFLOW_TRACKING_URI"

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https", "databricks")


def tracking_uri(home: Path, configured: str | None = None) -> str:
    """The sweep file's own `tracking.uri`, else $MLFLOW_TRACKING_URI, else the home's database.

    Raises:
        TrackingError: the address cannot work: a folder (MLflow no longer records into plain
            files), a home whose path an address cannot hold, or a password in the address, where
            every process list and every copy of the sweep file would show it.
    """
    uri = configured or os.environ.get(URI_VARIABLE) or _own_database(home)
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme not in (*_DATABASES, *_SERVERS) and uri != "databricks":
        raise TrackingError(
            f"MLflow cannot record to {redacted(uri)!r}: expected sqlite:///FILE.db or the "
            "address of a server, http(s)://HOST:PORT"
        )
    if urlsplit(uri).password is not None:
        where = (
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            if scheme in _SERVERS
            else "PGPASSFILE or the database's own environment"
        )
        raise TrackingError(f"no password in an address ({redacted(uri)}): put it into {where}")
    return uri


def _own_database(home: Path) -> str:
    path = str(home.absolute())
    if "%" in path or "?" in path:
        raise TrackingError(
            f"MLflow cannot keep its database in {path}: '%' and '?' mean something else in an "
            "address; choose another home, or name a tracking server with tracking.uri"
        )
    return f"sqlite:///{path}/mlflow.db"


def is_server(uri: str) -> bool:
    """Whether runs go to a server, which has pages of its own, and to no database."""
    return uri == "databricks" or urlsplit(uri).scheme in _SERVERS


def database_file(uri: str) -> Path | None:
    """The file of an SQLite address; None for anything else."""
    # As SQLAlchemy reads it: a `#` belongs to the name, where urlsplit would end the path.
    _, scheme, rest = uri.partition("sqlite:///")
    name = rest.partition("?")[0]
    return Path(name) if scheme and name not in ("", ":memory:") else None


def redacted(uri: str) -> str:
    """`uri` without its user and password."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else uri


def artifact_root(uri: str, folder: Path, experiment: str) -> str | None:
    """Where the artifacts of a new experiment go; None where a server decides that itself."""
    if urlsplit(uri).scheme.partition("+")[0] in _DATABASES:
        return (folder.absolute() / experiment).as_uri()
    return None
