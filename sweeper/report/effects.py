"""Figures of an ablation's effects: every interval beside zero, and the half-normal plot.

They are drawn from the finished tables, so that figure and table cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sweeper.ablation.factorial import half_normal
from sweeper.ablation.reference_columns import REFERENCE
from sweeper.ablation.tables import Table
from sweeper.report import style
from sweeper.report.search_plots import CLEAR, name_rows
from sweeper.wording import measure

_ROWS = 60
"""Effects that a figure shows, the largest; the table has all."""
_NAMED = 12
"""Points of a half-normal plot that get a name, the largest."""
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Effect:
    """One effect with its interval. `p` is Holm-corrected; NaN where there was no test."""

    name: str
    estimate: float
    low: float
    high: float
    p: float


def effects_of(table: Table) -> list[Effect]:
    """The effects that a table states, those with an interval, in its order.

    Of a table of cells the differences to the reference, of a factorial's the effects.
    """
    raw = table.raw()
    for label, estimate, low, high in (
        ("cell", "difference", "difference_low", "difference_high"),
        ("effect", "estimate", "low", "high"),
    ):
        if {label, estimate, low, high} <= set(raw.column_names):
            break
    else:
        return []
    columns = [raw[name].to_pylist() for name in (label, estimate, low, high)]
    p = raw["p_holm"].to_pylist() if "p_holm" in raw.column_names else [None] * len(raw)
    return [
        Effect(str(name), middle, start, end, math.nan if chance is None else chance)
        for name, middle, start, end, chance in zip(*columns, p, strict=True)
        if None not in (middle, start, end)
    ]


def effect_plot(table: Table, metric: str, goal: str) -> Figure | None:
    """Effects with their intervals, from the largest increase to the largest decrease.

    None where the table has none.
    """
    largest = sorted(effects_of(table), key=lambda effect: -abs(effect.estimate))[:_ROWS]
    effects = sorted(largest, key=lambda effect: (-effect.estimate, effect.name))
    if not effects:
        return None
    figure = style.new_figure(height=1.25 + 0.27 * len(effects))
    axes = figure.add_subplot()
    axes.axvline(0, color=style.BASE, linestyle=(0, (4, 2)), linewidth=1.1)
    for row, effect in enumerate(effects):
        sure = effect.p < SIGNIFICANT
        colour = _colour(effect, goal)
        axes.plot([effect.low, effect.high], [row, row], color=colour, linewidth=1.7)
        axes.plot(
            effect.estimate,
            row,
            marker="o",
            markersize=6,
            color=colour if sure else "white",
            markeredgecolor=colour,
            markeredgewidth=1.3,
        )
    name_rows(axes, [effect.name for effect in effects])
    better = "←" if goal == "minimize" else "→"
    reference = _reference_of(table)
    to = (
        f"difference of {measure(metric)} to {reference}"
        if reference
        else (f"change of {measure(metric)}")
    )
    axes.set_xlabel(f"{to}, 95% interval   ({better} better)")
    style.legend(figure, 4, _legend(effects))
    return figure


def _reference_of(table: Table) -> str | None:
    """The cell that a table's differences are taken to."""
    texts = {column.key: column.texts for column in table.columns}
    pairs = zip(texts.get("cell", ()), texts.get("difference", ()), strict=False)
    return next((cell for cell, text in pairs if text == REFERENCE), None)


def _colour(effect: Effect, goal: str) -> str:
    if effect.low <= 0 <= effect.high:
        return style.PRUNED
    return style.GOOD if (effect.estimate < 0) == (goal == "minimize") else style.BEST


def _legend(effects: Sequence[Effect]) -> list[Line2D]:
    kinds = [("better", style.GOOD), ("worse", style.BEST), ("interval holds zero", style.PRUNED)]
    handles = [Line2D([], [], color=colour, linewidth=1.7, label=text) for text, colour in kinds]
    if any(not math.isnan(effect.p) for effect in effects):
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                markersize=6,
                color=style.MUTED,
                label=f"filled: p (Holm) < {SIGNIFICANT}",
            )
        )
    return handles


def half_normal_plot(table: Table, metric: str) -> Figure | None:
    """|effect| against the quantile that it would have were all effects noise.

    Noise lies along a line through the origin; what matters stands above it. None for a table
    without effects of a factorial, or with fewer than four.
    """
    if "estimate" not in table.raw().column_names:
        return None
    effects = effects_of(table)
    if len(effects) < 4:
        return None
    points = half_normal(
        [effect.name for effect in effects], [effect.estimate for effect in effects]
    )
    figure = style.new_figure(height=4.0)
    axes = figure.add_subplot()
    axes.plot(
        points.quantiles,
        points.sizes,
        linestyle="none",
        marker="o",
        markersize=5,
        color=style.COMPLETED,
    )
    for margin, dash, text in (
        (points.margin, (0, (1, 2)), "margin of error (Lenth)"),
        (points.simultaneous_margin, (0, (4, 2)), "simultaneous margin"),
    ):
        axes.axhline(margin, color=style.BASE, linestyle=dash, linewidth=1.1, label=text)
    last = list(zip(points.names, points.quantiles, points.sizes, strict=True))[-_NAMED:]
    for name, quantile, size in last:
        if size > points.margin:
            axes.annotate(
                name,
                (quantile, size),
                xytext=(-7, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                bbox=CLEAR,
            )
    axes.set_xlim(0, points.quantiles[-1] * 1.08)
    axes.set_ylim(0, max(points.sizes[-1], points.simultaneous_margin) * 1.08)
    axes.set_xlabel("half-normal quantile")
    axes.set_ylabel(f"size of the effect on {measure(metric)}")
    style.legend(figure, 2)
    return figure
