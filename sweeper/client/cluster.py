"""Who waits for what, and what there is."""

from __future__ import annotations

from sweeper.client.group import Group
from sweeper.service.api.shapes_cluster import MachineShape, PlaceShape


class Cluster(Group):
    """The queue and the machines of a server."""

    def queue(self) -> list[PlaceShape]:
        """The sweeps that run, then those that wait: why, and until about when."""
        return self._http.get("/queue", list[PlaceShape])

    def machines(self) -> list[MachineShape]:
        """The machines, what is free of each, and which sweeps run there."""
        return self._http.get("/cluster", list[MachineShape])
