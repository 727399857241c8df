"""The driver's side of the record: say what happened, in a fraction of a millisecond.

Every method is idempotent and none of them waits for MLflow. Saying a thing twice, or saying
everything again after a crash, changes nothing: a metric's first value at a step stands, a trial
that has ended is not reopened by its start. Only a trial that was interrupted runs again.
"""

from __future__ import annotations

import csv
import io
import json
import math
import threading
import time as clock
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sweeper.errors import TrackingError
from sweeper.tracking import database
from sweeper.tracking.limits import MAX_TAG, cut, flatten, safe_key
from sweeper.tracking.names import SWEEP, TABLES_TAG, SweepEnding, TrialEnding, trial_tag
from sweeper.tracking.run_row import BLANK, COLUMNS, fold


@dataclass(frozen=True)
class Failure:
    """Something that MLflow refused for good. It was set aside, and the rest went on."""

    number: int
    kind: str
    """run, param, tag, metric, file or model."""
    key: str
    error: str

    def __str__(self) -> str:
        return f"{trial_tag(self.number)}: {self.kind} {self.key!r}: {self.error}"


class Outbox:
    """The durable queue of one sweep, at `path`. May be used from several threads.

    Opening it is taking over: the writer of an earlier driver lays down its pen, and trials that
    were running count as interrupted until they start again. So only the process that holds the
    sweep's lock opens it. Every method raises TrackingError when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._db = database.connect(path)
        # The writer checkpoints the log: it costs an fsync that the driver need not pay.
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        with self.batch():
            self.session = str(int(database.read_meta(self._db, "session") or 0) + 1)
            database.write_meta(self._db, "session", self.session)
        self.interrupt()

    def __enter__(self) -> Outbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. What it holds stays."""
        with self._lock:
            self._db.close()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Say many things as one transaction: what the ledger knows, when a sweep resumes."""
        with self._lock, database.translated(self.path), database.transaction(self._db):
            yield

    def sweep_started(
        self,
        name: str,
        *,
        study: str,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        note: str = "",
        time: float | None = None,
    ) -> None:
        """The sweep runs, again or for the first time; `name` is its MLflow experiment.

        `study` is the ledger's own identity. It must be the same whenever this sweep is resumed,
        and no other sweep's: by it the writer finds its runs again on a shared server. Raises
        TrackingError where the outbox belongs to another study.
        """
        with self.batch():
            known = database.read_meta(self._db, "study")
            if known not in ("", study):
                raise TrackingError(f"{self.path} belongs to the study {known}, not to {study}")
            database.write_meta(self._db, "study", study)
            database.write_meta(self._db, "experiment", name)
            self._announce(SWEEP, name, None, params, tags, note, time)

    def trial_started(
        self,
        number: int,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        parent: int | None = None,
        name: str = "",
        note: str = "",
        time: float | None = None,
    ) -> None:
        """Trial `number` (≥ 0) runs, for the first time or after an interruption.

        `params` is its whole configuration, nested as it is; `parent` the trial whose
        configuration a replicate repeats, None for a child of the sweep; `time` unix seconds,
        now by default.
        """
        with self.batch():
            self._announce(number, name or trial_tag(number), parent, params, tags, note, time)

    def evaluated(
        self, number: int, step: int, metrics: Mapping[str, float | None], time: float
    ) -> None:
        """`metrics` of trial `number` after `step` steps, measured at `time` (unix seconds).

        The first value of a metric at a step stands. NaN and infinities are recorded, None is not.
        """
        rows = [
            (
                number,
                safe_key(key),
                step,
                None if math.isnan(value) else float(value),
                _milliseconds(time),
            )
            for key, value in metrics.items()
            if value is not None
        ]
        with self.batch():
            self._db.executemany(
                "INSERT OR IGNORE INTO metrics (number, key, step, value, time) "
                "VALUES (?, ?, ?, ?, ?)",
                rows,
            )

    def artifact(self, number: int, path: Path, name: str) -> None:
        """The file at `path` belongs to the run under `name`, such as `samples/000250.png`.

        It is copied later, so it must stay. Saying it again sends it again only if the file has
        changed. Raises TrackingError where there is no such file.
        """
        try:
            stat = path.stat()
        except OSError as error:
            raise TrackingError(f"cannot record {path}: {error}") from error
        self._put_file(
            number, name, f"{stat.st_size}:{stat.st_mtime_ns}", path=str(path.absolute())
        )

    def table(self, name: str, columns: Mapping[str, Sequence[Any]], number: int = SWEEP) -> None:
        """A finished table, on the sweep's run: `tables/NAME.json`, which MLflow shows, and .csv.

        All columns have the same length; a later table of the same name takes its place.
        """
        safe = safe_key(name)
        rows = list(zip(*columns.values(), strict=True))
        shown = {"columns": list(columns), "data": [[_plain(cell) for cell in row] for row in rows]}
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([list(columns), *rows])
        with self.batch():
            for suffix, content in (("json", json.dumps(shown)), ("csv", text.getvalue())):
                self._put_file(number, f"tables/{safe}.{suffix}", content, content=content.encode())
            tables = self._db.execute(
                "SELECT name FROM files WHERE number = ? AND name GLOB 'tables/*.json' "
                "ORDER BY name",
                (number,),
            )
            listed = [{"path": row[0], "type": "table"} for row in tables]
            self.tagged(number, {TABLES_TAG: json.dumps(listed)})

    def tagged(self, number: int, tags: Mapping[str, Any]) -> None:
        """Tags that become known while a run goes on."""
        with self.batch():
            self._change(number, tags=_spelt(tags))

    def trial_ended(
        self,
        number: int,
        state: TrialEnding,
        *,
        tags: Mapping[str, Any] | None = None,
        note: str = "",
        time: float | None = None,
    ) -> None:
        """Trial `number` ended. Completed, pruned and failed are final; the others may go on."""
        self._end(number, state, tags, note, time)

    def sweep_ended(
        self,
        state: SweepEnding,
        *,
        tags: Mapping[str, Any] | None = None,
        note: str = "",
        time: float | None = None,
    ) -> None:
        """The driver stops; `sweep_started` reopens the run when the sweep is run again."""
        self._end(SWEEP, state, tags, note, time)

    def model(self, number: int, folder: Path, name: str = "generator") -> None:
        """The trained generator in this trial's folder is to be a logged model of its run."""
        with self.batch():
            self._db.execute(
                "INSERT INTO models (number, name, folder) VALUES (?, ?, ?) "
                "ON CONFLICT (number, name) DO UPDATE SET folder = excluded.folder, "
                "revision = revision + 1 WHERE folder IS NOT excluded.folder",
                (number, name, str(folder.absolute())),
            )

    def model_uri(self, number: int, name: str = "generator") -> str:
        """`models:/m-…` for `mlflow.pytorch.load_model`; empty until it has arrived."""
        with self._lock, database.translated(self.path):
            row = self._db.execute(
                "SELECT uri FROM models WHERE number = ? AND name = ?", (number, name)
            ).fetchone()
        return "" if row is None else str(row[0])

    def interrupt(self, keep: Collection[int] = ()) -> list[int]:
        """Count the running trials as interrupted, all but `keep`. Returns which they were."""
        with self.batch():
            return database.interrupt(self._db, keep)

    def pending(self) -> int:
        """How many facts MLflow does not have yet."""
        with self._lock, database.translated(self.path):
            return sum(database.waiting(self._db).values())

    def failures(self) -> list[Failure]:
        """What MLflow refused for good, oldest first."""
        with self._lock, database.translated(self.path):
            return [Failure(*row) for row in database.failures(self._db)]

    def last_error(self) -> str:
        """Why MLflow cannot be reached at the moment; empty while all is well."""
        with self._lock, database.translated(self.path):
            return database.read_meta(self._db, "error")

    def _announce(
        self,
        number: int,
        name: str,
        parent: int | None,
        params: Mapping[str, Any] | None,
        tags: Mapping[str, Any] | None,
        note: str,
        time: float | None,
    ) -> None:
        self._change(
            number,
            name=name,
            parent=parent,
            params=flatten(params or {}),
            tags=_spelt(tags or {}),
            note=cut(note, MAX_TAG),
            started=_milliseconds(clock.time() if time is None else time),
        )

    def _end(
        self,
        number: int,
        state: str,
        tags: Mapping[str, Any] | None,
        note: str,
        time: float | None,
    ) -> None:
        with self.batch():
            self._change(
                number,
                state=state,
                end_tags=_spelt(tags or {}),
                end_note=cut(note, MAX_TAG),
                ended=_milliseconds(clock.time() if time is None else time),
            )

    def _change(self, number: int, **said: Any) -> None:
        """Fold what was said into the run's row; its revision grows if the row is another then."""
        columns = ", ".join(COLUMNS)
        row = self._db.execute(f"SELECT {columns} FROM runs WHERE number = ?", (number,)).fetchone()
        old = dict(zip(COLUMNS, row, strict=True)) if row else dict(BLANK)
        new = fold(number, old, said)
        if row is not None and new == old:
            return
        assignments = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS)
        places = ", ".join("?" for _ in COLUMNS)
        self._db.execute(
            f"INSERT INTO runs (number, {columns}) VALUES (?, {places}) "
            f"ON CONFLICT (number) DO UPDATE SET {assignments}, revision = revision + 1",
            (number, *(new[column] for column in COLUMNS)),
        )

    def _put_file(
        self,
        number: int,
        name: str,
        version: str,
        *,
        path: str | None = None,
        content: bytes | None = None,
    ) -> None:
        with self.batch():
            self._db.execute(
                "INSERT INTO files (number, name, path, content, version) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (number, name) DO UPDATE SET path = excluded.path, "
                "content = excluded.content, version = excluded.version, revision = revision + 1 "
                "WHERE version IS NOT excluded.version OR path IS NOT excluded.path",
                (number, safe_key(name), path, content, version),
            )


def _spelt(tags: Mapping[str, Any]) -> dict[str, str]:
    return {
        safe_key(key): cut(value if isinstance(value, str) else json.dumps(value), MAX_TAG)
        for key, value in tags.items()
        if value is not None
    }


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _plain(cell: Any) -> Any:
    """A table cell as JSON can hold it: numpy scalars unwrapped, NaN as null."""
    value = cell.item() if hasattr(cell, "item") else cell
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
