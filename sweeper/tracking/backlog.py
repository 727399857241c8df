"""The writer's side of the outbox: what MLflow lacks. `receipts` notes what has arrived."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sweeper.tracking.database import Database
from sweeper.tracking.descriptions import described
from sweeper.tracking.left import facts_waiting
from sweeper.tracking.names import (
    EXPERIMENT_TAGS,
    MODEL_TAG,
    NOTE_TAG,
    SENT_EXPERIMENT_TAGS,
    STATE_TAG,
    STATUS,
    SWEEP,
    WINNER_TAG,
    trial_number,
)
from sweeper.tracking.rows import interrupt


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
    sent: int
    """The revision of which all has arrived; 0 before any."""
    sent_params: Mapping[str, str]
    sent_tags: Mapping[str, str]
    sent_status: str
    run_id: str | None
    artifact_uri: str

    @property
    def status(self) -> str:
        """MLflow's word for the state."""
        return STATUS[self.state]


@dataclass(frozen=True)
class MetricRow:
    """A value of a metric that MLflow lacks; `time` in milliseconds."""

    key: str
    step: int
    value: float
    time: int


@dataclass(frozen=True)
class FileRow:
    """A file that MLflow lacks: its path, or else its content. Without either it is one that MLflow
    is to have no longer."""

    name: str
    path: Path | None
    content: bytes | None
    revision: int


@dataclass(frozen=True)
class ModelRow:
    """A generator that MLflow lacks, in the folder of its trial."""

    name: str
    folder: Path
    revision: int


class Backlog:
    """The outbox at `path`, for the process that sends it.

    `session` is that of the driver on whose behalf it is sent, by default the present one.

    Raises:
        TrackingError: from every method, where the file is damaged or cannot be used.
    """

    def __init__(self, path: Path, session: str = "") -> None:
        self.database = Database(path)
        self._seen = -1
        self.session = session or self.database.meta("session")

    def __enter__(self) -> Backlog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.database.close()

    @property
    def study(self) -> str:
        """The ledger's identity; empty until the sweep has started."""
        return self.database.meta("study")

    @property
    def experiment(self) -> str:
        """Name of the experiment; empty until the sweep has started."""
        return self.database.meta("experiment")

    @property
    def experiment_tags(self) -> dict[str, str]:
        """What the experiment is to be tagged with, while MLflow does not know all of it."""
        wanted = self.database.meta(EXPERIMENT_TAGS)
        if not wanted or wanted == self.database.meta(SENT_EXPERIMENT_TAGS):
            return {}
        tags: dict[str, str] = json.loads(wanted)
        return tags

    def superseded(self) -> bool:
        """Whether another driver has taken the outbox over."""
        return self.database.meta("session") != self.session

    def changed(self) -> bool:
        """Whether the driver has said anything since the last call; the first call says yes."""
        with self.database.reading() as connection:
            version = int(connection.execute("PRAGMA data_version").fetchone()[0])
        changed, self._seen = version != self._seen, version
        return changed

    def waiting(self) -> dict[int, int]:
        """Numbers of the runs with something to send → how many facts."""
        return facts_waiting(self.database)

    def run(self, number: int) -> RunRow | None:
        """The run's row; None while its start was not said."""
        with self.database.reading() as connection:
            row = connection.execute(
                "SELECT parent, name, state, started, ended, params, tags, end_tags, note, "
                "end_note, revision, sent, sent_params, sent_tags, sent_status, run_id, "
                "artifact_uri FROM runs WHERE number = ? AND announced = 1",
                (number,),
            ).fetchone()
        if row is None:
            return None
        parent, name, state, started, ended, params, tags, end_tags, note, end_note, *rest = row
        revision, sent, sent_params, sent_tags, sent_status, run_id, artifact_uri = rest
        shown = json.loads(tags) | json.loads(end_tags) | {STATE_TAG: state}
        if number == SWEEP:
            shown = self._with_model(shown)
        # While a trial runs, its description is a tag like any other.
        if text := end_note or note or shown.get(NOTE_TAG):
            shown |= described(text)
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
            sent=sent,
            sent_params=json.loads(sent_params),
            sent_tags=json.loads(sent_tags),
            sent_status=sent_status,
            run_id=run_id,
            artifact_uri=artifact_uri or "",
        )

    def _with_model(self, tags: dict[str, str]) -> dict[str, str]:
        """The sweep's tags with the address of its winner's model, and of no other: whose was sent
        last says nothing. An outbox of an earlier version may know no winner, and stays as it is.
        """
        winner = trial_number(tags.get(WINNER_TAG, ""))
        if winner is None:
            return tags
        with self.database.reading() as connection:
            row = connection.execute(
                "SELECT json_extract(tags, ?) FROM runs JOIN models USING (number) "
                "WHERE number = ? AND models.sent = models.revision",
                (f'$."{MODEL_TAG}"', winner),
            ).fetchone()
        others = {key: value for key, value in tags.items() if key != MODEL_TAG}
        return others | ({MODEL_TAG: row[0]} if row and row[0] else {})

    def metrics(self, number: int, limit: int) -> list[MetricRow]:
        """At most `limit` metric values that wait, by step."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT key, step, value, time FROM metrics WHERE number = ? AND sent = 0 "
                "ORDER BY step, key LIMIT ?",
                (number, limit),
            ).fetchall()
        return [
            MetricRow(key, step, float("nan") if value is None else value, at)
            for key, step, value, at in rows
        ]

    def files(self, number: int) -> list[FileRow]:
        """The run's files that wait, by name."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT name, path, content, revision FROM files "
                "WHERE number = ? AND sent < revision ORDER BY name",
                (number,),
            ).fetchall()
        return [
            FileRow(name, None if path is None else self.database.found(path), content, revision)
            for name, path, content, revision in rows
        ]

    def is_as_read(self, number: int, file: FileRow) -> bool:
        """Whether nothing else was said of a file since it was read here."""
        with self.database.reading() as connection:
            row = connection.execute(
                "SELECT revision FROM files WHERE number = ? AND name = ?", (number, file.name)
            ).fetchone()
        return row is not None and row[0] == file.revision

    def models(self, number: int) -> list[ModelRow]:
        """The run's generators that wait."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT name, folder, revision FROM models WHERE number = ? AND sent < revision",
                (number,),
            ).fetchall()
        return [
            ModelRow(name, self.database.found(folder), revision) for name, folder, revision in rows
        ]

    def run_ids(self) -> dict[int, str]:
        """Every run that MLflow was known to have, whether or not the driver has said its start."""
        with self.database.reading() as connection:
            rows = connection.execute("SELECT number, run_id FROM runs WHERE run_id IS NOT NULL")
            return dict(rows.fetchall())

    def interrupt(self) -> None:
        """The driver is gone: what runs is interrupted, unless a new driver has taken over."""
        with self.database.writing() as connection:
            if not self.superseded():
                interrupt(connection, sweep=True)

    def report(self, error: str) -> None:
        """Say why MLflow cannot be reached; an empty text when it can."""
        self.database.set_meta("error", error)

    def tidy(self) -> None:
        """Fold the write-ahead log into the file, which spares the driver the fsync."""
        with self.database.reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
