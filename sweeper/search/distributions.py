"""Between a sweep's domains and Optuna's distributions.

Optuna's categories are scalars: a choice that is a list or a mapping is stored as its JSON text.
Optuna's logarithmic distributions have no step: a value drawn from one is rounded afterwards.
"""

from __future__ import annotations

import json
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from sweeper.sweepfile.domains import Domain, Range, Toggle, Values, same

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


def _encode(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return _JSON + json.dumps(value, sort_keys=True)
