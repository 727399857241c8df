"""A sweep stays in the MLflow that it is recorded in, until its user moves it.

The outbox keeps the address that it was sent to. Another one may be another name of the same
MLflow: a server in front of a home's database, a home that has moved. Then it has the sweep's own
run. Where it has not, all that was ever recorded would be sent again, to a place where nobody may
want it: so nothing is sent, until `sweeper sync NAME --to ADDRESS` asks for it.
"""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path

from sweeper.errors import RecordedElsewhere, TrackingError
from sweeper.secrets import without_user
from sweeper.tracking.address import database_file
from sweeper.tracking.database import Database
from sweeper.tracking.names import ADDRESS, SWEEP
from sweeper.tracking.store import Gone, Store


def keep_to(outbox: Path, uri: str, artifacts: Path, name: str) -> None:
    """Make sure that what is said next is sent to where the rest of it is.

    `name` is what the sweep is called in a command, with the flag of its home.

    Raises:
        RecordedElsewhere: the MLflow at `uri` is another one than that which the sweep is in, or
            cannot be asked.
        TrackingError: the outbox cannot be read.
    """
    if not outbox.exists():
        return
    with closing(Database(outbox)) as database:
        recorded = database.meta(ADDRESS)
        with database.reading() as connection:
            row = connection.execute(
                "SELECT run_id FROM runs WHERE number = ? AND run_id IS NOT NULL", (SWEEP,)
            ).fetchone()
        if row is None or recorded in ("", uri):
            return
        if why := _lacks(uri, artifacts, row[0]):
            new, old = without_user(uri), without_user(recorded)
            raise RecordedElsewhere(
                f"{name.partition(' ')[0]} is recorded at {old}, and the address that is set now, "
                f"{new}, {why}: nothing was sent. Set the first one again (tracking.uri in the "
                "sweep file, else MLFLOW_TRACKING_URI), or have everything sent to the other with "
                f"`sweeper sync {name} --to {shlex.quote(new)}`"
            )
        database.set_meta(ADDRESS, uri)


def move_to(outbox: Path, uri: str) -> None:
    """From now on the sweep is recorded at `uri`. What the MLflow before it has refused for good is
    tried again.

    Raises:
        TrackingError: the outbox cannot be written.
    """
    with closing(Database(outbox)) as database, database.writing() as connection:
        if database.meta(ADDRESS) != uri:
            database.set_meta(ADDRESS, uri)
            connection.execute("DELETE FROM failures")


def _lacks(uri: str, artifacts: Path, run_id: str) -> str:
    """Why an MLflow is not the one that has this run; empty where it is."""
    file = database_file(uri)
    if file is not None and not file.exists():  # opening it would make one
        return "has nothing of it"
    try:
        Store(uri, artifacts).is_deleted(run_id)
    except Gone:
        return "has nothing of it"
    except TrackingError as error:
        return f"cannot be asked whether it is the same ({error})"
    return ""
