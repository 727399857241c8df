"""Points of the space that somebody gives: is each one of it, and what is it as a whole?"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from sweeper.sweepfile.document import Document, Path, one_of, shown
from sweeper.sweepfile.domains import Parameter, canonical, same
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.space import Draw, base_draw, walk
from trials.problems import nearest


def check_tries(document: Document, sweep: Sweep) -> None:
    """Report everything that is wrong with the configurations of `search.try`.

    They are run before anything is proposed, so each must be a whole one of the space: what it
    leaves open is as in the base.
    """
    from trials.config import problems_of  # imports torch

    seen: dict[str, int] = {}
    of_base = set(problems_of(sweep.base))
    for place, given in enumerate(sweep.search.tries or ()):
        at: Path = ("search", "try", place)
        count = len(document.problems)
        for path, message, expected, close in misfits(sweep.parameters, given):
            document.add((*at, path), message, expected, close)
        if len(document.problems) > count:
            continue
        try:
            draw = tried(sweep, given)
        except KeyError as error:
            told = (
                f"leaves {error.args[0]} out, and the value in the base is not in the search space"
            )
            document.add(at, told, f"a value for {error.args[0]}")
            continue
        for path, reason in _lost(sweep, given, draw):
            document.add((*at, path), reason)
        for problem in set(problems_of(draw.config)) - of_base:
            document.add(at, f"{problem.path}: {problem.message}", problem.expected)
        earlier = seen.setdefault(canonical(draw.values), place)
        if earlier != place:
            document.add(at, f"is the same configuration as search.try[{earlier}]", "another")


def misfits(
    parameters: Sequence[Parameter], given: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    """What keeps `given` from being values of these parameters: the path, what is wrong with it,
    what was expected and the nearest name."""
    by_path = {parameter.path: parameter for parameter in parameters}
    for path, value in given.items():
        parameter = by_path.get(path)
        if parameter is None:
            close = nearest(str(path), list(by_path))
            yield str(path), "is not a parameter of this sweep", one_of(by_path), close
        elif not parameter.domain.contains(value):
            words = ", ".join(f"{key}: {what}" for key, what in parameter.domain.as_dict().items())
            yield path, f"{shown(value)} is not one of its values", words, ""


def _lost(sweep: Sweep, given: Mapping[str, Any], draw: Draw) -> Iterator[tuple[str, str]]:
    """Values that the whole point does not have, and why."""
    for path, value in given.items():
        parameter = sweep.parameter(path)
        if path in draw.forced:
            yield path, "cannot be on together with the rest of that configuration"
        elif path not in draw.values:
            wanted = " and ".join(
                f"{on} is {' or '.join(map(repr, allowed))}"
                for on, allowed in parameter.when.items()
            )
            yield path, f"applies only where {wanted}"
        elif not same(draw.values[path], value):
            yield path, f"would be {shown(draw.values[path])}"


def next_tried(sweep: Sweep, begun: Container[Any]) -> tuple[int, Draw] | None:
    """The first configuration of `search.try` whose place is none of those that have `begun`."""
    for place, given in enumerate(sweep.search.tries or ()):
        if place not in begun:
            return place, tried(sweep, given)
    return None


def tried(sweep: Sweep, given: Mapping[str, Any]) -> Draw:
    """The whole point that `given` stands for: what it leaves open is as in the base.

    Raises:
        KeyError: the base has no value of the space for a parameter that is left open.
    """
    base = base_draw(sweep).values

    def choose(parameter: Parameter) -> Any:
        path = parameter.path
        return given[path] if path in given else base[path]

    return walk(sweep, choose)
