"""The writer's side of the outbox: what MLflow lacks, and the note that it has arrived.

Each note is committed at once, so a writer killed at any moment repeats at most the one call whose
note it did not get to write; the calls are such that repeating them is harmless.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sweeper.tracking import database
from sweeper.tracking.names import MODEL_TAG, NOTE_TAG, STATE_TAG, STATUS, SWEEP


@dataclass(frozen=True)
class RunRow:
    """What MLflow should show of a run, and what it is known to show."""

    number: int
    parent: int | None
    name: str
    state: str
    started: int
    ended: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    revision: int
    sent_params: Mapping[str, str]
    sent_tags: Mapping[str, str]
    sent_status: str
    run_id: str | None
    artifact_uri: str

    @property
    def status(self) -> str:
        return STATUS[self.state]


@dataclass(frozen=True)
class MetricRow:
    key: str
    step: int
    value: float
    time: int


@dataclass(frozen=True)
class FileRow:
    name: str
    path: Path | None
    content: bytes | None
    revision: int


@dataclass(frozen=True)
class ModelRow:
    name: str
    folder: Path
    revision: int


class Backlog:
    """The outbox at `path`, read and acknowledged. Raises TrackingError if the file is damaged.

    `session` is the driver's for whom this is done, by default whoever has it now.
    """

    def __init__(self, path: Path, session: str = "") -> None:
        self.path = path
        self._db = database.connect(path)
        self._seen = -1
        self.session = session or self._meta("session")

    def __enter__(self) -> Backlog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    @property
    def study(self) -> str:
        return self._meta("study")

    @property
    def experiment(self) -> str:
        """Name of the experiment; empty until the sweep has started."""
        return self._meta("experiment")

    def superseded(self) -> bool:
        """Whether another driver has taken the outbox over."""
        return self._meta("session") != self.session

    def changed(self) -> bool:
        """Whether the driver has said anything since the last call; the first call says yes."""
        with database.translated(self.path):
            version = int(self._db.execute("PRAGMA data_version").fetchone()[0])
        changed, self._seen = version != self._seen, version
        return changed

    def waiting(self) -> dict[int, int]:
        """Numbers of the runs with something to send → how many facts."""
        with database.translated(self.path):
            return database.waiting(self._db)

    def run(self, number: int) -> RunRow | None:
        """The run's row; None while its start was not said."""
        with database.translated(self.path):
            row = self._db.execute(
                "SELECT parent, name, state, started, ended, params, tags, end_tags, note, "
                "end_note, revision, sent_params, sent_tags, sent_status, run_id, artifact_uri "
                "FROM runs WHERE number = ? AND announced = 1",
                (number,),
            ).fetchone()
        if row is None:
            return None
        parent, name, state, started, ended, params, tags, end_tags, note, end_note, *rest = row
        revision, sent_params, sent_tags, sent_status, run_id, artifact_uri = rest
        shown = json.loads(tags) | json.loads(end_tags) | {STATE_TAG: state}
        if text := end_note or note:
            shown[NOTE_TAG] = text
        return RunRow(
            number=number,
            parent=parent,
            name=name,
            state=state,
            started=started,
            ended=ended,
            params=json.loads(params),
            tags=shown,
            revision=revision,
            sent_params=json.loads(sent_params),
            sent_tags=json.loads(sent_tags),
            sent_status=sent_status,
            run_id=run_id,
            artifact_uri=artifact_uri or "",
        )

    def metrics(self, number: int, limit: int) -> list[MetricRow]:
        """At most `limit` metric values that wait, by step."""
        with database.translated(self.path):
            rows = self._db.execute(
                "SELECT key, step, value, time FROM metrics WHERE number = ? AND sent = 0 "
                "ORDER BY step, key LIMIT ?",
                (number, limit),
            ).fetchall()
        return [
            MetricRow(key, step, float("nan") if value is None else value, at)
            for key, step, value, at in rows
        ]

    def files(self, number: int) -> list[FileRow]:
        with database.translated(self.path):
            rows = self._db.execute(
                "SELECT name, path, content, revision FROM files "
                "WHERE number = ? AND sent < revision ORDER BY name",
                (number,),
            ).fetchall()
        return [
            FileRow(name, None if path is None else Path(path), content, revision)
            for name, path, content, revision in rows
        ]

    def models(self, number: int) -> list[ModelRow]:
        with database.translated(self.path):
            rows = self._db.execute(
                "SELECT name, folder, revision FROM models WHERE number = ? AND sent < revision",
                (number,),
            ).fetchall()
        return [ModelRow(name, Path(folder), revision) for name, folder, revision in rows]

    def run_ids(self) -> dict[int, str]:
        """Every run that MLflow was known to have, whether or not the driver has said its start."""
        with database.translated(self.path):
            rows = self._db.execute("SELECT number, run_id FROM runs WHERE run_id IS NOT NULL")
            return dict(rows.fetchall())

    def adopt(self, number: int, run_id: str, artifact_uri: str, status: str) -> None:
        """MLflow shows this run, in this status. If it is not the one known, all is sent again."""
        known = self.run_ids().get(number)
        with database.translated(self.path), database.transaction(self._db):
            self._db.execute("INSERT OR IGNORE INTO runs (number) VALUES (?)", (number,))
            if known != run_id:
                self._unsend(number)
            self._db.execute(
                "UPDATE runs SET run_id = ?, artifact_uri = ?, sent_status = ? WHERE number = ?",
                (run_id, artifact_uri, status, number),
            )
            row = self.run(number)
            if row is not None and row.status != status:
                self._db.execute("UPDATE runs SET sent = 0 WHERE number = ?", (number,))

    def forget(self, number: int) -> None:
        """MLflow has no such run any more: make it anew, with all that belongs to it."""
        with database.translated(self.path), database.transaction(self._db):
            self._unsend(number)

    def created(self, number: int, run_id: str, artifact_uri: str, tags: Mapping[str, str]) -> None:
        self._write(
            "UPDATE runs SET run_id = ?, artifact_uri = ?, sent_status = 'RUNNING', "
            "sent_tags = ? WHERE number = ?",
            (run_id, artifact_uri, json.dumps(tags), number),
        )

    def sent_metrics(self, number: int, rows: Iterable[MetricRow]) -> None:
        with database.translated(self.path), database.transaction(self._db):
            self._db.executemany(
                "UPDATE metrics SET sent = 1 WHERE number = ? AND key = ? AND step = ?",
                [(number, row.key, row.step) for row in rows],
            )

    def sent_run(self, row: RunRow, tags: Mapping[str, str]) -> None:
        """All of this revision of the run has arrived."""
        self._write(
            "UPDATE runs SET sent = ?, sent_params = ?, sent_tags = ?, sent_status = ? "
            "WHERE number = ?",
            (row.revision, json.dumps(row.params), json.dumps(tags), row.status, row.number),
        )

    def sent_file(self, number: int, file: FileRow) -> None:
        self._write(
            "UPDATE files SET sent = ? WHERE number = ? AND name = ?",
            (file.revision, number, file.name),
        )

    def sent_model(self, number: int, model: ModelRow, uri: str) -> None:
        """The model has arrived; its run and the sweep's are to say where."""
        with database.translated(self.path), database.transaction(self._db):
            self._db.execute(
                "UPDATE models SET sent = ?, uri = ? WHERE number = ? AND name = ?",
                (model.revision, uri, number, model.name),
            )
            self._db.executemany(
                "UPDATE runs SET tags = json_set(tags, ?, ?), revision = revision + 1 "
                "WHERE number = ?",
                [(f'$."{MODEL_TAG}"', uri, run) for run in {number, SWEEP}],
            )

    def set_aside(self, number: int, kind: str, key: str, error: str) -> None:
        """Refused for good: keep the reason, go on with the rest."""
        self._write(
            "INSERT INTO failures VALUES (?, ?, ?, ?, ?) ON CONFLICT (number, kind, key) "
            "DO UPDATE SET error = excluded.error, time = excluded.time",
            (number, kind, key, error, _now()),
        )

    def set_aside_run(self, number: int, error: str) -> None:
        """Nothing of this run can be recorded any more."""
        with database.translated(self.path), database.transaction(self._db):
            self.set_aside(number, "run", "", error)
            self._db.execute("UPDATE runs SET sent = revision WHERE number = ?", (number,))
            self._db.execute("UPDATE metrics SET sent = 1 WHERE number = ?", (number,))
            self._db.execute("UPDATE files SET sent = revision WHERE number = ?", (number,))
            self._db.execute("UPDATE models SET sent = revision WHERE number = ?", (number,))

    def interrupt(self) -> None:
        """The driver is gone: what runs is interrupted, unless a new driver has taken over."""
        with database.translated(self.path), database.transaction(self._db):
            if not self.superseded():
                database.interrupt(self._db, sweep=True)

    def report(self, error: str) -> None:
        """Say why MLflow cannot be reached; an empty text when it can."""
        with database.translated(self.path), database.transaction(self._db):
            database.write_meta(self._db, "error", error)

    def tidy(self) -> None:
        """Fold the write-ahead log into the file, which spares the driver the fsync."""
        with database.translated(self.path):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _unsend(self, number: int) -> None:
        self._db.execute(
            "UPDATE runs SET run_id = NULL, artifact_uri = NULL, sent = 0, sent_params = '{}', "
            "sent_tags = '{}', sent_status = '' WHERE number = ?",
            (number,),
        )
        self._db.execute("UPDATE metrics SET sent = 0 WHERE number = ?", (number,))
        self._db.execute("UPDATE files SET sent = 0 WHERE number = ?", (number,))
        self._db.execute("UPDATE models SET sent = 0 WHERE number = ?", (number,))

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with database.translated(self.path), database.transaction(self._db):
            self._db.execute(statement, values)

    def _meta(self, key: str) -> str:
        with database.translated(self.path):
            return database.read_meta(self._db, key)


def _now() -> int:
    return round(time.time() * 1000)
