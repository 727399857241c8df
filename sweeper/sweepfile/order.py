"""The order in which the parameters of a sweep are decided."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweeper.sweepfile.document import Document
from sweeper.sweepfile.domains import Parameter, Toggle


@dataclass(frozen=True)
class Relations:
    """How a toggle's trick stands to the tricks of other toggles, all by path."""

    needs: tuple[str, ...] = ()
    """One of these must be on beside it."""
    excludes: tuple[str, ...] = ()
    """None of these can be on beside it."""


def in_order(
    document: Document,
    parameters: Mapping[str, Parameter],
    relations: Mapping[str, Relations],
) -> tuple[Parameter, ...]:
    """The parameters so that each follows those it depends on.

    Plain choices come first, then toggles, then what is conditional, each in the file's order. A
    condition may stand on a parameter that is written later; a circle of conditions is a problem.
    A setting follows those that are searched above it: an optimiser's rate follows the optimiser. A
    toggle follows those that it needs. One that excludes many others precedes them: decided last,
    it would hardly ever find all of them off.
    """
    after = {
        path: {other for other in parameter.when if other in parameters and other != path}
        for path, parameter in parameters.items()
    }
    for path, parameter in parameters.items():
        needs = relations.get(path, Relations()).needs
        above = (other.path for other in parameters.values() if _is_above(other, parameter))
        for other in (*needs, *above):
            if other in parameters and other != path and path not in _reach(after, other):
                after[path].add(other)
    rank = {
        path: (_rank(item), -len(relations.get(path, Relations()).excludes), position)
        for position, (path, item) in enumerate(parameters.items())
    }
    ready = [(rank[path], path) for path in parameters if not after[path]]
    heapq.heapify(ready)
    done: dict[str, Parameter] = {}
    while ready:
        _, path = heapq.heappop(ready)
        done[path] = parameters[path]
        for other in parameters:
            if path in after[other]:
                after[other].discard(path)
                if not after[other]:
                    heapq.heappush(ready, (rank[other], other))
    circle = [path for path in parameters if path not in done or path in parameters[path].when]
    if circle:
        at = ("parameters", circle[0], "when")
        document.add(at, f"conditions form a cycle: {', '.join(circle)}", "no circle")
    return tuple(parameter for path, parameter in done.items() if path not in circle)


def _is_above(other: Parameter, parameter: Parameter) -> bool:
    """Whether a setting of the parameter stands inside one of the other's."""
    inside = [f"{path}." for path in (other.path, *other.tied)]
    return any(path.startswith(tuple(inside)) for path in (parameter.path, *parameter.tied))


def _reach(after: Mapping[str, set[str]], start: str) -> set[str]:
    """Everything that `start` comes after, directly or not."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for path in after.get(waiting.pop(), set()) - reached:
            reached.add(path)
            waiting.append(path)
    return reached


def follows_conditions(parameters: Iterable[Parameter]) -> bool:
    """Whether every condition stands on parameters that come before."""
    seen: set[str] = set()
    for parameter in parameters:
        if not parameter.when.keys() <= seen:
            return False
        seen.add(parameter.path)
    return True


def _rank(parameter: Parameter) -> int:
    if isinstance(parameter.domain, Toggle):
        return 1
    return 2 if parameter.when else 0
