"""What the sections of a sweep file must satisfy beyond what each key says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from sweeper.spec.document import Document, one_of
from sweeper.spec.domains import Parameter, Range
from sweeper.spec.sections import (
    SAMPLER_OPTIONS,
    SCHEDULER_OPTIONS,
    TWO_OBJECTIVE_SAMPLERS,
    Objective,
)


def check_options(document: Document, root: Mapping[str, Any], sections: Mapping[str, Any]) -> None:
    """Refuse options of a sampler or scheduler that was not chosen: they would do nothing."""
    search, scheduler = sections["search"], sections["scheduler"]
    tracking = sections["tracking"]
    chosen = (
        ("search", search and search.sampler, SAMPLER_OPTIONS),
        ("scheduler", scheduler and scheduler.name, SCHEDULER_OPTIONS),
    )
    for section, name, table in chosen:
        if name is None:
            continue
        own = table[name]
        foreign = {option for options in table.values() for option in options} - set(own)
        for key, value in (root.get(section) or {}).items():
            if key in foreign and value is not None:
                expected = one_of(own) if own else "no options"
                document.add((section, key), f"is no option of {name}", expected)
    resources = sections["resources"]
    if resources is not None and resources.gpu > 1 and resources.gpu % 1:
        document.add(
            ("resources", "gpu"),
            f"{resources.gpu} is wrong",
            "a share of one GPU, or a whole number",
        )
    if tracking is not None and tracking.uri is not None:
        _check_uri(document, tracking.uri)


def _check_uri(document: Document, uri: str) -> None:
    try:
        password = urlsplit(uri).password
    except ValueError as error:
        document.add(("tracking", "uri"), f"is no address: {error}")
        return
    if password is not None:
        document.add(
            ("tracking", "uri"),
            "holds a password, which would be copied into logs and records",
            "credentials in the environment: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD "
            "for a server, a libpq password file for PostgreSQL",
        )


def check_together(
    document: Document,
    parameters: Sequence[Parameter],
    objective: Sequence[Objective] | None,
    sections: Mapping[str, Any],
) -> None:
    """Problems between sections that are each fine alone."""
    search, scheduler, limits = sections["search"], sections["scheduler"], sections["limits"]
    sampler = search.sampler if search is not None else None
    if objective is not None and len(objective) == 2:
        if sampler not in (None, *TWO_OBJECTIVE_SAMPLERS):
            document.add(
                ("search", "sampler"),
                f"{sampler} optimises one objective, and here are two",
                one_of(TWO_OBJECTIVE_SAMPLERS),
            )
        if scheduler is not None and scheduler.name != "none":
            document.add(
                ("scheduler", "name"),
                f"{scheduler.name} judges trials by one objective, and here are two",
                "none",
            )
    if limits is not None and limits.trials is None and sampler not in (None, "grid"):
        document.add(("limits", "trials"), "is missing", "the number of trials to search")
    if sampler == "grid":
        for parameter in parameters:
            if isinstance(parameter.domain, Range) and parameter.domain.size() is None:
                document.add(
                    ("parameters", parameter.path),
                    "a grid cannot go through a range without steps",
                    "`values`, or a distribution with `q`",
                )
    elif scheduler is not None and scheduler.name == "pbt" and not parameters:
        document.add(("scheduler", "name"), "pbt has no parameters to perturb", "parameters")
