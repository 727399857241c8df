"""Points that people enqueue by Optuna's `study.enqueue_trial({path: value, …})`.

It is how somebody tries a guess of their own: every sampler runs it, within the budget. What it
leaves open is chosen by the sampler. One that is no point of the space is refused in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sweeper.search.attributes import DONOR, FINAL, STEP
from sweeper.search.distributions import from_study, to_study
from sweeper.sweepfile.domains import Values, same
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.points import misfits
from sweeper.sweepfile.space import Draw

POINT = "fixed_params"
"""The system attribute in which Optuna keeps what was enqueued."""

_KEPT = (
    *("role", "of", "cell", "values", "config", "attempts"),
    *("deaths", "protocol", "judged", "end", "anew"),
)
"""Attributes of a trial that only its driver writes."""


class Unfit(Exception):  # noqa: N818 - says what is wrong
    """An enqueued point cannot be run, and why."""


def fitting(sweep: Sweep, entry: FrozenTrial) -> dict[str, Any]:
    """The values of an enqueued point by path, each one of its parameter's domain.

    Raises:
        Unfit: it is no point of the sweep's space, or more than that.
    """
    given = entry.system_attrs.get(POINT, {})
    if not isinstance(given, Mapping):
        raise Unfit("it is not a mapping of parameters to values")
    values = point(sweep, given)
    kept = sorted(key for key in entry.user_attrs if _is_kept(key))
    if kept and entry.state == TrialState.WAITING:
        told = f"it has {', '.join(kept)}, which only a driver writes: enqueue parameters"
        raise Unfit(told)
    return values


def point(sweep: Sweep, given: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody gave as a point, by path, each value one of its parameter's domain.

    Raises:
        Unfit: it is no point of the sweep's space.
    """
    own = {path: _own(sweep, path, value) for path, value in given.items()}
    faults = []
    for path, message, expected, close in misfits(sweep.parameters, own):
        if path in {parameter.path for parameter in sweep.parameters}:
            faults.append(f"{path}: {message} ({expected})")
        else:
            hint = f"; did you mean {close!r}?" if close else ""
            faults.append(f"{path!r} {message}{hint}")
    faults += _unmet(sweep, own) if not faults else ()
    if faults:
        raise Unfit("; ".join(faults))
    domains = {path: sweep.parameter(path).domain for path in own}
    return {path: from_study(domains[path], to_study(domains[path], own[path])) for path in own}


def stored(sweep: Sweep, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a point as Optuna's samplers read them."""
    return {path: to_study(sweep.parameter(path).domain, value) for path, value in values.items()}


def check_honoured(draw: Draw, values: Mapping[str, Any]) -> None:
    """See that a draw has what was enqueued.

    Raises:
        Unfit: a trick would have to be on that cannot be, beside what else the draw has.
    """
    lost = [path for path, value in values.items() if not same(draw.values.get(path), value)]
    if lost:
        raise Unfit(f"{', '.join(lost)} cannot be on together with the rest of that configuration")


def _own(sweep: Sweep, path: str, value: Any) -> Any:
    """The domain's own value that an enqueued one stands for: a list or a mapping may be given as
    the text that the study holds for it. What stands for none stays as it is."""
    for parameter in sweep.parameters:
        domain = parameter.domain
        if parameter.path == path and isinstance(domain, Values) and isinstance(value, str):
            if domain.contains(value):
                return value
            return next((own for own in domain.values if to_study(domain, own) == value), value)
    return value


def _unmet(sweep: Sweep, values: Mapping[str, Any]) -> Iterator[str]:
    """Values that would be given to nothing, since a condition of theirs is not enqueued too."""
    for path in values:
        parameter = sweep.parameter(path)
        if not parameter.applies(values):
            wanted = " and ".join(
                f"{on} is {' or '.join(map(repr, allowed))}"
                for on, allowed in parameter.when.items()
            )
            yield f"{path} applies only where {wanted}: enqueue that as well"


def _is_kept(key: str) -> bool:
    return key in _KEPT or key.startswith((STEP, DONOR, FINAL))
