"""Machines that may yet join a cluster: those that Ray's autoscaler adds for what waits on Ray.

    SWEEPER_MACHINES="8 x cpu=4 gpu=1; 2 x cpu=64"     in the driver's or the service's environment

Ray tells nobody which machines its autoscaler could add: there is a table for it, which the
autoscaler does not fill. A trial that no machine can hold would wait in silence, so that it is
refused, and nobody asks for a machine that is not there. So the operator says what there may be, in
groups of machines that are alike: how many at most, those that are there among them, and the CPUs
and GPUs of each, as `ray status` counts them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from sweeper.errors import UserError
from sweeper.sweepfile.resources import Given
from trials.problems import nearest

VARIABLE = "SWEEPER_MACHINES"

EXAMPLE = "8 x cpu=4 gpu=1; 2 x cpu=64"

MOST = 10_000
"""Machines of one group: the queue looks at each of them every second."""

_GROUP = re.compile(r"(\d+)\s*[x×]\s*(\S.*)", re.DOTALL)
_NAMES = ("cpu", "gpu")


class Growth:
    """How many machines of each shape there may be at most; without any, a cluster stays as it
    is."""

    def __init__(self, most: Mapping[Given, int] | None = None) -> None:
        self._most = dict(most or {})

    def __bool__(self) -> bool:
        return bool(self._most)

    def to_come(self, there: Iterable[Given]) -> list[Given]:
        """The machines that may still join where these are there."""
        has = Counter(Given(one.cpu, one.gpu) for one in there)
        return [shape for shape, most in self._most.items() for _ in range(most - has[shape])]


def growth_asked_for(environment: Mapping[str, str] | None = None) -> Growth:
    """What the variable says.

    Raises:
        UserError: it is not understood; every problem is told.
    """
    given = (os.environ if environment is None else environment).get(VARIABLE, "")
    most: Counter[Given] = Counter()
    problems: list[str] = []
    for group in filter(None, map(str.strip, given.split(";"))):
        count, shape, faults = _read(group)
        problems += [f"{group!r}: {fault}" for fault in faults]
        most[shape] += count
    if problems:
        told = "\n  ".join(problems)
        raise UserError(f"{VARIABLE} is not understood, as {EXAMPLE!r} would be:\n  {told}")
    return Growth(most)


def _read(group: str) -> tuple[int, Given, list[str]]:
    """How many machines, of which shape, and what is wrong with the text."""
    parts = _GROUP.fullmatch(group)
    if parts is None:
        return 0, Given(), ["expected how many machines, an x, and what each has"]
    count, faults, has = int(parts[1]), list[str](), dict[str, int]()
    if not 0 < count <= MOST:
        faults.append(f"expected 1 to {MOST} machines")
    for word in re.split(r"[\s,]+", parts[2].strip(" ,")):
        name, _, number = word.partition("=")
        meant = nearest(name, _NAMES)
        if name not in _NAMES:
            told = f"{word!r} is neither cpu=… nor gpu=…"
            faults.append(told + (f": is {meant} meant?" if meant else ""))
        elif not re.fullmatch(r"\d{1,6}", number):
            faults.append(f"{word!r}: expected a whole number")
        elif has.setdefault(name, int(number)) != int(number):
            faults.append(f"{name} is given twice")
    if not faults and not any(has.values()):
        faults.append("such a machine has nothing to train on")
    return count, Given(has.get("cpu", 0), has.get("gpu", 0)), faults
