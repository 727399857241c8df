"""The bar at the top: where it leads, and by which key."""

from __future__ import annotations

from typing import NamedTuple


class Link(NamedTuple):
    """An entry of the bar. `key` leads there, after `g`."""

    address: str
    title: str
    key: str
    admins: bool = False


LINKS = (
    Link("/", "Sweeps", "s"),
    Link("/new", "New", "n"),
    Link("/queue", "Queue", "q"),
    Link("/machines", "Machines", "m"),
    Link("/parts", "Parts", "p"),
    Link("/notices", "Notifications", "w"),
    Link("/mlflow/", "MLflow", "l"),
    Link("/people", "People", "o", admins=True),
    Link("/audit", "Audit", "a", admins=True),
)
