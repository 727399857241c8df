"""The final objective against each searched parameter, a panel each, on the sweep's own scales.

Numbers from a range stand on its axis, logarithmic where the range is; values from a list and
toggles stand in strips with their median. Trials without a final value are no points: where they
lie is shown by ticks along the upper edge, or, when they are many, by what share they are there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sweeper.report import style
from sweeper.standings import Standings
from sweeper.standings.values import final
from sweeper.sweepfile.domains import Parameter, Range, Toggle, canonical
from sweeper.trial import Trial
from sweeper.wording import measure, setting, short_path

COLUMNS = 3
_TREND = 60
"""Trials from which on a running median says more than the points alone."""
_TICKS = 150
"""Trials without a score up to which each has its tick."""
_ROOM = 34
"""Characters of tick labels that fit beside each other under a panel."""
_LONGEST = 14
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Marks:
    """The trials of one panel: those with a score, and those that ended without one."""

    scored: tuple[tuple[Trial, float], ...]
    stopped: tuple[Trial, ...]
    failed: tuple[Trial, ...]


def against_parameters(standings: Standings, objective: int = 0) -> Figure | None:
    """One panel a parameter. None without parameters or below two scores."""
    parameters = standings.sweep.parameters
    scored = tuple(
        (trial, value)
        for trial in standings.finished
        if (value := final(trial, objective)) is not None
    )
    if len(scored) < 2 or not parameters:
        return None
    columns = min(2 if style.is_narrow() else COLUMNS, len(parameters))
    rows = -(-len(parameters) // columns)
    width = style.WIDTH * 0.6 if columns == 1 and not style.is_narrow() else None
    figure = style.new_figure(0.45 + 1.95 * rows, width)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    ended = [trial for trial in standings.search if standings.comparable(trial)]
    marks = Marks(
        scored,
        tuple(trial for trial in ended if trial.state == "pruned"),
        tuple(trial for trial in ended if trial.state == "failed"),
    )
    for panel, parameter in zip(axes, parameters, strict=False):
        _panel(panel, parameter, marks, standings)
        panel.set_xlabel(_broken(short_path(parameter.path)))
    for panel in axes[len(parameters) :]:
        panel.set_visible(False)
    for panel in axes[: len(parameters) : columns]:
        panel.set_ylabel(measure(standings.metrics[objective]))
    best = {winner.trial.number for winner in standings.winners}
    won = [value for trial, value in scored if trial.number in best]
    style.scale_values(axes[0], [value for _, value in scored], keep=won)
    style.raise_top(axes[0], 0.1)  # room for the ticks
    style.label_log(axes[0], "y")
    figure.align_xlabels(axes[: len(parameters)])
    style.legend(figure, 5, _handles(standings, marks))
    return figure


def _panel(axes: Axes, parameter: Parameter, marks: Marks, standings: Standings) -> None:
    numeric = isinstance(parameter.domain, Range)
    place = _on_axis(axes, parameter) if numeric else _in_strips(axes, parameter, marks)
    path = parameter.path
    points = [
        (trial, place(trial.values[path], trial.number), value)
        for trial, value in marks.scored
        if path in trial.values
    ]
    size, opacity = _weight(len(marks.scored))
    # Trends lie under the emphasised points, which lie under nothing.
    axes.plot(
        [x for _, x, _ in points],
        [y for _, _, y in points],
        linestyle="none",
        marker="o",
        markersize=size,
        markeredgewidth=0,
        color=style.COMPLETED,
        alpha=opacity,
        zorder=2.5,
    )
    if numeric:
        _trend(axes, [(x, y) for _, x, y in points])
    else:
        _medians(axes, [(trial.values[path], y) for trial, _, y in points], parameter, marks)
    base = {standings.base.number} if standings.base else set()
    best = {winner.trial.number for winner in standings.winners}
    for numbers, marker, colour, points_size in (
        (base, "D", style.BASE, 5),
        (best, "*", style.BEST, 11),
    ):
        for trial, x, y in points:
            if trial.number in numbers:
                axes.plot(
                    x,
                    y,
                    marker=marker,
                    color=colour,
                    markersize=points_size,
                    zorder=6,
                    markeredgecolor="white",
                    markeredgewidth=0.7,
                    clip_on=marker == "D",  # the base may be beyond the axes, the best never is
                )
    _upper_edge(axes, parameter, marks, place)


def _upper_edge(axes: Axes, parameter: Parameter, marks: Marks, place: Any) -> None:
    """Where the trials lie that have no score: a tick each, or shares where they are many."""
    path = parameter.path
    scored = [place(t.values[path], t.number) for t, _ in marks.scored if path in t.values]
    rows = []
    for trials, colour, height in (
        (marks.stopped, style.PRUNED, 0.97),
        (marks.failed, style.FAILED, 0.91),
    ):
        rows.append(
            ([place(t.values[path], t.number) for t in trials if path in t.values], colour, height)
        )
    if len(marks.stopped) + len(marks.failed) <= _TICKS:
        for values, colour, height in rows:
            axes.plot(
                values,
                [height] * len(values),
                transform=axes.get_xaxis_transform(),
                linestyle="none",
                marker="|",
                markersize=5,
                markeredgewidth=0.9,
                color=colour,
                alpha=0.7,
            )
        return
    edges = _edges(axes, parameter)
    total = sum(np.histogram(values, edges)[0] for values in (scored, *(row[0] for row in rows)))
    for values, colour, height in rows:
        shares = np.histogram(values, edges)[0] / np.maximum(total, 1)
        axes.bar(
            edges[:-1],
            0.05,
            np.diff(edges),
            bottom=height - 0.025,
            align="edge",
            linewidth=0,
            color=[to_rgba(colour, share) for share in shares],
            transform=axes.get_xaxis_transform(),
        )


def _edges(axes: Axes, parameter: Parameter) -> Any:
    """Cells of the axis: forty along a range, one a strip."""
    low, high = axes.get_xlim()
    if not isinstance(parameter.domain, Range):
        return np.arange(round(low), round(high) + 2) - 0.5
    if axes.get_xscale() == "log":
        return np.geomspace(parameter.domain.low, parameter.domain.high * (1 + 1e-9), 41)
    return np.linspace(parameter.domain.low, parameter.domain.high, 41)


def _weight(count: int) -> tuple[float, float]:
    """Marker size in points and opacity, so that thousands of points show where they crowd."""
    if count <= 100:
        return 4.2, 0.65
    return (3.0, 0.35) if count <= 1000 else (1.8, 0.12)


# Numbers ----------------------------------------------------------------------------------------


def _on_axis(axes: Axes, parameter: Parameter) -> Any:
    domain = parameter.domain
    assert isinstance(domain, Range)
    if domain.log and domain.low > 0:
        style.log_axis(axes, "x")
        reach = (domain.high / domain.low) ** 0.04
        axes.set_xlim(domain.low / reach, domain.high * reach)
        if math.log10(domain.high / domain.low) < 2.2 and not style.is_narrow():
            style.label_log(axes, "x")
    else:
        reach = (domain.high - domain.low) * 0.04
        axes.set_xlim(domain.low - reach, domain.high + reach)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=domain.integer))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return lambda value, _: float(value)


def _trend(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Median in tenths of the trials, by rank of the parameter."""
    if len(points) < _TREND:
        return
    groups = np.array_split(np.array(sorted(points)), 10)
    x = [float(np.median(group[:, 0])) for group in groups]
    y = [float(np.median(group[:, 1])) for group in groups]
    axes.plot(x, y, color="white", linewidth=3.2, alpha=0.8, zorder=3)
    axes.plot(x, y, color=style.INK, linewidth=1.3, zorder=4)


# Strips -----------------------------------------------------------------------------------------


def _choices(parameter: Parameter, marks: Marks) -> list[str]:
    """Canonical spellings of the values, in the sweep's order, with any other value seen."""
    domain = parameter.domain
    choices = (False, True) if isinstance(domain, Toggle) else tuple(domain.points())
    trials = [*(trial for trial, _ in marks.scored), *marks.stopped, *marks.failed]
    seen = [trial.values[parameter.path] for trial in trials if parameter.path in trial.values]
    return list(dict.fromkeys(_spelled(value) for value in (*choices, *seen)))


def _in_strips(axes: Axes, parameter: Parameter, marks: Marks) -> Any:
    order = {text: index for index, text in enumerate(_choices(parameter, marks))}
    domain = parameter.domain
    choices = (False, True) if isinstance(domain, Toggle) else tuple(domain.points())
    names = {_spelled(value): _name(value) for value in choices}
    labels = [names.get(text, text.strip('"')) for text in order]
    labels = [_folded(label) for label in labels]
    widest = max(len(line) for label in labels for line in label.split("\n"))
    crowded = widest * len(labels) > _ROOM
    axes.set_xticks(range(len(labels)))
    axes.set_xticklabels(
        labels,
        rotation=35 if crowded else 0,
        ha="right" if crowded else "center",
        rotation_mode="anchor" if crowded else "default",
    )
    axes.set_xlim(-0.55, len(labels) - 0.45)
    axes.grid(visible=False, axis="x")

    def place(value: Any, number: int) -> float:
        # Spread by the golden ratio: even, and the same each time.
        return order[_spelled(value)] + ((number * _GOLDEN) % 1 - 0.5) * 0.5

    return place


def _medians(
    axes: Axes, points: Sequence[tuple[Any, float]], parameter: Parameter, marks: Marks
) -> None:
    groups: dict[str, list[float]] = {}
    for value, y in points:
        groups.setdefault(_spelled(value), []).append(y)
    for index, text in enumerate(_choices(parameter, marks)):
        if len(groups.get(text, ())) > 1:
            median = float(np.median(groups[text]))
            axes.plot(
                [index - 0.36, index + 0.36],
                [median, median],
                color=style.INK,
                linewidth=1.6,
                solid_capstyle="butt",
                zorder=2.2,
            )


def _name(value: Any) -> str:
    return setting(value)


def _folded(label: str) -> str:
    """A long name over two lines, broken at the underscore nearest its middle; cut if need be."""
    breaks = [i for i, letter in enumerate(label) if letter in "_- " and 0 < i < len(label) - 1]
    lines = [label]
    if len(label) > 9 and breaks:
        middle = min(breaks, key=lambda i: abs(i - len(label) / 2)) + 1
        lines = [label[:middle], label[middle:]]
    return "\n".join(t if len(t) <= _LONGEST else t[: _LONGEST - 1] + "…" for t in lines)


def _broken(path: str) -> str:
    """A long path over two lines, broken at a dot."""
    if len(path) <= (18 if style.is_narrow() else 26) or "." not in path:
        return path
    head, _, tail = path.rpartition(".")
    return f"{head}.\n{tail}"


def _handles(standings: Standings, marks: Marks) -> list[Line2D]:
    def dot(marker: str, colour: str, size: float, label: str) -> Line2D:
        return Line2D(
            [],
            [],
            linestyle="none",
            marker=marker,
            color=colour,
            markersize=size,
            markeredgewidth=1 if marker == "|" else 0,
            label=label,
        )

    handles = [dot("o", style.COMPLETED, 4.2, f"completed ({len(marks.scored):,})")]
    if standings.base is not None:
        handles.append(dot("D", style.BASE, 5, "base"))
    words = "best" if len(standings.goals) == 1 else "Pareto front"
    handles.append(dot("*", style.BEST, 10, words))
    if marks.stopped:
        handles.append(dot("|", style.PRUNED, 7, f"stopped early ({len(marks.stopped):,})"))
    if marks.failed:
        handles.append(dot("|", style.FAILED, 7, f"failed ({len(marks.failed):,})"))
    return handles


def _spelled(value: Any) -> str:
    """`canonical`, which ten thousand trials ask for the same few values."""
    return _scalar(value) if isinstance(value, bool | int | float | str) else canonical(value)


@lru_cache(maxsize=4096, typed=True)  # typed: True is not 1
def _scalar(value: Any) -> str:
    return canonical(value)
