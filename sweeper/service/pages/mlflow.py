"""The way from our pages to MLflow's."""

from __future__ import annotations

from sweeper.errors import SweeperError
from sweeper.service.app import Service
from sweeper.service.doors.links import mlflow_pages
from sweeper.tracking.pages import TrackingPages


def mlflow_of(service: Service, name: str) -> TrackingPages:
    """Where MLflow shows this sweep; nowhere, while it has nothing of it."""
    try:
        return mlflow_pages(service.settings.home, name)
    except SweeperError:
        return TrackingPages()
