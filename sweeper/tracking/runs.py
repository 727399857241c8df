"""The read side: what MLflow has, as plain data."""

from __future__ import annotations

from typing import Any

from sweeper.errors import TrackingError
from sweeper.tracking import vendor
from sweeper.tracking.address import database_file
from sweeper.tracking.names import PARENT_TAG
from sweeper.tracking.store import translated

_PAGE = 1000


def find_runs(uri: str, experiment: str) -> list[dict[str, Any]]:
    """The runs of an experiment, oldest first; an empty list where there is no such experiment.

    Each has run_id, name, status, parent (a run_id or None), params, tags, metrics (the last value
    of each), started and ended (unix seconds, ended None while it runs) and artifact_uri.

    Raises:
        TrackingError: MLflow cannot be read.
    """
    client = _client(uri)
    runs: list[dict[str, Any]] = []
    with translated(f"read experiment {experiment!r}"):
        experiment_record = client.get_experiment_by_name(experiment)
        token: str | None = ""
        while experiment_record is not None and token is not None:
            page = client.search_runs(
                [experiment_record.experiment_id],
                max_results=_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token or None,
            )
            runs.extend(_plain(run) for run in page)
            token = page.token or None
    return runs


def experiment_names(uri: str) -> list[str]:
    """The experiments that there are.

    Raises:
        TrackingError: MLflow cannot be read.
    """
    with translated("list experiments"):
        return [experiment.name for experiment in _client(uri).search_experiments()]


def _client(uri: str) -> Any:
    file = database_file(uri)
    if file is not None and not file.exists():
        # MLflow would make one, with folders and all.
        raise TrackingError(f"there is no {file}")
    with translated("open the tracking store"):
        return vendor.load("mlflow.tracking").MlflowClient(tracking_uri=uri)


def _plain(run: Any) -> dict[str, Any]:
    info, data = run.info, run.data
    return {
        "run_id": info.run_id,
        "name": info.run_name,
        "status": info.status,
        "parent": data.tags.get(PARENT_TAG),
        "params": dict(data.params),
        "tags": dict(data.tags),
        "metrics": dict(data.metrics),
        "started": info.start_time / 1000,
        "ended": None if info.end_time is None else info.end_time / 1000,
        "artifact_uri": info.artifact_uri,
    }
