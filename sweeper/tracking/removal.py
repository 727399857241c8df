"""Taking a sweep out of MLflow: its runs go to MLflow's bin, where they can be brought back."""

from __future__ import annotations

from pathlib import Path

from sweeper.tracking.address import database_file
from sweeper.tracking.names import STUDY_TAG
from sweeper.tracking.runs import find_runs
from sweeper.tracking.store import Store
from sweeper.tracking.writer import sole


def remove_runs(uri: str, experiment: str, study: str, outbox: Path, artifacts: Path) -> bool:
    """Move the runs of a study, all of one experiment, to MLflow's bin. False while a writer is
    still sending from the outbox: it ends by itself within a minute. What is there already stays.

    Raises:
        TrackingError: MLflow cannot be read or written.
    """
    file = database_file(uri)
    if file is not None and not file.exists():
        return True
    with sole(outbox.with_suffix(".lock"), wait=False) as alone:
        if not alone:
            return False
        store = Store(uri, artifacts)
        for run in find_runs(uri, experiment):
            if run["tags"].get(STUDY_TAG) == study:
                if run["status"] == "RUNNING":  # by its driver, which was lost
                    store.set_status(run["run_id"], "KILLED", None)
                store.delete(run["run_id"])
    return True
