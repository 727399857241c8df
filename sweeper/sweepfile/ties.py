"""Ties: settings that always have the value of a parameter.

    optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-5, max: 1.0e-2}
    optimizer.discriminator.lr: {tie: optimizer.generator.lr}

A tie is no parameter of its own: samplers, tables and importances know the one that it follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sweeper.sweepfile.document import Document, shown
from sweeper.sweepfile.domains import Parameter
from trials.problems import nearest

KEY = "tie"


def read_ties(
    document: Document, raw: Mapping[str, Any]
) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
    """Parameter → the settings that are tied to it, and the section without these."""
    ties = {
        path: given[KEY]
        for path, given in raw.items()
        if isinstance(given, Mapping) and KEY in given
    }
    rest = {path: given for path, given in raw.items() if path not in ties}
    tied: dict[str, tuple[str, ...]] = {}
    for path, leader in ties.items():
        if fault := _fault(path, raw[path], leader, rest, ties):
            document.add(("parameters", path, KEY), *fault)
        else:
            tied[leader] = (*tied.get(leader, ()), path)
    return tied, rest


def _fault(
    path: str,
    given: Mapping[str, Any],
    leader: Any,
    rest: Mapping[str, Any],
    ties: Mapping[str, Any],
) -> tuple[str, str, str] | None:
    """What is wrong with one tie: message, expectation, nearest name."""
    expected = "the path of a parameter with values or a range"
    if len(given) > 1:
        return "a tied parameter has no domain or condition of its own", "no other key", ""
    if not isinstance(leader, str):
        return f"{shown(leader)} is wrong", expected, ""
    if leader in ties:
        return f"{leader} is tied itself", f"the parameter that {leader} is tied to", ""
    if leader not in rest:
        close = nearest(leader, rest)
        return f"{leader} is not a parameter of this sweep", expected, close
    toggles = isinstance(rest[leader], Mapping) and "toggle" in rest[leader]
    if toggles or (path.split(".")[0] == "tricks" and path.count(".") == 1):
        return "a trick that is on or off cannot be tied", expected, ""
    return None


def with_ties(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of parameters, and what is tied to them."""
    spread = dict(values)
    for parameter in parameters:
        if parameter.path in values:
            spread |= dict.fromkeys(parameter.tied, values[parameter.path])
    return spread
