"""Who waits for what, and what there is."""

from __future__ import annotations

from fastapi import FastAPI

from sweeper.service.actions import cluster as actions
from sweeper.service.api.routing import router
from sweeper.service.api.shapes_cluster import MachineShape, PlaceShape
from sweeper.service.app import CurrentService

cluster = router("cluster")


@cluster.get("/queue")
def get_queue(service: CurrentService) -> list[PlaceShape]:
    """List the sweeps that run, then those that wait, and say why and until about when."""
    return [PlaceShape.of(entry) for entry in actions.queue(service)]


@cluster.get("/cluster")
def list_machines(service: CurrentService) -> list[MachineShape]:
    """List the machines, what is free of each, and which sweeps run there."""
    found, names = actions.machines(service)
    return [MachineShape.of(machine, names) for machine in found]


def install(app: FastAPI) -> None:
    """Add the routes."""
    app.include_router(cluster)
