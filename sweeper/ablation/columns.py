"""The columns that a table can have: how each is computed, worded and exported.

A column has a text for every row, for people, and raw columns of numbers, for programs. Adding one
is adding a function to COLUMNS.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sweeper.ablation.column import Array, Column, Context, Raw, whole
from sweeper.ablation.dataset import array_of, family
from sweeper.ablation.effects import interquartile_mean, interquartile_mean_interval
from sweeper.ablation.matrix import compared_rows, outcomes_from_table
from sweeper.ablation.reference_columns import REFERENCE_COLUMNS
from sweeper.wording import NONE, decimals, number, with_interval

TICK, CROSS = "✓", "–"


def columns_for(context: Context, key: str) -> list[Column]:
    """The columns that `key` stands for: one of `COLUMNS`, a column of the dataset, or a metric or
    a parameter by the name that it has in a sweep file.

    Raises:
        KeyError: it stands for none.
    """
    key = _as_stored(context, key)
    if key in COLUMNS:
        return COLUMNS[key](context)
    prefix, _, name = key.partition(".")
    if name and key in context.data.column_names:
        if prefix == "metric":
            return [_metric(context, key, name)]
        if prefix == "trick" or pa.types.is_boolean(context.data.schema.field(key).type):
            toggle = name.removeprefix("tricks.")
            return [_tick(context, toggle, context.settings_of_rows(key))]
        return [_setting(key, name, context.settings_of_rows(key))]
    raise KeyError(key)


def _as_stored(context: Context, key: str) -> str:
    """The column of the dataset that a name of a sweep file means, else the name."""
    if key == context.metric:
        return "value"
    trick = key.removeprefix("tricks.")
    names = (f"metric.{key}", f"param.{key}", f"trick.{trick}" if trick != key else "")
    return next((name for name in names if name and name in context.data.column_names), key)


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
    columns = []
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
            columns.append(_setting(column, path, values))
    return columns


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
    raw: Raw = {"mean": means, "deviation": deviations, "n": whole(counts)}
    return [Column("value", f"{context.metric} {arrow}", texts, raw, "right", marked=True)]


def _second(context: Context) -> list[Column]:
    """Mean of the second objective; nothing is marked in it, since the first decides the order."""
    if context.data["objective_2"].null_count == len(context.data):
        raise KeyError("objective_2")
    return [_metric(context, "objective_2", context.second)]


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
    return [Column("runs", "runs", texts, {"runs": whole(counts)}, "right")]


def _failed(context: Context) -> list[Column]:
    """k of n failed, and by which cause."""
    outcomes = context.outcomes
    failed, ended = outcomes.failed.sum(axis=1), (outcomes.completed | outcomes.failed).sum(axis=1)
    texts, symptoms = [], []
    for i in context.index:
        counts = outcomes.symptoms[i] if i >= 0 else {}
        symptoms.append(json.dumps(dict(counts)))
        if i < 0:
            texts.append(NONE)
        elif not failed[i]:
            texts.append("0")
        else:
            named = counts if len(counts) == 1 else [f"{name} {n}" for name, n in counts.items()]
            texts.append(f"{failed[i]} of {ended[i]}: {', '.join(named)}")
    raw: Raw = {"failed": whole(context.per_row(failed)), "symptoms": symptoms}
    return [Column("failed", "failed", texts, raw)]


def _median(context: Context) -> list[Column]:
    """Median over all runs that ended, failures worst."""
    medians = [_finite(np.median(runs)) if len(runs) else np.nan for runs in _ended(context)]
    return [_plain("median", f"median {context.metric},\nfailures worst", context, medians)]


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
    searched = context.data.filter(compared_rows(context.data))
    numbers = np.asarray(searched["number"])
    objective = dict(zip(numbers, searched["objective"].to_pylist(), strict=True))
    repeats = context.settings_of_rows("of")
    own = context.settings_of_rows("number")
    values = [objective.get(own[row] if of is None else of) for row, of in enumerate(repeats)]
    screened = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    texts = [number(value, decimals(np.empty(0), screened)) for value in screened]
    heading = f"{context.metric}\nin the search"
    return [Column("screened", heading, texts, {"screened": screened}, "right")]


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
    numbers = context.per_row(values)
    places = decimals(np.empty(0), numbers)
    return Column(key, heading, [number(v, places) for v in numbers], {key: numbers}, "right")


COLUMNS: dict[str, Callable[[Context], list[Column]]] = {
    "cell": _cell,
    "toggles": _toggles,
    "settings": _settings,
    "runs": _runs,
    "failed": _failed,
    "value": _value,
    "objective_2": _second,
    "median": _median,
    "iqm": _iqm,
    "screened": _screened,
    "seconds": _seconds,
    **REFERENCE_COLUMNS,
}
