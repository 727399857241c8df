"""Walking the space of a sweep: from choices, one a parameter, to a trial config.

The walk is all that a search needs to know of conditions and of tricks that exclude one another.
It visits the parameters in the sweep's order (plain choices, then toggles, then what is
conditional), skips those whose conditions are not met, and keeps a toggle off without asking when
its trick could not be on beside what is already decided. So no choice leads to a configuration
that the trainer would refuse, and no trial is spent on one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from sweeper.sweepfile.domains import Parameter, Toggle, same
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.ties import with_ties

Choose = Callable[[Parameter], Any]


@dataclass(frozen=True)
class Draw:
    """One point of the space: `apply(sweep.base, with_ties(sweep.parameters, values)) == config`.

    `forced` lists the toggles that were kept off because their trick could not be on; they are in
    `values` as False, so that the values alone tell the whole configuration.
    """

    values: dict[str, Any]
    config: dict[str, Any]
    forced: tuple[str, ...] = ()


def walk(sweep: Sweep, choose: Choose) -> Draw:
    """Ask `choose` for the value of each parameter that applies, and build the configuration."""
    values: dict[str, Any] = {}
    forced: list[str] = []
    config: dict[str, Any] = deepcopy(dict(sweep.base))
    switches = _Switches()
    above: set[str] = set()
    for parameter in sweep.parameters:
        if not parameter.applies(values):
            continue
        if isinstance(parameter.domain, Toggle):
            possible = switches.could_be_on(config, parameter)
            value: Any = bool(choose(parameter)) if possible else False
            if not possible:
                forced.append(parameter.path)
            switches.decided(value)
        else:
            value = parameter.domain.snap(_plain(choose(parameter)))
            switches.forget()
        values[parameter.path] = value
        paths = (parameter.path, *parameter.tied)
        if above.isdisjoint(paths):
            for path in paths:
                assign(config, path, value)
        else:  # it would replace what was decided inside it: a stored sweep may be in such an order
            config = apply(sweep.base, with_ties(sweep.parameters, values))
        above.update(_and_above(paths))
    return Draw(values, config, tuple(forced))


def _and_above(paths: Iterable[str]) -> Iterator[str]:
    """The paths, and every path that leads to one of them."""
    for path in paths:
        yield from accumulate(path.split("."), "{}.{}".format)


def _plain(value: Any) -> Any:
    """A value as files can hold it: NumPy's scalars are Python's."""
    item = getattr(value, "item", None)
    return item() if callable(item) else value


class _Switches:
    """Whether tricks could be on in a configuration that grows.

    A trick could be on if switching it on brings no problem that is not there without it. What
    the last question found out of the configuration holds for the next one, as long as nothing
    but a switch was decided in between; a walk over forty toggles takes half the time for it.
    """

    def __init__(self) -> None:
        self._without: frozenset[Any] | None = None
        self._with: frozenset[Any] | None = None

    def could_be_on(self, config: Mapping[str, Any], toggle: Parameter) -> bool:
        # Imported here because the catalogue of tricks imports torch, and a sweep without
        # toggles, or one that is only listed, needs neither.
        from trials.config import problems_of

        trial = deepcopy(dict(config))
        # A base or a preset that has the trick on must not answer for the question.
        may_be_on = "preset" in trial or bool((trial.get("tricks") or {}).get(toggle.trick))
        assign(trial, toggle.path, False)
        if self._without is None or may_be_on:
            self._without = frozenset(problems_of(trial))
        assign(trial, toggle.path, True)
        problems = frozenset(problems_of(trial))
        # With the knobs of the base there may be other problems: those are not looked at here.
        self._with = None if may_be_on else problems
        return problems <= self._without

    def decided(self, on: bool) -> None:
        if on:
            self._without = self._with

    def forget(self) -> None:
        self._without = None


def apply(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The raw trial config that the values make of the base; the base stays as it is.

    A path may lead below a bare name: `loss.margin` turns `loss: hinge` into
    `loss: {name: hinge, margin: …}`, and `tricks.ema.decay` turns `ema: true` into
    `ema: {decay: …}`.

    Raises:
        ValueError: a path leads through what is not a mapping.
    """
    config = deepcopy(dict(base))
    # Shorter paths first: a choice of the loss stands before that loss's margin.
    for path in sorted(values, key=lambda path: path.count(".")):
        assign(config, path, values[path])
    return config


def assign(config: dict[str, Any], path: str, value: Any) -> None:
    """Set one dotted path of a raw trial config in place, as `apply` describes."""
    *parents, last = path.split(".")
    here = config
    for depth, part in enumerate(parents):
        below = here.get(part)
        if below is None or below is True:
            below = {}
        elif isinstance(below, str):
            below = {"name": below}
        elif not isinstance(below, dict):
            where = ".".join(parents[: depth + 1])
            raise ValueError(f"{where} is {below!r}, so that {path} cannot be set")
        here[part] = below
        here = below
    old = here.get(last)
    keeps_knobs = isinstance(old, dict) and (value is True or old.get("name", "") == value)
    if not keeps_knobs:
        here[last] = deepcopy(value)


def base_draw(sweep: Sweep) -> Draw:
    """The base configuration as a point of the space.

    Its config is the base itself. Its values are those that the base has at each parameter, left
    out where the domain does not hold them, where what is tied has others, or where no default can
    be found.
    """
    from trials.config import default_at

    values: dict[str, Any] = {}
    for parameter in sweep.parameters:
        if not parameter.applies(values):
            continue
        try:
            value, *tied = (
                default_at(sweep.base, path) for path in (parameter.path, *parameter.tied)
            )
        except KeyError:
            continue
        together = all(same(value, other) for other in tied)
        if together and parameter.domain.contains(value):
            values[parameter.path] = value
    return Draw(values, deepcopy(dict(sweep.base)))


def grid_points(sweep: Sweep) -> Iterator[Draw]:
    """Every point of a grid, one after the other, each configuration once.

    The last parameter changes fastest.

    Raises:
        ValueError: a range has no step.
    """
    odometer = _Odometer()
    while True:
        yield walk(sweep, odometer.choose)
        if not odometer.advance():
            return


class _Odometer:
    """Goes through a tree of choices whose later branches depend on the earlier ones."""

    def __init__(self) -> None:
        self._wheels: list[tuple[int, int]] = []
        """(choice, number of choices) of each parameter asked for in this round, in turn."""
        self._position = 0

    def choose(self, parameter: Parameter) -> Any:
        if self._position == len(self._wheels):
            self._wheels.append((0, _size(parameter)))
        choice = self._wheels[self._position][0]
        self._position += 1
        return parameter.domain.point(choice)

    def advance(self) -> bool:
        """Turn to the next leaf of the tree; False when that was the last."""
        self._position = 0
        while self._wheels:
            choice, choices = self._wheels.pop()
            if choice + 1 < choices:
                self._wheels.append((choice + 1, choices))
                return True
        return False


def count_points(sweep: Sweep, at_most: int = 10_000) -> int:
    """How many points the grid has, or `at_most` where there are more.

    Raises:
        ValueError: a range has no step.
    """
    always = [
        parameter
        for parameter in sweep.parameters
        if not parameter.when and not isinstance(parameter.domain, Toggle)
    ]
    if math.prod(map(_size, always)) >= at_most:
        return at_most  # without a walk over what may be billions of seeds
    deciding = {path for parameter in sweep.parameters for path in parameter.when}
    toggles = [isinstance(parameter.domain, Toggle) for parameter in sweep.parameters]
    asked_last = len(toggles) - toggles[::-1].index(True) if True in toggles else 0
    # What no condition stands on, and no toggle is asked after, only multiplies the count.
    leaves = [item for item in sweep.parameters[asked_last:] if item.path not in deciding]
    branches = tuple(item for item in sweep.parameters if item not in leaves)
    total = 0
    for draw in grid_points(replace(sweep, parameters=branches)):
        product = 1
        for leaf in leaves:
            if leaf.applies(draw.values):
                product *= _size(leaf)
        total += product
        if total >= at_most:
            return at_most
    return total


def _size(parameter: Parameter) -> int:
    size = parameter.domain.size()
    if size is None:
        raise ValueError(f"the range of {parameter.path} has no step")
    return size


def count_trials(sweep: Sweep, beside: bool) -> int | None:
    """How many trials a grid search has: all points, and the base configuration first where it lies
    `beside` them, or `limits.trials` where these are fewer. Of more points than are counted, the
    limit alone, None where there is none."""
    limit, most = sweep.limits.trials, 10_000
    size = count_points(sweep, most)
    if size >= most or limit is None:
        return limit if size >= most else size + beside
    return min(size + beside, limit)
