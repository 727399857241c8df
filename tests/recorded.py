"""What MLflow has, asked of its own client: the other side of what the product writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweeper.tracking import vendor


def metric_history(uri: str, run_id: str, key: str) -> list[tuple[int, float, float]]:
    """(step, value, unix seconds) of one metric of a run, by step."""
    history = _client(uri).get_metric_history(run_id, key)
    return sorted((point.step, point.value, point.timestamp / 1000) for point in history)


def artifact_names(uri: str, run_id: str) -> list[str]:
    """Every artifact of a run, with its folders: `samples/000250.png`."""
    client = _client(uri)
    names: list[str] = []
    folders = [""]
    while folders:
        for entry in client.list_artifacts(run_id, folders.pop() or None):
            (folders if entry.is_dir else names).append(entry.path)
    return sorted(names)


def datasets(uri: str, run_id: str) -> list[dict[str, Any]]:
    """The data that a run says it was made of."""
    inputs = _client(uri).get_run(run_id).inputs
    return [dict(item.dataset) for item in inputs.dataset_inputs]


def download(uri: str, run_id: str, name: str, folder: Path) -> Path:
    """Fetch one artifact of a run into a folder. Returns where it is."""
    return Path(_client(uri).download_artifacts(run_id, name, str(folder)))


def _client(uri: str) -> Any:
    return vendor.load("mlflow.tracking").MlflowClient(tracking_uri=uri)
