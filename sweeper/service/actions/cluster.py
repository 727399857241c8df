"""The queue, and the machines that it is for."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sweeper.service.app import Service
from sweeper.service.machines import Machine
from sweeper.service.problem import Refusal
from sweeper.service.state import sweeps
from sweeper.service.state.sweeps import Entry

FRESH = 3.0
"""Seconds for which what the cluster has said is said again."""


def queue(service: Service) -> list[Entry]:
    """The sweeps that have not ended: those that run, then those that wait, by their places."""
    with service.database.reading() as session:
        entries = sweeps.unended(session)

    def place(entry: Entry) -> tuple[bool, float, float]:
        waits, at = entry.lease.state == "queued", entry.lease.place
        return waits, float("inf") if at is None else at, entry.sweep.created

    return sorted(entries, key=place)


def machines(service: Service) -> tuple[Sequence[Machine], dict[str, str]]:
    """The machines of the cluster, and the names of the sweeps whose jobs run there.

    Raises:
        Refusal: it is not known which cluster there is; status 503.
        SweeperError: it does not answer.
    """
    ask = service.machines
    if ask is None:
        raise Refusal(503, "unavailable", "This server knows of no cluster: none is connected.")
    found = service.memo.of(("machines", int(time.monotonic() / FRESH)), ask)
    with service.database.reading() as session:
        jobs = {job for machine in found for job in machine.jobs}
        return found, sweeps.names_of_jobs(session, jobs)
