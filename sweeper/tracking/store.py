"""MLflow as the writer sees it: a dozen calls, and three ways in which one can fail.

    Unreachable   try again later: no connection, an overloaded or misconfigured server
    Gone          there is no such run (any more)
    Refused       never going to work: an invalid name, a value MLflow does not take

Only this module and `models` talk to MLflow's client, and its exceptions end here.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.errors import TrackingError
from sweeper.tracking import vendor
from sweeper.tracking.address import artifact_root, database_file
from sweeper.tracking.backlog import MetricRow
from sweeper.tracking.inputs import DataInput
from sweeper.tracking.names import STUDY_TAG, TRIAL_TAG, trial_number
from trials.temporary import temporary_for

_PERMANENT = frozenset(
    {
        "INVALID_PARAMETER_VALUE",
        "BAD_REQUEST",
        "INVALID_STATE",
        "RESOURCE_ALREADY_EXISTS",
        "ALREADY_EXISTS",
        "RESOURCE_CONFLICT",
    }
)
_PERMANENT_HTTP = frozenset({400, 404, 405, 409, 410, 411, 413, 414, 415, 422})
_DAMAGED = ("malformed", "not a database")
_PAGE = 1000


class Unreachable(TrackingError):  # noqa: N818 - says what happened, as all of sweeper.errors
    """MLflow cannot be reached at the moment."""


class Gone(TrackingError):  # noqa: N818
    """MLflow has no such run."""


class Refused(TrackingError):  # noqa: N818
    """MLflow will never take this."""


@dataclass(frozen=True)
class Known:
    """A run of ours as MLflow has it."""

    run_id: str
    number: int
    status: str
    active: bool
    """False where a user has deleted it."""
    started: int
    artifact_uri: str
    tags: Mapping[str, str]


class Store:
    """One MLflow: a database or a server. Opening it imports mlflow and may make the schema.

    `artifacts` is the folder for experiments that are new in a database; a server knows its own.

    Raises:
        Unreachable: from every method, when trying again may help.
        Gone: from every method about a run, where there is no such run.
        Refused: from every method, where trying again will not help.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        self._artifacts = artifacts
        with translated("open the tracking store"):
            _prepare(uri)
            self.client: Any = vendor.load("mlflow.tracking").MlflowClient(tracking_uri=uri)

    def fold(self) -> None:
        """Move what a write-ahead log holds into the file, so that a copy of the file has it."""
        file = database_file(self.uri)
        if file is not None and file.exists():
            with translated("fold the log"), closing(sqlite3.connect(file)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def experiment(self, name: str) -> str:
        """Id of the experiment, made or undeleted where needed."""
        with translated(f"open experiment {name!r}"):
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                root = artifact_root(self.uri, self._artifacts, name)
                return str(self.client.create_experiment(name, artifact_location=root))
            if experiment.lifecycle_stage == "deleted":
                self.client.restore_experiment(experiment.experiment_id)
            return str(experiment.experiment_id)

    def experiment_tags(self, experiment: str) -> dict[str, str]:
        """What an experiment is tagged with."""
        with translated(f"look at experiment {experiment}"):
            return dict(self.client.get_experiment(experiment).tags)

    def tag_experiment(self, experiment: str, tags: Mapping[str, str]) -> None:
        """Tag an experiment."""
        with translated(f"tag experiment {experiment}"):
            for key, value in tags.items():
                self.client.set_experiment_tag(experiment, key, value)

    def runs(self, experiment: str, study: str, *, running: bool = False) -> list[Known]:
        """The runs of a study, deleted ones too; with `running`, only those MLflow says run."""
        entities = vendor.load("mlflow.entities")
        condition = f"tags.`{STUDY_TAG}` = '{study}'"
        if running:
            condition += " AND attributes.status = 'RUNNING'"
        runs = []
        token = None
        while True:
            with translated("look for the sweep's runs"):
                page = self.client.search_runs(
                    [experiment], condition, entities.ViewType.ALL, _PAGE, page_token=token
                )
            for run in page:
                number = trial_number(run.data.tags.get(TRIAL_TAG, ""))
                if number is not None:
                    info = run.info
                    active = info.lifecycle_stage == "active"
                    start = info.start_time or 0
                    place, tags = info.artifact_uri, dict(run.data.tags)
                    runs.append(Known(info.run_id, number, info.status, active, start, place, tags))
            token = page.token
            if not token:
                return runs

    def create(
        self, experiment: str, name: str, tags: Mapping[str, str], started: int
    ) -> tuple[str, str]:
        """A new run. Returns its id and the root of its artifacts."""
        with translated(f"create run {name!r}"):
            run = self.client.create_run(
                experiment, start_time=started, tags=dict(tags), run_name=name
            )
        return run.info.run_id, run.info.artifact_uri

    def log(
        self,
        run_id: str,
        params: Sequence[tuple[str, str]],
        tags: Sequence[tuple[str, str]],
        metrics: Sequence[MetricRow],
    ) -> None:
        """One batch. What MLflow has already, to the letter, it leaves as it is."""
        entities = vendor.load("mlflow.entities")
        with translated(f"log to run {run_id}"):
            self.client.log_batch(
                run_id,
                metrics=[entities.Metric(m.key, m.value, m.time, m.step) for m in metrics],
                params=[entities.Param(key, value) for key, value in params],
                tags=[entities.RunTag(key, value) for key, value in tags],
            )

    def log_data(self, run_id: str, data: DataInput) -> None:
        """The run's data, as its input. What MLflow has already it leaves as it is."""
        entities = vendor.load("mlflow.entities")
        dataset = entities.Dataset(
            data.name, data.digest, data.source_type, data.source, profile=data.profile
        )
        context = entities.InputTag("mlflow.data.context", "training and evaluation")
        with translated(f"log the data of run {run_id}"):
            self.client.log_inputs(run_id, [entities.DatasetInput(dataset, [context])])

    def remove_tag(self, run_id: str, key: str) -> None:
        """Take a tag away from a run."""
        with translated(f"remove tag {key!r}"):
            self.client.delete_tag(run_id, key)

    def set_status(self, run_id: str, status: str, ended: int | None) -> None:
        """RUNNING, FINISHED, FAILED or KILLED; `ended` in milliseconds unless it runs."""
        with translated(f"set run {run_id} to {status}"):
            if status == "RUNNING":
                self.client.update_run(run_id, status=status)
            else:
                self.client.set_terminated(run_id, status, ended)

    def upload(self, artifact_uri: str, source: Path | bytes, name: str) -> None:
        """Put a file, or content, under `name` (with slashes) of a run's artifacts."""
        target = Path(name)
        folder = None if target.parent == Path() else target.parent.as_posix()
        with translated(f"store {name}"), _named(source, target.name) as path:
            self._repository(artifact_uri).log_artifact(str(path), folder)

    def take_away(self, artifact_uri: str, name: str) -> None:
        """Remove what is under `name` of a run's artifacts, if there is anything."""
        with translated(f"remove {name}"):
            self._repository(artifact_uri).delete_artifacts(name)

    def _repository(self, artifact_uri: str) -> Any:
        registry = vendor.load("mlflow.store.artifact.artifact_repository_registry")
        return registry.get_artifact_repository(artifact_uri, tracking_uri=self.uri)

    def delete(self, run_id: str) -> None:
        """Move a run to MLflow's bin."""
        with translated(f"delete run {run_id}"):
            self.client.delete_run(run_id)

    def is_deleted(self, run_id: str) -> bool:
        """Whether a user has moved this run to the bin."""
        with translated(f"look at run {run_id}"):
            return bool(self.client.get_run(run_id).info.lifecycle_stage != "active")

    def ask(self) -> None:
        """See that the store is well, and lets us in."""
        with translated("ask for an experiment"):
            self.client.search_experiments(max_results=1)

    def answers(self) -> bool:
        """Whether the store itself is well, when one call to it keeps failing."""
        try:
            self.ask()
        except TrackingError:
            return False
        return True


@contextmanager
def _named(source: Path | bytes, name: str) -> Iterator[Path]:
    """Inside, a file of this name with that content: MLflow keeps files under their own names."""
    if isinstance(source, Path):
        if not source.is_file():
            raise Refused(f"cannot store {name}: {source} is no longer there")
        if source.name == name:
            yield source
            return
    with tempfile.TemporaryDirectory() as staging:
        path = Path(staging) / name
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            path.symlink_to(source)
        yield path


def _prepare(uri: str) -> None:
    """Make a database file that does not exist yet: its tables, and a write-ahead log.

    With the log, readers of the pages keep no writer waiting, and a commit takes one sync of
    the disk instead of three. The mode of a file that is there already is its owner's choice.

    MLflow makes its tables in some fifty migrations, and cannot open what a kill leaves between
    two of them. So they are made beside, and the whole file is moved into place.
    """
    file = database_file(uri)
    if file is None or file.exists():
        return
    folder = temporary_for(file)
    folder.mkdir()
    try:
        made = folder / file.name
        made.touch()  # SQLite's own files are no group's to write
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        _make_tables(f"sqlite:///{made}")
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _move(made, file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_tables(uri: str) -> None:
    stores = vendor.load("mlflow.store.tracking.sqlalchemy_store")
    root = vendor.load("mlflow.store.tracking").DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    stores.SqlAlchemyStore(uri, root).engine.dispose()


def _move(made: Path, place: Path) -> None:
    """Put a file into its place, unless another one has come there meanwhile."""
    try:
        os.link(made, place)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        os.rename(made, place)


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn what MLflow raises while it does `action` into one of the three errors above."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        raise _judge(error)(f"cannot {action}: {_reason(error)}") from error


def _judge(error: Exception) -> type[TrackingError]:
    """Which of the three it is. What is not known for permanent is tried again."""
    code = getattr(error, "error_code", None)
    text = str(error)
    if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
        return Gone
    if code in _PERMANENT:
        return Unreachable if any(word in text for word in _DAMAGED) else Refused
    response = getattr(error, "response", None)
    if response is not None and getattr(response, "status_code", None) in _PERMANENT_HTTP:
        return Refused
    return Unreachable


def _reason(error: Exception) -> str:
    """The last words of what are often long chains, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 500 else f"{text[:500]}…"
