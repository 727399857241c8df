"""Which axis shows values well: linear or logarithmic, and from where to where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Scale(NamedTuple):
    """An axis: its ends, without any margin, and whether it is logarithmic."""

    low: float
    high: float
    log: bool


def wants_log(values: Iterable[float]) -> bool:
    """Whether a logarithmic axis shows the values better: all positive, over a factor of ten."""
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 1e-30 and max(finite) > 10 * min(finite)


def scale_of(
    values: Iterable[float], *, whole: bool = False, keep: Sequence[float] = ()
) -> Scale | None:
    """Log or linear for the values, with ends that single explosions cannot stretch; None without
    a finite one.

    Linear: up to three times the interquartile range beyond the quartiles; logarithmic: up to four
    decades beyond them; with `whole`, all linear ones. Those of `keep`, the best, are inside.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return None
    low, high = finite[0], finite[-1]
    first, third = finite[len(finite) // 4], finite[(3 * len(finite)) // 4]
    if wants_log(finite):
        low, high = max(low, first / 1e4), min(high, third * 1e4)
        return Scale(min([low, *keep]), max([high, *keep]), True)
    reach = 3 * (third - first)
    if reach > 0 and not whole:
        low, high = max(low, first - reach), min(high, third + reach)
        low, high = min([low, *keep]), max([high, *keep])
    return Scale(low, high, False)
