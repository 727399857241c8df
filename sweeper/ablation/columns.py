"""The columns that a table can have: how each is computed, worded and exported.

A column has a text for every row, for people, and raw columns of numbers, for programs. Adding one
is adding a function to COLUMNS.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sweeper.ablation.comparison import BestSet, Comparisons
from sweeper.ablation.dataset import array_of, family
from sweeper.ablation.design import Cell
from sweeper.ablation.effects import interquartile_mean, interquartile_mean_interval
from sweeper.ablation.matrix import Kind, Outcomes, outcomes_from_table
from sweeper.wording import NONE, decimals, number, p_text, with_interval

Array = npt.NDArray[np.float64]
Raw = Mapping[str, Sequence[Any] | Array]

TICK, CROSS = "✓", "–"

REFERENCE = "reference"
"""What stands in a column of comparisons in the row of the reference."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    key: str
    heading: str
    """May hold a line break."""
    texts: Sequence[str]
    raw: Raw
    align: Literal["left", "center", "right"] = "left"
    marked: bool = False
    """Whether the best is bold and its equals underlined here."""


@dataclass(frozen=True, eq=False)
class Context:
    """What columns are computed from. Rows are those shown, in order."""

    data: pa.Table
    kind: Kind
    outcomes: Outcomes
    metric: str
    labels: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    """The design's cell of each row, where there is a design."""
    index: npt.NDArray[np.int64]
    """Row of the study for each row shown; −1 where there are no runs."""
    comparisons: Comparisons | None
    best: BestSet | None
    level: float

    def per_row(self, values: npt.ArrayLike) -> Array:
        """Numbers of study cells, laid out by the rows shown; NaN where there are no runs."""
        numbers = np.append(np.asarray(values, dtype=np.float64), np.nan)
        return numbers[self.index]

    def has_runs(self, row: int) -> bool:
        return bool(self.index[row] >= 0)

    def settings_of_rows(self, column: str) -> list[Any]:
        """The value of a dataset column in the first run of each row's cell."""
        first = self.outcomes.first_rows
        if first is None:
            return [None] * len(self.labels)
        values = self.data[column].to_pylist()
        return [values[first[i]] if i >= 0 else None for i in self.index]


def columns_for(context: Context, key: str) -> list[Column]:
    """The columns that `key` stands for; a KeyError when it stands for none."""
    if key in COLUMNS:
        return COLUMNS[key](context)
    prefix, _, name = key.partition(".")
    if name and key in context.data.column_names:
        if prefix == "metric":
            return [_metric(context, key, name)]
        if prefix == "trick":
            return [_tick(context, name, context.settings_of_rows(key))]
        return [_setting(key, name, context.settings_of_rows(key))]
    raise KeyError(key)


# What a row is ----------------------------------------------------------------------------------


def _cell(context: Context) -> list[Column]:
    return [Column("cell", "configuration", context.labels, {"cell": context.labels})]


def _toggles(context: Context) -> list[Column]:
    """One column a toggle that is not the same in every row."""
    states = {
        name: context.settings_of_rows(column)
        for name, column in family(context.data, "trick").items()
    }
    for path, column in family(context.data, "param").items():
        name = path.removeprefix("tricks.")
        if name not in states and pa.types.is_boolean(context.data.schema.field(column).type):
            states[name] = context.settings_of_rows(column)
    for row, cell in enumerate(context.cells):
        for path, value in cell.settings.items() if cell else ():
            name = path.removeprefix("tricks.")
            if isinstance(value, bool) and (name in states or path.startswith("tricks.")):
                states.setdefault(name, [None] * len(context.labels))[row] = value
    return [_tick(context, name, values) for name, values in states.items() if _varies(values)]


def _settings(context: Context) -> list[Column]:
    """One column a searched parameter that is no toggle and not the same in every row."""
    found = []
    for path, column in family(context.data, "param").items():
        if pa.types.is_boolean(context.data.schema.field(column).type):
            continue
        values = context.settings_of_rows(column)
        for row, cell in enumerate(context.cells):
            if cell and values[row] is None and path in cell.settings:
                values[row] = cell.settings[path]
        # What has not run has its level from the design, which may be of another type than those
        # of the runs so far, or a list.
        values = array_of(values).to_pylist()
        if _varies(values):
            found.append(_setting(column, path, values))
    return found


def _tick(context: Context, name: str, values: Sequence[Any]) -> Column:
    texts = [NONE if v is None else TICK if v else CROSS for v in values]
    return Column(f"trick.{name}", name, texts, {f"trick.{name}": list(values)}, "center")


def _setting(column: str, name: str, values: Sequence[Any]) -> Column:
    texts = [NONE if v is None else f"{v:.4g}" if isinstance(v, float) else str(v) for v in values]
    return Column(column, name, texts, {column: list(values)}, "right")


def _varies(values: Sequence[Any]) -> bool:
    return len(set(values)) > 1


# What its runs gave -----------------------------------------------------------------------------


def _value(context: Context) -> list[Column]:
    """mean ± deviation (n), over the runs that completed."""
    done = context.outcomes.completed
    n = done.sum(axis=1)
    total = np.where(done, context.outcomes.values, 0.0).sum(axis=1)
    mean = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    square = np.where(done, (context.outcomes.values - mean[:, None]) ** 2, 0.0).sum(axis=1)
    deviation = np.where(n > 1, np.sqrt(square / np.maximum(n - 1, 1)), np.nan)
    means, deviations, counts = map(context.per_row, (mean, deviation, n))
    places = decimals(deviation, mean)
    texts = []
    for row, (a, s, count) in enumerate(zip(means, deviations, counts, strict=True)):
        if math.isnan(a):
            texts.append(_without_value(context, row))
        elif math.isnan(s):
            texts.append(number(a, places))
        else:
            texts.append(f"{number(a, places)} ± {number(s, places)} ({count:.0f})")
    arrow = "↓" if context.outcomes.goal == "minimize" else "↑"
    raw: Raw = {"mean": means, "deviation": deviations, "n": _counts(counts)}
    return [Column("value", f"{context.metric} {arrow}", texts, raw, "right", marked=True)]


def _without_value(context: Context, row: int) -> str:
    cell = context.cells[row]
    if cell is not None and cell.impossible is not None:
        return "impossible"
    if not context.has_runs(row):
        return "not run"
    outcomes, index = context.outcomes, context.index[row]
    if outcomes.failed[index].any():
        return "failed"
    if outcomes.unfinished[index]:
        return "no value yet"
    return "lost" if outcomes.lost[index] else "stopped"


def _runs(context: Context) -> list[Column]:
    ended = (context.outcomes.completed | context.outcomes.failed).sum(axis=1)
    counts = context.per_row(ended)
    texts = [NONE if math.isnan(count) else f"{count:.0f}" for count in counts]
    return [Column("runs", "runs", texts, {"runs": _counts(counts)}, "right")]


def _failed(context: Context) -> list[Column]:
    """k of n failed, and by which symptom."""
    outcomes = context.outcomes
    failed, ended = outcomes.failed.sum(axis=1), (outcomes.completed | outcomes.failed).sum(axis=1)
    texts, symptoms = [], []
    for i in context.index:
        known = outcomes.symptoms[i] if i >= 0 else {}
        symptoms.append(json.dumps(dict(known)))
        if i < 0:
            texts.append(NONE)
        elif not failed[i]:
            texts.append("0")
        else:
            named = known if len(known) == 1 else [f"{name} {n}" for name, n in known.items()]
            texts.append(f"{failed[i]} of {ended[i]}: {', '.join(named)}")
    raw: Raw = {"failed": _counts(context.per_row(failed)), "symptoms": symptoms}
    return [Column("failed", "failed", texts, raw)]


def _median(context: Context) -> list[Column]:
    """Median over all runs that ended, failures worst."""
    found = [_finite(np.median(runs)) if len(runs) else np.nan for runs in _ended(context)]
    return [_plain("median", f"median {context.metric},\nfailures worst", context, found)]


def _iqm(context: Context) -> list[Column]:
    """Interquartile mean with interval over all runs that ended, failures worst."""
    rows = np.full((len(context.outcomes.cells), 3), np.nan)
    for i, runs in enumerate(_ended(context)):
        if len(runs) and np.isfinite(middle := interquartile_mean(runs)):
            rows[i, 0] = middle
            if len(runs) > 2:
                rows[i, 1:] = interquartile_mean_interval(runs, level=context.level)[:2]
    mean, low, high = (context.per_row(column) for column in rows.T)
    places = decimals(high - low, mean)
    texts = [with_interval(*ends, places) for ends in zip(mean, low, high, strict=True)]
    raw: Raw = {"iqm": mean, "iqm_low": low, "iqm_high": high}
    return [Column("iqm", f"interquartile\nmean {context.metric}", texts, raw, "right")]


def _ended(context: Context) -> list[Array]:
    values = context.outcomes.worst_for_failures()
    return [row[~np.isnan(row)] for row in values]


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else np.nan


def _screened(context: Context) -> list[Column]:
    """What the search had measured once: the lucky number beside the confirmed one."""
    numbers = np.asarray(context.data["number"])
    objective = dict(zip(numbers, context.data["objective"].to_pylist(), strict=True))
    repeats = context.settings_of_rows("of")
    own = context.settings_of_rows("number")
    values = [objective.get(own[row] if of is None else of) for row, of in enumerate(repeats)]
    found = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    texts = [number(value, decimals(np.empty(0), found)) for value in found]
    heading = f"{context.metric}\nin the search"
    return [Column("screened", heading, texts, {"screened": found}, "right")]


def _seconds(context: Context) -> list[Column]:
    return [_metric(context, "seconds", "seconds a run")]


def _metric(context: Context, column: str, name: str) -> Column:
    """Mean of another measured column over the completed runs of each cell."""
    outcomes = context.outcomes
    other = outcomes_from_table(context.data, outcomes.goal, kind=context.kind, objective=column)
    n = other.completed.sum(axis=1)
    sums = np.where(other.completed, other.values, 0.0).sum(axis=1)
    return _plain(column, name, context, np.where(n > 0, sums / np.maximum(n, 1), np.nan))


def _plain(key: str, heading: str, context: Context, values: npt.ArrayLike) -> Column:
    found = context.per_row(values)
    places = decimals(np.empty(0), found)
    return Column(key, heading, [number(v, places) for v in found], {key: found}, "right")


# Against the reference --------------------------------------------------------------------------


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
        "pairs": _counts(context.per_row(c.pairs)),
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
    found = context.per_row(_comparisons(context).effect)
    texts = _blank_reference(context, [number(value, 2) for value in found])
    return [Column("effect", "Hedges' g", texts, {"effect": found}, "right")]


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


COLUMNS: dict[str, Callable[[Context], list[Column]]] = {
    "cell": _cell,
    "toggles": _toggles,
    "settings": _settings,
    "runs": _runs,
    "failed": _failed,
    "value": _value,
    "median": _median,
    "iqm": _iqm,
    "screened": _screened,
    "seconds": _seconds,
    "difference": _difference,
    "p": _p,
    "effect": _effect,
    "improvement": _improvement,
    "p_worst": _p_worst,
}

TESTED = frozenset({"difference", "p", "effect", "improvement", "p_worst"})
"""Columns that compare with the reference; all but "improvement" need two seeds or more."""


def _counts(values: Array) -> list[int | None]:
    return [None if math.isnan(value) else int(value) for value in values]
