"""The smaller figures: importances, best of k trials, Pareto front, steps that were not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sweeper.ablation.search_statistics import Importance, expected_best
from sweeper.report import style
from sweeper.standings import Standings
from sweeper.standings.luck import values_of_search
from sweeper.standings.values import final
from sweeper.trial import Trial
from sweeper.wording import better, measure, number, plain, plural, short_path

_BARS = 20
_NO_SHARE = Importance(0.0, 0.0, 0.0, 0.0)
CLEAR = {"facecolor": "white", "edgecolor": "none", "pad": 1}
"""Behind a number beside its bar, so that no grid line runs through it."""


def importances(
    values: Mapping[str, Importance], fanova: Mapping[str, Importance] | None = None
) -> Figure | None:
    """Each parameter's importance by PED-ANOVA, largest first, and beside it by fANOVA, with their
    intervals. None for fewer than two: the share of one is all there is.
    """
    ordered = sorted(values.items(), key=lambda item: (-item[1].share, item[0]))[:_BARS]
    if len(ordered) < 2:
        return None
    figure = style.new_figure(height=(1.15 if fanova else 0.75) + 0.34 * len(ordered))
    axes = figure.add_subplot()
    sides = [("PED-ANOVA: what sets the best apart", style.COMPLETED, dict(ordered))]
    if fanova:
        sides.append(("fANOVA: what explains the variance", style.RUNNING, dict(fanova)))
    height = 0.66 / len(sides)
    for side, (label, colour, shares) in enumerate(sides):
        bars = [shares.get(path, _NO_SHARE) for path, _ in ordered]
        places = [row + (side - (len(sides) - 1) / 2) * height for row in range(len(ordered))]
        axes.barh(places, [bar.share for bar in bars], height=height, color=colour, label=label)
        axes.hlines(
            places,
            [bar.low for bar in bars],
            [bar.high for bar in bars],
            color=style.INK,
            linewidth=1.1,
        )
        luck = max(bar.luck for bar in bars)
        axes.axvline(luck, color=colour, linestyle=(0, (4, 3)), linewidth=1.1)
        for place, bar in zip(places, bars, strict=True):
            axes.annotate(
                f"{bar.share:.2f}",
                (bar.high, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8 if len(sides) == 1 else 7,
                color=style.MUTED,
                bbox=CLEAR,
            )
    name_rows(axes, [short_path(path) for path, _ in ordered])
    shown = [bar for _, _, shares in sides for bar in shares.values()]
    most = max(max(bar.high, bar.luck) for bar in shown)
    axes.set_xlim(0, max(most * 1.1, 1e-9))
    axes.set_xlabel("importance (share of the total), with its 95% interval")
    if fanova:
        style.legend(figure, 2)
    return figure


def best_of_k(standings: Standings) -> Figure | None:
    """Expected best score against the number of trials, from those that ran.

    "Show Your Work" (arXiv:1909.03004). A trial that was stopped or failed counts as one that was
    as bad as the worst. None for fewer than two scores.
    """
    goal: Any = standings.goals[0]
    scores = standings.scores
    values = values_of_search(standings)
    if len(scores) < 2:
        return None
    best = expected_best(values, goal)
    reached = [value for value in values if value is not None]
    figure = style.new_figure(height=3.4)
    axes = figure.add_subplot()
    low = np.clip(best.expected - best.deviation, min(reached), max(reached))
    high = np.clip(best.expected + best.deviation, min(reached), max(reached))
    axes.fill_between(best.trials, low, high, color=style.COMPLETED, alpha=0.16, linewidth=0)
    axes.plot(best.trials, best.expected, color=style.COMPLETED, linewidth=1.8)
    handles: list[Any] = [
        Line2D([], [], color=style.COMPLETED, linewidth=1.8, label="expected best"),
        Patch(color=style.COMPLETED, alpha=0.16, linewidth=0, label="± one standard deviation"),
    ]
    shown = [*best.expected, *low]
    base = scores.get(standings.base.number) if standings.base else None
    if base is not None:
        axes.axhline(base, color=style.BASE, linestyle=(0, (4, 2)), linewidth=1.4)
        label = f"base configuration, {number(base)}"
        handles.append(
            Line2D([], [], color=style.BASE, linestyle=(0, (4, 2)), linewidth=1.4, label=label)
        )
        shown.append(base)
    style.scale_values(axes, shown, whole=True)
    style.label_log(axes, "y")
    if len(values) > 100:
        style.log_axis(axes, "x")
        axes.set_xlim(1, len(values))
    else:
        axes.set_xlim(1, len(values))
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("trials")
    axes.set_ylabel(f"{measure(standings.metrics[0])} of the best")
    style.legend(figure, 3, handles)
    return figure


def pareto(standings: Standings) -> Figure | None:
    """Two objectives against each other, the Pareto front joined. None without a finished trial."""
    if len(standings.goals) < 2 or not standings.finished:
        return None
    points = [_pair(trial) for trial in standings.finished]
    figure = style.new_figure(height=4.4)
    axes = figure.add_subplot()
    many = len(points) > 300
    axes.plot(
        [p[0] for p in points],
        [p[1] for p in points],
        linestyle="none",
        marker="o",
        markersize=2.5 if many else 4.2,
        markeredgewidth=0,
        color=style.COMPLETED,
        alpha=0.3 if many else 0.6,
        label=f"completed ({len(points):,})",
    )
    rim: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.7}
    corners = sorted(_pair(winner.trial) for winner in standings.winners)
    axes.plot(
        [x for x, _ in corners],
        [y for _, y in corners],
        # What the front dominates lies behind a staircase; the first goal says how it turns.
        drawstyle="steps-post" if standings.goals[0] == "minimize" else "steps-pre",
        linewidth=1.4,
        marker="o",
        markersize=5.5,
        color=style.BEST,
        zorder=5,
        label=f"Pareto front ({len(corners):,})",
        **rim,
    )
    base = standings.base
    if base is not None and base.number in standings.scores:
        axes.plot(
            *_pair(base),
            linestyle="none",
            marker="D",
            markersize=6,
            color=style.BASE,
            zorder=6,
            label="base configuration",
            **rim,
        )
    for place, which in enumerate(("x", "y")):
        front = [corner[place] for corner in corners]
        style.scale_values(axes, [point[place] for point in points], which, keep=front)
        style.label_log(axes, which)
    for place, set_label in ((0, axes.set_xlabel), (1, axes.set_ylabel)):
        set_label(f"{measure(standings.metrics[place])}  ({better(standings.goals[place])})")
    style.legend(figure, 3)
    return figure


def steps_not_trained(standings: Standings) -> Figure | None:
    """Training steps that were budgeted and not run, by what ended the trials. None for fewer than
    two causes: a sentence says it."""
    stops = [stop for stop in standings.stops if stop.steps > 0][:_BARS]
    if len(stops) < 2:
        return None
    figure = style.new_figure(height=0.95 + 0.32 * len(stops))
    axes = figure.add_subplot()
    colours = [style.GOOD if stop.saves else style.PRUNED for stop in stops]
    axes.barh(range(len(stops)), [stop.steps for stop in stops], height=0.62, color=colours)
    name_rows(axes, [plain(stop.cause) for stop in stops])
    most = max(stop.steps for stop in stops)
    for row, stop in enumerate(stops):
        text = f"{stop.steps:,} steps"
        text += "" if style.is_narrow() else f", {plural(stop.trials, 'trial')}"
        inside = stop.steps > 0.62 * most
        axes.annotate(
            text,
            (stop.steps, row),
            xytext=(-5 if inside else 5, 0),
            textcoords="offset points",
            va="center",
            ha="right" if inside else "left",
            fontsize=8,
            color="white" if inside else style.MUTED,
            bbox=None if inside else CLEAR,
        )
    axes.set_xlim(0, most * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("training steps not run")
    kinds = [Patch(color=style.GOOD, label="saved: stopped with reason")]
    if any(not stop.saves for stop in stops):
        kinds.append(Patch(color=style.PRUNED, label="lost: error, memory or worker"))
    style.legend(figure, 2, kinds)
    return figure


def _pair(trial: Trial) -> tuple[float, float]:
    first, second = final(trial, 0), final(trial, 1)
    assert first is not None, "a finished trial has all its values"
    assert second is not None, "a finished trial has all its values"
    return first, second


def name_rows(axes: Any, names: Sequence[str]) -> None:
    """Rows of a figure from the top, named at the left."""
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
