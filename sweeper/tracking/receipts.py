"""The note of what has arrived in MLflow, or never will.

Each note is committed at once, so a writer killed at any moment repeats at most the one call whose
note it did not get to write; the calls are such that repeating them is harmless.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping

from sweeper.tracking.backlog import Backlog, FileRow, MetricRow, ModelRow, RunRow
from sweeper.tracking.descriptions import described, is_somebodys
from sweeper.tracking.names import MODEL_TAG, OWN_PREFIX, SENT_EXPERIMENT_TAGS, SWEEP
from sweeper.tracking.rows import kept_value, milliseconds
from sweeper.tracking.store import Known


class Receipts:
    """Writes into the outbox what became of its backlog.

    Raises:
        TrackingError: from every method, where the file cannot be written.
    """

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._database = backlog.database

    # The experiment

    def sent_experiment(self, tags: Mapping[str, str]) -> None:
        """The experiment has these tags, or a person's in their place."""
        self._database.set_meta(SENT_EXPERIMENT_TAGS, json.dumps(tags))

    # Runs

    def created(self, number: int, run_id: str, artifact_uri: str, tags: Mapping[str, str]) -> None:
        """MLflow has a new run, with these tags."""
        self._write(
            "UPDATE runs SET run_id = ?, artifact_uri = ?, sent_status = 'RUNNING', "
            "sent_tags = ? WHERE number = ?",
            (run_id, artifact_uri, json.dumps(tags), number),
        )

    def adopt(self, known: Known) -> None:
        """MLflow shows this run. If it is not the one known, or nothing of that counts as sent,
        all is sent again: tags of ours that it shows are changed or taken away, a description that
        somebody wrote is left."""
        number, status = known.number, known.status
        row = self._backlog.run(number)
        shown = (known.run_id, known.artifact_uri, status, status)
        if row and shown == (row.run_id, row.artifact_uri, row.sent_status, row.status):
            return  # that is known, and a driver may be waiting to write
        with self._database.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO runs (number) VALUES (?)", (number,))
            ours = "SELECT run_id FROM runs WHERE number = ? AND sent_status != ''"
            if connection.execute(ours, (number,)).fetchone() != (known.run_id,):
                _unsend(connection, number)
                connection.execute(
                    "UPDATE runs SET sent_tags = ? WHERE number = ?",
                    (json.dumps(_sent_tags(known.tags, row.tags if row else {})), number),
                )
            connection.execute(
                "UPDATE runs SET run_id = ?, artifact_uri = ?, sent_status = ? WHERE number = ?",
                (known.run_id, known.artifact_uri, status, number),
            )
            row = self._backlog.run(number)
            if row is not None and row.status != status:
                connection.execute("UPDATE runs SET sent = 0 WHERE number = ?", (number,))

    def forget(self, number: int) -> None:
        """MLflow has no such run any more: make it again, with all that belongs to it."""
        with self._database.writing() as connection:
            _unsend(connection, number)
            connection.execute(
                "UPDATE runs SET run_id = NULL, artifact_uri = NULL WHERE number = ?", (number,)
            )

    def send_all_again(self) -> None:
        """Have everything sent from its beginning: MLflow was brought back from a copy, and may
        lack anything that has arrived, or show what is so no longer (`adopt`). What it has refused
        for good is tried again.

        Which runs were ours is still known: only MLflow itself can say that it lacks them.
        """
        with self._database.writing() as connection:
            for (number,) in connection.execute("SELECT number FROM runs").fetchall():
                _unsend(connection, number)
            connection.execute("DELETE FROM failures")

    def sent_run(self, row: RunRow, tags: Mapping[str, str]) -> None:
        """All of this revision of the run has arrived; MLflow shows these tags."""
        self._write(
            "UPDATE runs SET sent = ?, sent_params = ?, sent_tags = ?, sent_status = ? "
            "WHERE number = ?",
            (row.revision, json.dumps(row.params), json.dumps(tags), row.status, row.number),
        )

    # What belongs to a run

    def sent_metrics(self, number: int, rows: Iterable[MetricRow]) -> None:
        """These values have arrived. One that took the place of such a value meanwhile has not."""
        with self._database.writing() as connection:
            connection.executemany(
                "UPDATE metrics SET sent = 1 "
                "WHERE number = ? AND key = ? AND step = ? AND value IS ? AND time = ?",
                [(number, row.key, row.step, kept_value(row.value), row.time) for row in rows],
            )

    def sent_file(self, number: int, file: FileRow) -> None:
        """This revision of the file has arrived."""
        self._write(
            "UPDATE files SET sent = ? WHERE number = ? AND name = ?",
            (file.revision, number, file.name),
        )

    def sent_model(self, number: int, model: ModelRow, uri: str) -> None:
        """The model has arrived; its run must say where, and the sweep's where it is the winner's
        (`Backlog.run`)."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE models SET sent = ? WHERE number = ? AND name = ?",
                (model.revision, number, model.name),
            )
            connection.execute(
                "UPDATE runs SET tags = json_set(tags, ?, ?) WHERE number = ?",
                (f'$."{MODEL_TAG}"', uri, number),
            )
            connection.execute(
                "UPDATE runs SET revision = revision + 1 WHERE number IN (?, ?)", (number, SWEEP)
            )

    # What was refused for good

    def set_aside(self, number: int, kind: str, key: str, error: str) -> None:
        """Keep the reason, and go on with the rest. The `kind` is as of `left.Failure`."""
        self._write(
            "INSERT INTO failures VALUES (?, ?, ?, ?, ?) ON CONFLICT (number, kind, key) "
            "DO UPDATE SET error = excluded.error, time = excluded.time",
            (number, kind, key, error, milliseconds(time.time())),
        )

    def set_aside_run(self, number: int, error: str) -> None:
        """Nothing of this run can be recorded any more."""
        with self._database.writing() as connection:
            self.set_aside(number, "run", "", error)
            for table in ("runs", "files", "models"):
                connection.execute(
                    f"UPDATE {table} SET sent = revision WHERE number = ?", (number,)
                )
            connection.execute("UPDATE metrics SET sent = 1 WHERE number = ?", (number,))

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with self._database.writing() as connection:
            connection.execute(statement, values)


def _sent_tags(shown: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """What counts as sent of a run that shows such tags and is to have those of `wanted`."""
    ours = {
        key: value for key, value in shown.items() if key in wanted or key.startswith(OWN_PREFIX)
    }
    if is_somebodys(shown):
        ours |= {key: wanted[key] for key in described("").keys() & wanted.keys()}
    return ours


def _unsend(connection: sqlite3.Connection, number: int) -> None:
    """Nothing of a run counts as sent."""
    if number == SWEEP:
        connection.execute("DELETE FROM meta WHERE key = ?", (SENT_EXPERIMENT_TAGS,))
    connection.execute(
        "UPDATE runs SET sent = 0, sent_params = '{}', sent_tags = '{}', sent_status = '' "
        "WHERE number = ?",
        (number,),
    )
    for table in ("metrics", "files", "models"):
        connection.execute(f"UPDATE {table} SET sent = 0 WHERE number = ?", (number,))
