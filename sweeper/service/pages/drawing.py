"""Small drawings that the server makes, as SVG inside the page: they need no script.

Their colours are classes (`p-completed`), so that light and dark are the style's business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from statistics import median
from typing import Any, NamedTuple

from markupsafe import Markup

from sweeper.report.markup import text
from sweeper.report.scales import Scale, scale_of
from sweeper.standings import Standings
from sweeper.sweepfile.domains import Parameter, Range
from sweeper.trial import Trial
from sweeper.wording import NONE, measure, number, plural, setting, short_path

WIDTH, HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 8, 34
POINTS = 600
"""Trials in one panel; of more, evenly chosen ones and always the best and the base."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_LONGEST = 12

_SPARK = (120, 26)
_ROW, _NAMES = 24, 210


class Interval(NamedTuple):
    """An estimate with its interval; `good` says which side of zero it is on, None: neither."""

    name: str
    estimate: float
    low: float
    high: float
    good: bool | None
    sure: bool


# Spark lines ------------------------------------------------------------------------------------


def spark(values: Sequence[float], goal: str) -> Markup:
    """The best value so far, trial by trial; nothing for fewer than two."""
    scale = scale_of(values)
    if len(values) < 2 or scale is None:
        return Markup()
    best = list(accumulate(values, max if goal == "maximize" else min))
    width, height = _SPARK
    place = _placer(scale, height - 3, 3)
    step = (width - 6) / (len(best) - 1)
    points = " ".join(
        f"{3 + index * step:.1f},{place(value):.1f}" for index, value in enumerate(best)
    )
    words = f"best so far: {number(best[0])} at first, {number(best[-1])} now"
    return _svg(
        f'<polyline class="spark" points="{points}"/>'
        f'<circle class="spark-end" cx="{width - 3}" cy="{place(best[-1]):.1f}" r="2.5"/>',
        width,
        height,
        words,
        "sparkline",
    )


# A parameter ------------------------------------------------------------------------------------


def against_parameter(standings: Standings, parameter: Parameter) -> Markup:
    """The final objective of every completed trial against one parameter; nothing below two."""
    path = parameter.path
    scored = [trial for trial in standings.finished if path in trial.values]
    scale = scale_of([standings.scores[trial.number] for trial in scored])
    if len(scored) < 2 or scale is None:
        return Markup()
    place_y = _placer(scale, HEIGHT - _BOTTOM, _TOP)
    if isinstance(parameter.domain, Range):
        place_x, ticks = _on_range(parameter.domain)
        medians = ""
    else:
        place_x, ticks, names = _in_strips(scored, parameter)
        medians = _medians(scored, standings, path, names, place_y)
    points = list(_points(scored, standings, path, place_x, place_y))
    shown = f"{len(points):,} of " if len(points) < len(scored) else ""
    words = f"{measure(standings.metrics[0])} of {shown}{plural(len(scored), 'trial')} "
    words += f"against {short_path(path)}"
    drawn = _frame(scale, place_y) + _x_ticks(ticks) + "".join(points) + medians
    return _svg(drawn, WIDTH, HEIGHT, words, "panel")


def _on_range(domain: Range) -> tuple[Callable[[Any, int], float], list[tuple[float, str]]]:
    scale = Scale(domain.low, domain.high, domain.log)
    place = _placer(scale, _LEFT + 6, WIDTH - _RIGHT - 6)
    middle = math.sqrt(domain.low * domain.high) if domain.log else (domain.low + domain.high) / 2
    marks = [domain.low, middle, domain.high]
    return lambda value, _: place(float(value)), [(place(x), _brief(x)) for x in marks]


def _in_strips(
    scored: Sequence[Trial], parameter: Parameter
) -> tuple[Callable[[Any, int], float], list[tuple[float, str]], list[str]]:
    """A strip a value, points side by side in it by their numbers, the same ones every time."""
    declared = [setting(value) for value in parameter.domain.points()]
    seen = {setting(trial.values[parameter.path]) for trial in scored}
    names = [name for name in dict.fromkeys([*declared, *sorted(seen)]) if name in seen]
    width = (WIDTH - _LEFT - _RIGHT) / len(names)

    def place(value: Any, trial_number: int) -> float:
        inside = 0.2 + 0.6 * math.modf(trial_number * _GOLDEN)[0]
        return _LEFT + width * (names.index(setting(value)) + inside)

    ticks = [(_LEFT + width * (index + 0.5), name) for index, name in enumerate(names)]
    return place, ticks if len(names) <= 8 else ticks[:: -(-len(names) // 8)], names


def _medians(
    scored: Sequence[Trial],
    standings: Standings,
    path: str,
    names: Sequence[str],
    place_y: Callable[[float], float],
) -> str:
    width = (WIDTH - _LEFT - _RIGHT) / len(names)
    drawn = []
    for index, name in enumerate(names):
        middle = median(
            standings.scores[t.number] for t in scored if setting(t.values[path]) == name
        )
        y, left = place_y(middle), _LEFT + width * index
        drawn.append(
            f'<line class="median" x1="{left + 0.15 * width:.1f}" x2="{left + 0.85 * width:.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
    return "".join(drawn)


def _points(
    scored: Sequence[Trial],
    standings: Standings,
    path: str,
    place_x: Callable[[Any, int], float],
    place_y: Callable[[float], float],
) -> Iterable[str]:
    best = {winner.trial.number for winner in standings.winners}
    base = {standings.base.number} if standings.base else set()
    every = -(-len(scored) // POINTS)
    marked = [trial for trial in scored if trial.number in best | base]
    for trial in [*(t for t in scored[::every] if t not in marked), *marked]:
        kind, radius = "p-completed", 2.6
        if trial.number in base:
            kind, radius = "p-base", 4.2
        if trial.number in best:
            kind, radius = "p-best", 4.8
        x, y = place_x(trial.values[path], trial.number), place_y(standings.scores[trial.number])
        title = f"trial {trial.name}: {setting(trial.values[path])}, "
        title += number(standings.scores[trial.number])
        yield (
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
            f"<title>{text(title)}</title></circle>"
        )


# Intervals --------------------------------------------------------------------------------------


def intervals(rows: Sequence[Interval], words: str) -> Markup:
    """Estimates with their intervals beside zero, a row each; nothing without any."""
    if not rows:
        return Markup()
    low = min(0.0, *(row.low for row in rows))
    high = max(0.0, *(row.high for row in rows))
    width, height = 640, _ROW * len(rows) + 30
    place = _placer(Scale(low, high, False), _NAMES + 10, width - 14)
    drawn = [
        f'<line class="zero" x1="{place(0):.1f}" x2="{place(0):.1f}" y1="2" y2="{height - 24}"/>'
    ]
    for index, row in enumerate(rows):
        y = _ROW * index + 14
        kind = "unclear" if row.good is None else "good" if row.good else "bad"
        full = f"{row.name}: {number(row.estimate)} [{number(row.low)}, {number(row.high)}]"
        drawn.append(
            f'<g class="interval {kind}{" sure" if row.sure else ""}"><title>{text(full)}</title>'
            f'<text class="name" x="{_NAMES}" y="{y + 4}">{text(_cut(row.name, 32))}</text>'
            f'<line x1="{place(row.low):.1f}" x2="{place(row.high):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle cx="{place(row.estimate):.1f}" cy="{y}" r="4.5"/></g>'
        )
    for value in dict.fromkeys((low, 0.0, high)):
        drawn.append(
            f'<text class="tick" x="{place(value):.1f}" y="{height - 6}">{_brief(value)}</text>'
        )
    return _svg("".join(drawn), width, height, words, "intervals")


# What they share --------------------------------------------------------------------------------


def _placer(scale: Scale, at_low: float, at_high: float) -> Callable[[float], float]:
    """From a value to pixels; what lies outside stands on the edge."""
    low, high = (math.log(scale.low), math.log(scale.high)) if scale.log else scale[:2]
    span = high - low or 1.0

    def place(value: float) -> float:
        value = math.log(max(value, 1e-300)) if scale.log else value
        share = min(max((value - low) / span, 0.0), 1.0) if high > low else 0.5
        return at_low + share * (at_high - at_low)

    return place


def _frame(scale: Scale, place_y: Callable[[float], float]) -> str:
    """The upright axis, with the values at its ends and in the middle."""
    middle = math.sqrt(scale.low * scale.high) if scale.log else (scale.low + scale.high) / 2
    marks = dict.fromkeys((scale.low, middle, scale.high))
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{place_y(value):.1f}" '
        f'y2="{place_y(value):.1f}"/><text class="tick y" x="{_LEFT - 6}" '
        f'y="{place_y(value) + 4:.1f}">{_brief(value)}</text>'
        for value in marks
    )


def _x_ticks(ticks: Sequence[tuple[float, str]]) -> str:
    bottom = HEIGHT - _BOTTOM + 18
    return "".join(
        f'<text class="tick{_edge(x)}" x="{x:.1f}" y="{bottom}">{text(_cut(name, _LONGEST))}</text>'
        for x, name in ticks
    )


def _edge(x: float) -> str:
    """Words at an edge of a panel stand inside it."""
    return " first" if x < _LEFT + 12 else " last" if x > WIDTH - _RIGHT - 12 else ""


def _brief(value: float) -> str:
    shown = f"{value:.3g}".replace("-", "−")
    return shown if math.isfinite(value) else NONE


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _svg(drawn: str, width: int, height: int, words: str, kind: str) -> Markup:
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{text(words)}">{drawn}</svg>'
    )
