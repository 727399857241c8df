"""The objective over training steps, for all trials of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import StrMethodFormatter

from sweeper.report import style
from sweeper.report.lines import MANY, Line, by_step, lines_of, quantiles
from sweeper.standings import Standings
from sweeper.standings.values import final
from sweeper.wording import better, measure, number


def over_steps(standings: Standings, objective: int = 0) -> Figure | None:
    """All trials' curves, stopped and failed ones told apart, base and best emphasised.

    None when no trial was measured twice: a point is no curve.
    """
    lines = lines_of(standings, objective)
    if all(len(line.steps) < 2 for line in lines):
        return None
    many = len(lines) > MANY
    figure = style.new_figure(height=5.0 if many else 4.4)
    if many:
        grid = figure.add_gridspec(2, 1, height_ratios=(4, 1))
        axes = figure.add_subplot(grid[0])
        below = figure.add_subplot(grid[1], sharex=axes)
        handles = _draw_bands(axes, lines)
        _draw_alive(below, lines)
        axes.tick_params(labelbottom=False)
        bottom = below
    else:
        axes = bottom = figure.add_subplot()
        handles = _draw_lines(axes, lines)
    handles += _draw_emphasised(axes, standings, lines, objective)
    won = [line.values[-1] for line in lines if line.trial.number in _best(standings)]
    style.scale_values(axes, [value for line in lines for value in line.values], keep=won)
    style.label_log(axes, "y")
    last = max(line.steps[-1] for line in lines)
    planned = max((standings.steps_of(line.trial) for line in lines), default=last)
    style.steps_axis(axes, max(last, planned))
    metric, goal = standings.metrics[objective], standings.goals[objective]
    axes.set_ylabel(f"{measure(metric)}  ({better(goal)})")
    bottom.set_xlabel("training step")
    style.legend(figure, min(len(handles), 3), handles)
    return figure


def _best(standings: Standings) -> set[int]:
    return {standings.best.trial.number} if standings.best is not None else set()


# Up to some hundreds of trials: a line each -----------------------------------------------------

_DRAWN = {
    # state: (words, line width, opacity, marker where the line ends, above which others)
    "completed": ("completed", 1.0, 0.6, "", 2.4),
    "pruned": ("stopped early", 0.8, 0.55, "o", 2.0),
    "failed": ("failed", 0.8, 0.6, "X", 2.2),
    "running": ("running", 1.0, 0.9, ">", 2.6),
}


def _draw_lines(axes: Axes, lines: Sequence[Line]) -> list[Artist]:
    handles: list[Artist] = []
    thin = 1.0 if len(lines) <= 60 else 0.7
    for state, (words, width, opacity, marker, order) in _DRAWN.items():
        chosen = [line for line in lines if line.trial.state == state]
        if not chosen:
            continue
        colour = style.STATE_COLOURS[state]
        segments = [np.column_stack([line.steps, line.values]) for line in chosen]
        axes.add_collection(
            LineCollection(
                segments, colors=colour, linewidths=width * thin, alpha=opacity * thin, zorder=order
            )
        )
        # A line of one evaluation is a point; an end that was not planned is marked.
        ends = chosen if marker else [line for line in chosen if len(line.steps) == 1]
        axes.plot(
            [line.steps[-1] for line in ends],
            [line.values[-1] for line in ends],
            linestyle="none",
            marker=marker or "o",
            markersize=4 if marker == "X" else 3,
            markeredgewidth=0,
            color=colour,
            alpha=min(opacity + 0.3, 1),
            zorder=order,
        )
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                linewidth=1.4,
                alpha=0.9,
                marker=marker or None,
                markersize=4,
                markeredgewidth=0,
                label=f"{words} ({len(chosen):,})",
            )
        )
    return handles


# Above that: where the trials lie, and how many of them there still are -------------------------


def _draw_bands(axes: Axes, lines: Sequence[Line]) -> list[Artist]:
    steps, values = by_step(lines)
    levels = quantiles(values)
    colour = style.COMPLETED
    axes.fill_between(steps, levels[0], levels[4], color=colour, alpha=0.13, linewidth=0)
    axes.fill_between(steps, levels[1], levels[3], color=colour, alpha=0.25, linewidth=0)
    axes.plot(steps, levels[2], color=colour, linewidth=1.4, marker="o" if len(steps) == 1 else "")
    return [
        Line2D([], [], color=colour, linewidth=1.4, label=f"median of {len(lines):,} trials"),
        Patch(color=colour, alpha=0.38, linewidth=0, label="middle half"),
        Patch(color=colour, alpha=0.13, linewidth=0, label="5th to 95th percentile"),
    ]


def _draw_alive(axes: Axes, lines: Sequence[Line]) -> None:
    steps, values = by_step(lines)
    counts = [len(at_step) for at_step in values]
    axes.fill_between(
        [0, *steps], [counts[0], *counts], step="pre", color=style.PRUNED, alpha=0.45, linewidth=0
    )
    axes.set_ylim(0, max(counts) * 1.08)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylabel("trials")


# What the eye should find first -----------------------------------------------------------------


def _draw_emphasised(
    axes: Axes, standings: Standings, lines: Sequence[Line], objective: int
) -> list[Artist]:
    by_number = {line.trial.number: line for line in lines}
    best = standings.best
    base = standings.base
    name = "best" if len(standings.metrics) == 1 else f"best {measure(standings.metrics[0])}"
    handles: list[Artist] = []
    for trial, words, colour, dash in (
        (best.trial if best else None, name, style.BEST, "solid"),
        (base, "base configuration", style.BASE, (0, (4, 2))),
    ):
        if trial is None or trial.number not in by_number:
            continue
        line = by_number[trial.number]
        axes.plot(line.steps, line.values, color="white", linewidth=4, alpha=0.8, zorder=4)
        axes.plot(
            line.steps,
            line.values,
            color=colour,
            linestyle=dash,
            linewidth=2,
            zorder=5,
            marker="o" if len(line.steps) == 1 else "",
            markersize=5,
        )
        score = final(trial, objective)
        value = f", {number(score)}" if score is not None else ""
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                linestyle=dash,
                linewidth=2,
                label=f"{words}: trial {trial.name}{value}",
            )
        )
    return handles
