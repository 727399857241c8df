"""Columns that compare each row of a table with its reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sweeper.ablation.column import Column, Context, Raw, whole
from sweeper.ablation.comparison import Comparisons
from sweeper.wording import decimals, number, p_text, with_interval

REFERENCE = "reference"
"""What stands in a column of comparisons in the row of the reference."""


def _difference(context: Context) -> list[Column]:
    c = _comparisons(context)
    difference, low, high = map(context.per_row, (c.difference, c.low, c.high))
    places = decimals((high - low) / 4, difference)
    texts = [
        with_interval(*ends, places, signed=True)
        for ends in zip(difference, low, high, strict=True)
    ]
    raw: Raw = {
        "difference": difference,
        "difference_low": low,
        "difference_high": high,
        "pairs": whole(context.per_row(c.pairs)),
    }
    heading = f"Δ to {context.outcomes.cells[c.reference]}\n[{context.level:.0%}]"
    return [Column("difference", heading, _blank_reference(context, texts), raw, "right")]


def _p(context: Context) -> list[Column]:
    c = _comparisons(context)
    p, corrected = context.per_row(c.p), context.per_row(c.p_holm)
    texts = _blank_reference(context, [p_text(value) for value in corrected])
    test = [c.test[i] if i >= 0 else "" for i in context.index]
    return [Column("p", "p (Holm)", texts, {"p": p, "p_holm": corrected, "test": test}, "right")]


def _effect(context: Context) -> list[Column]:
    effects = context.per_row(_comparisons(context).effect)
    texts = _blank_reference(context, [number(value, 2) for value in effects])
    return [Column("effect", "Hedges' g", texts, {"effect": effects}, "right")]


def _improvement(context: Context) -> list[Column]:
    c = _comparisons(context)
    ends = [context.per_row(x) for x in (c.improvement, c.improvement_low, c.improvement_high)]
    texts = [with_interval(a, low, high, 2) for a, low, high in zip(*ends, strict=True)]
    raw: Raw = dict(zip(("improvement", "improvement_low", "improvement_high"), ends, strict=True))
    heading = "P(better),\nfailures worst"
    return [Column("improvement", heading, _blank_reference(context, texts), raw, "right")]


def _p_worst(context: Context) -> list[Column]:
    c = _comparisons(context)
    p, corrected = context.per_row(c.p_worst), context.per_row(c.p_worst_holm)
    texts = _blank_reference(context, [p_text(value) for value in corrected])
    raw: Raw = {"p_worst": p, "p_worst_holm": corrected}
    return [Column("p_worst", "p (Holm),\nfailures worst", texts, raw, "right")]


def _comparisons(context: Context) -> Comparisons:
    if context.comparisons is None:
        raise LookupError("no reference")
    return context.comparisons


def _blank_reference(context: Context, texts: Sequence[str]) -> list[str]:
    reference = _comparisons(context).reference
    return [REFERENCE if i == reference else t for i, t in zip(context.index, texts, strict=True)]


REFERENCE_COLUMNS: Mapping[str, Callable[[Context], list[Column]]] = {
    "difference": _difference,
    "p": _p,
    "effect": _effect,
    "improvement": _improvement,
    "p_worst": _p_worst,
}
"""All but "improvement" need two seeds or more."""
