"""Numbers as a reader wants them: places by the spread, a typographic minus, dashes for nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

NONE = "—"


def decimals(spread: npt.ArrayLike, values: npt.ArrayLike) -> int:
    """Places after the point: two figures of the typical spread, or four of the typical value."""
    for figures, numbers in ((2, spread), (4, values)):
        sizes = np.abs(np.asarray(numbers, dtype=np.float64))
        sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
        if sizes.size:
            return int(np.clip(figures - 1 - math.floor(math.log10(np.median(sizes))), 0, 8))
    return 2


def number(value: float, places: int, *, signed: bool = False) -> str:
    """A number with a typographic minus; a dash for NaN; ten to a power where it is huge."""
    if math.isnan(value):
        return NONE
    sign = "+" if signed else ""
    text = f"{value:{sign}.3e}" if abs(value) >= 1e7 else f"{value:{sign}.{places}f}"
    return text.replace("-", "−")


def with_interval(
    value: float, low: float, high: float, places: int, *, signed: bool = False
) -> str:
    """`−1.20 [−2.00, −0.40]`."""
    text = number(value, places, signed=signed)
    if math.isnan(low):
        return text
    return f"{text} [{number(low, places, signed=signed)}, {number(high, places, signed=signed)}]"


def p_text(value: float) -> str:
    """Three places, or that it is below a thousandth."""
    return NONE if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def seeds_text(seeds: Iterable[int]) -> str:
    """`0–4, 7, 10–12`."""
    ordered = sorted(set(seeds))
    parts, start = [], 0
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or ordered[end] != ordered[end - 1] + 1:
            first, last = ordered[start], ordered[end - 1]
            parts.append(str(first) if first == last else f"{first}–{last}")
            start = end
    return ", ".join(parts)
