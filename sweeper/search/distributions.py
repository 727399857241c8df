"""Between a sweep's domains and Optuna's distributions.

Optuna's categories are scalars: a choice that is a list or a mapping is stored as its JSON text.
Optuna's logarithmic distributions have no step: a value drawn from one is rounded afterwards.
"""

from __future__ import annotations

import json
import math
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from sweeper.sweepfile.domains import Domain, Parameter, Range, Toggle, Values, same

_JSON = "json:"


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's distribution for a domain."""
    if isinstance(domain, Toggle):
        return CategoricalDistribution((False, True))
    if isinstance(domain, Values):
        return CategoricalDistribution(tuple(_encode(value) for value in domain.values))
    step = None if domain.log else domain.step
    if domain.integer:
        low, high = int(domain.low), int(domain.high)
        return IntDistribution(low, high, log=domain.log, step=int(step or 1))
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=step)


def suggest(trial: Trial, name: str, domain: BaseDistribution) -> Any:
    """Let an Optuna trial draw the parameter `name` from a distribution."""
    if isinstance(domain, CategoricalDistribution):
        return trial.suggest_categorical(name, domain.choices)
    if isinstance(domain, IntDistribution):
        return trial.suggest_int(name, domain.low, domain.high, step=domain.step, log=domain.log)
    assert isinstance(domain, FloatDistribution)
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)


def to_study(domain: Domain, value: Any) -> Any:
    """A value of the domain as the study stores it."""
    if isinstance(domain, Values):
        return next(_encode(own) for own in domain.values if same(own, value))
    if isinstance(domain, Range):
        return int(value) if domain.integer else float(value)
    return value


def from_study(domain: Domain, stored: Any) -> Any:
    """The value of the domain that the study's stands for."""
    if isinstance(domain, Values):
        return next(own for own in domain.values if _encode(own) == stored)
    return domain.snap(stored)


def at(parameter: Parameter, u: float) -> Any:
    """The value of a parameter at the quantile `u` in [0, 1).

    Uniform over categories and grid points, over the range, or over its logarithm.
    """
    domain = parameter.domain
    size = domain.size()
    if isinstance(domain, Range) and (domain.log or size is None):
        return domain.snap(_between(domain, u))
    if isinstance(domain, Range):
        assert domain.step is not None
        return domain.snap(domain.low + int(u * (size or 1)) * domain.step)
    return domain.cells()[int(u * (size or 1))]


def quantile(parameter: Parameter, value: Any) -> float:
    """Where a value of a range lies between its bounds, 0 to 1, on the scale it is drawn on."""
    domain = parameter.domain
    assert isinstance(domain, Range)
    if domain.high == domain.low:
        return 0.5
    if domain.log:
        return math.log(value / domain.low) / math.log(domain.high / domain.low)
    return float((value - domain.low) / (domain.high - domain.low))


def _between(domain: Range, u: float) -> float:
    if not domain.log:
        return domain.low + u * (domain.high - domain.low)
    drawn = domain.low * math.exp(u * math.log(domain.high / domain.low))
    return min(max(drawn, domain.low), domain.high)


def _encode(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return _JSON + json.dumps(value, sort_keys=True)
