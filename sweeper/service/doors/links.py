"""From our pages to MLflow's: where it shows a sweep, its trials and its tables."""

from __future__ import annotations

from sweeper.home import Home
from sweeper.search.looking import sweep_of
from sweeper.service.doors.tracking import PREFIX
from sweeper.tracking.pages import TrackingPages, tracking_pages


def mlflow_pages(home: Home, name: str) -> TrackingPages:
    """Addresses below /mlflow of what MLflow has of this sweep.

    Raises:
        UnknownSweep: it was never started.
        TrackingError: its outbox cannot be read.
    """
    folder, root = home.existing(name), f"{PREFIX}/"
    if sweep_of(folder).tracking.uri:  # it is recorded elsewhere, by its file's own word
        return TrackingPages(root=root)
    return tracking_pages(folder.outbox, root)
