"""The doors: MLflow and Optuna's dashboard behind the same login as everything else"""

from __future__ import annotations

from fastapi import FastAPI

from sweeper.service.app import Service
from sweeper.service.doors import studies, tracking
from sweeper.service.people.guard import Openings

OPENINGS = Openings(
    upload_below=tracking.UPLOADS,
    searches=tracking.SEARCHES,
    foreign=(f"{tracking.PREFIX}/",),
)


class Doors:
    """Both of them; MLflow's server is found at `mlflow`."""

    def __init__(self, mlflow: str) -> None:
        self._mlflow = mlflow

    def install(self, app: FastAPI, service: Service) -> None:
        """Open them."""
        door = tracking.TrackingDoor(self._mlflow, service.database)
        app.mount(tracking.PREFIX, door)
        app.mount(studies.PREFIX, studies.StudiesDoor(service.settings.home))
        service.closing.append(door.close)
