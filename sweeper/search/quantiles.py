"""Between the values of a parameter and the quantiles of it, in [0, 1)."""

from __future__ import annotations

import math
from typing import Any

from sweeper.sweepfile.domains import Parameter, Range


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
    return domain.points()[int(u * (size or 1))]


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
