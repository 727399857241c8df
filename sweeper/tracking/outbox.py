"""The driver's side of the record: say what happened, in a fraction of a millisecond.

Every method is idempotent and none of them waits for MLflow. Saying a thing twice, or saying
everything again after a crash, changes nothing: a metric's first value at a step stands, a trial
that has ended is not reopened by its start. Only a trial that was interrupted runs again.
"""

from __future__ import annotations

import json
import sqlite3
import time as clock
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from sweeper.errors import Superseded, TrackingError
from sweeper.tracking.database import Database
from sweeper.tracking.left import Left, left_in
from sweeper.tracking.limits import MAX_TAG, cut, flatten, safe_key
from sweeper.tracking.names import (
    EXPERIMENT_TAGS,
    SWEEP,
    TABLES_TAG,
    SweepEnding,
    TrialEnding,
    trial_tag,
)
from sweeper.tracking.rows import (
    add_metrics,
    change_run,
    forget_models,
    interrupt,
    milliseconds,
    put_file,
    put_metrics,
    put_model,
    remove_files,
)
from sweeper.tracking.table_files import table_files


class Outbox:
    """The durable queue of one sweep, at `path`. May be used from several threads.

    Opening it is taking over: the writer of an earlier driver stops, that driver can write no more,
    and trials that were running count as interrupted until they start again. So only the process
    that holds the sweep's lock opens it.

    Raises:
        TrackingError: from every method, where the file cannot be read or written.
        Superseded: from every method that writes, where a newer driver has opened it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path)
        with self._database.reading() as connection:
            # The writer checkpoints the log: it costs an fsync that the driver need not pay.
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        with self._database.writing():
            self.session = str(int(self._database.meta("session") or 0) + 1)
            self._database.set_meta("session", self.session)
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
        self._database.close()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Say many things as one transaction: what the ledger knows, when a sweep resumes."""
        with self._writing():
            yield

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._database.writing() as connection:
            if self._database.meta("session") != self.session:
                raise Superseded(f"{self.path} is written by a newer driver; this one says no more")
            yield connection

    def sweep_started(
        self,
        name: str,
        *,
        study: str,
        tags: Mapping[str, Any] | None = None,
        note: str = "",
        time: float | None = None,
    ) -> None:
        """The sweep runs, again or for the first time; `name` is its MLflow experiment.

        `study` is the ledger's own identity. It must be the same whenever this sweep is resumed,
        and no other sweep's: by it the writer finds its runs again on a shared server.

        Raises:
            TrackingError: the outbox belongs to another study.
        """
        with self.batch():
            owner = self._database.meta("study")
            if owner not in ("", study):
                raise TrackingError(f"{self.path} belongs to the study {owner}, not to {study}")
            self._database.set_meta("study", study)
            self._database.set_meta("experiment", name)
            self._announce(SWEEP, name, None, None, tags, note, time)

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

        `params` is what it is found by, nested or by dotted paths; `parent` the trial whose
        configuration a replicate repeats, None for a child of the sweep; `time` unix seconds,
        now by default.
        """
        self._announce(number, name or trial_tag(number), parent, params, tags, note, time)

    def evaluated(
        self, number: int, step: int, metrics: Mapping[str, float | None], time: float
    ) -> None:
        """`metrics` of trial `number` after `step` steps, measured at `time` (unix seconds).

        The first value of a metric at a step stands. NaN and infinities are recorded, None is not.
        """
        with self._writing() as connection:
            add_metrics(connection, number, step, metrics, time)

    def sweep_measured(
        self, metrics: Mapping[str, float], step: int = 0, time: float | None = None
    ) -> None:
        """`metrics` of the sweep as a whole at `time` (unix seconds, now by default), or as it
        stood after `step` trials. What is said last stands."""
        with self._writing() as connection:
            put_metrics(connection, SWEEP, step, metrics, clock.time() if time is None else time)

    def experiment(self, tags: Mapping[str, str]) -> None:
        """The sweep's experiment is to have these tags (`tracking.experiment`)."""
        with self._writing():
            self._database.set_meta(EXPERIMENT_TAGS, json.dumps(tags))

    def artifact(self, number: int, path: Path, name: str) -> None:
        """The file at `path` belongs to the run under `name`, such as `samples/000250.png`.

        It is copied later, so it must stay. Saying it again sends it again only if the file has
        changed.

        Raises:
            TrackingError: there is no such file.
        """
        try:
            stat = path.stat()
        except OSError as error:
            raise TrackingError(f"cannot record {path}: {error}") from error
        version = f"{stat.st_size}:{stat.st_mtime_ns}"
        with self._writing() as connection:
            put_file(connection, number, name, version, path=self._database.kept(path))

    def let_go(self, number: int, names: Collection[str], *, model: bool = False) -> None:
        """The run is to have these files no longer, and with `model` no generator to be logged
        from them either. What MLflow has logged as a model stays."""
        with self._writing() as connection:
            remove_files(connection, number, names)
            if model:
                forget_models(connection, number)

    def table(self, name: str, columns: Mapping[str, Sequence[Any]], number: int = SWEEP) -> None:
        """A finished table, on the sweep's run: `tables/NAME.json`, which MLflow shows, and .csv.

        All columns have the same length; a later table of the same name takes its place.
        """
        with self._writing() as connection:
            for file, content in table_files(name, columns).items():
                put_file(connection, number, file, content, content=content.encode())
            tables = connection.execute(
                "SELECT name FROM files WHERE number = ? AND name GLOB 'tables/*.json' "
                "ORDER BY name",
                (number,),
            )
            listed = [{"path": row[0], "type": "table"} for row in tables]
            change_run(connection, number, {"tags": _spelt({TABLES_TAG: json.dumps(listed)})})

    def tagged(self, number: int, tags: Mapping[str, Any]) -> None:
        """Tags that become known while a run goes on."""
        with self._writing() as connection:
            change_run(connection, number, {"tags": _spelt(tags)})

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

    def reopened(self, number: int) -> None:
        """Trial `number` is not over, whatever was said of it, and will go on."""
        self._end(number, "interrupted", None, "", None, reopened=True)

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
        """The trained generator in this trial's folder becomes a logged model of its run."""
        with self._writing() as connection:
            put_model(connection, number, name, self._database.kept(folder))

    def interrupt(self, keep: Collection[int] = ()) -> list[int]:
        """Count the running trials as interrupted, all but `keep`. Returns which they were."""
        with self._writing() as connection:
            return interrupt(connection, keep)

    def left(self) -> Left:
        """What MLflow does not have yet of all that was said."""
        return left_in(self._database)

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
        said = {
            "name": name,
            "parent": parent,
            "params": flatten(params or {}),
            "tags": _spelt(tags or {}),
            "note": cut(note, MAX_TAG),
            "started": milliseconds(clock.time() if time is None else time),
        }
        with self._writing() as connection:
            change_run(connection, number, said)

    def _end(
        self,
        number: int,
        state: str,
        tags: Mapping[str, Any] | None,
        note: str,
        time: float | None,
        *,
        reopened: bool = False,
    ) -> None:
        said = {
            "state": state,
            "reopened": reopened,
            "end_tags": _spelt(tags or {}),
            "end_note": cut(note, MAX_TAG),
            "ended": milliseconds(clock.time() if time is None else time),
        }
        with self._writing() as connection:
            change_run(connection, number, said)


def _spelt(tags: Mapping[str, Any]) -> dict[str, str]:
    return {
        safe_key(key): cut(value if isinstance(value, str) else json.dumps(value), MAX_TAG)
        for key, value in tags.items()
        if value is not None
    }
