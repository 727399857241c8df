"""What a parameter may be: a list of values, a range, or a trick that is on or off.

The words of the file follow W&B sweeps. One differs: bounds are always the values themselves, so
`log_uniform` is what W&B calls `log_uniform_values`, and both names are read here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Values:
    """One of some values, any plain values; a constant is a single one."""

    values: tuple[Any, ...]

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the domain's."""
        return any(same(value, own) for own in self.values)

    def snap(self, value: Any) -> Any:
        """The value of this domain that `value` stands for: itself."""
        return value

    def samples(self) -> tuple[Any, ...]:
        """Values that stand for the whole domain when it is checked: here all of them."""
        return self.values

    def points(self) -> tuple[Any, ...]:
        """Every value, for the grid."""
        return self.values

    def point(self, place: int) -> Any:
        """The value at a place among `points`, counted from 0."""
        return self.values[place]

    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

    def as_dict(self) -> dict[str, Any]:
        """The domain in the words of a sweep file."""
        return {"values": list(self.values)}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    `step` is None for all numbers between; `high` is then a whole number of steps above `low`,
    except on a logarithmic range, where values are rounded to multiples of `step`. An integer
    range has step 1 at least.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    integer: bool = False

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the domain's."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high or (self.integer and value != int(value)):
            return False
        return self.step is None or math.isclose(self.snap(value), value, rel_tol=1e-12)

    def snap(self, value: float) -> float:
        """The value of this range that `value`, drawn between its bounds, stands for."""
        if self.integer:
            value = round(value)
        if self.step is None or (self.integer and self.step == 1):
            return value
        anchor = 0 if self.log else exact(self.low)
        steps = round((exact(value) - anchor) / exact(self.step))
        snapped = anchor + steps * exact(self.step)
        return self._plain(min(max(snapped, exact(self.low)), exact(self.high)))

    def samples(self) -> tuple[Any, ...]:
        """Values that stand for the whole domain when it is checked."""
        middle = self.low + (self.high - self.low) * (math.sqrt(5) - 1) / 2
        chosen = {self.low: None, self.snap(middle): None, self.high: None}
        return tuple(chosen)

    def size(self) -> int | None:
        """How many values there are; None when they cannot be counted."""
        if self.step is None:
            return None
        step, low, high = exact(self.step), exact(self.low), exact(self.high)
        if self.log:
            return round(high / step) - round(low / step) + 1
        return int((high - low) / step) + 1

    def points(self) -> Iterator[Any]:
        """Every value in turn.

        Raises:
            ValueError: there is no step.
        """
        size = self.size()
        if size is None:
            raise ValueError("a range without a step has no points")
        yield from map(self.point, range(size))

    def point(self, place: int) -> Any:
        """The value at a place among `points`, counted from 0, of a range with a step."""
        assert self.step is not None
        step, low, high = exact(self.step), exact(self.low), exact(self.high)
        if self.log:  # what rounding to multiples of the step, kept inside the bounds, can give
            return self._plain(min(max((round(low / step) + place) * step, low), high))
        return self._plain(low + place * step)

    def as_dict(self) -> dict[str, Any]:
        """The domain in the words of a sweep file."""
        stepped = self.step is not None and not (self.integer and self.step == 1)
        name = "int_uniform" if self.integer else "q_uniform" if stepped else "uniform"
        if self.log:
            name = "int_log_uniform" if self.integer else "log_uniform"
            name = "q_log_uniform_values" if stepped else name
        shown = {"distribution": name, "min": self.low, "max": self.high}
        return {**shown, "q": self.step} if stepped else shown

    def _plain(self, value: Fraction) -> float:
        return int(value) if self.integer else float(value)


@dataclass(frozen=True)
class Toggle:
    """A trick that is on or off."""

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the domain's."""
        return isinstance(value, bool)

    def snap(self, value: Any) -> Any:
        """The value of this domain that `value` stands for: itself."""
        return value

    def samples(self) -> tuple[Any, ...]:
        """Values that stand for the whole domain when it is checked."""
        return (True,)

    def points(self) -> tuple[Any, ...]:
        """Every value, for the grid."""
        return (False, True)

    def point(self, place: int) -> bool:
        """The value at a place among `points`, counted from 0."""
        return bool(place)

    def size(self) -> int:
        """How many values there are."""
        return 2

    def as_dict(self) -> dict[str, Any]:
        """The domain in the words of a sweep file."""
        return {"toggle": True}


Domain = Values | Range | Toggle


@dataclass(frozen=True)
class Parameter:
    """One thing that is searched: where it stands in the trial config, and what it may be.

    `when` names other parameters and the values they must have for this one to exist. `tied` are
    settings that always have its value. `whole` is the default range of a knob of which
    `knobs: default` searches only what makes a difference.
    """

    path: str
    domain: Domain
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tied: tuple[str, ...] = ()
    whole: Range | None = field(default=None, compare=False)

    @property
    def trick(self) -> str:
        """The trick that a toggle switches, or that a knob belongs to; empty for other paths."""
        parts = self.path.split(".")
        return parts[1] if parts[0] == "tricks" and len(parts) > 1 else ""

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether its conditions are met by the values that are decided."""
        return all(
            path in values and any(same(values[path], wanted) for wanted in allowed)
            for path, allowed in self.when.items()
        )

    def as_dict(self) -> dict[str, Any]:
        """The parameter in the words of the sweep file."""
        shown = self.domain.as_dict()
        if self.when:
            shown["when"] = {path: list(allowed) for path, allowed in self.when.items()}
        return shown

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What stands of it in the `parameters` of a sweep file, ties included."""
        yield self.path, self.as_dict()
        yield from ((path, {"tie": self.path}) for path in self.tied)


def same(first: Any, other: Any) -> bool:
    """Equality that keeps True from 1, also inside lists and mappings."""
    return bool(first == other) and canonical(first) == canonical(other)


def canonical(value: Any) -> str:
    """One spelling for equal values: JSON with sorted keys, whole floats as integers."""
    return json.dumps(_whole(value), sort_keys=True, allow_nan=False, default=str)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(inner) for inner in value]
    return value


def exact(number: float) -> Fraction:
    """The number as it is written: 0.1 is a tenth, so that ten steps of it make one."""
    return Fraction(Decimal(repr(number)))
