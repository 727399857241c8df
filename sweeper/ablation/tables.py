"""The table for the paper: rows, columns, marks, caption; and when there is none to be had.

A table is refused, with the reason, rather than made wrong: when its runs were measured by
different protocols, when the reference is not there, when a test is asked for and a cell has a
single seed. Its forms are in `sweeper.ablation.formats`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sweeper.ablation.captions import caption_of, notes_of
from sweeper.ablation.column import Column, Context
from sweeper.ablation.columns import COLUMNS, columns_for
from sweeper.ablation.comparison import BestSet, Comparisons, best_set, compare
from sweeper.ablation.dataset import label_cells
from sweeper.ablation.design import Cell, Design
from sweeper.ablation.effects import Goal
from sweeper.ablation.matrix import Kind, Outcomes, kind_of_rows, outcomes_from_table
from sweeper.ablation.order import best_first
from sweeper.ablation.reference_columns import REFERENCE_COLUMNS
from sweeper.errors import UserError


class TableRefused(UserError):  # noqa: N818 - a name says what happened, as in sweeper.errors
    """This table would say something that its runs do not support."""


@dataclass(frozen=True, eq=False)
class Table:
    """A finished table, the same whatever it is rendered as."""

    name: str
    columns: tuple[Column, ...]
    best: int | None
    """Row of the best cell."""
    equals: frozenset[int]
    """Rows that no test tells from the best."""
    caption: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.columns[0].texts) if self.columns else 0

    def raw(self) -> pa.Table:
        """Every number behind the columns, at full precision, and the marks."""
        data: dict[str, pa.Array] = {}
        for column in self.columns:
            for name, values in column.raw.items():
                # Not-a-number means "there is none"; programs read that as null.
                data[name] = pa.array(values, from_pandas=True)
        if any(column.marked for column in self.columns):
            rows = range(len(self))
            data["is_best"] = pa.array([row == self.best for row in rows], pa.bool_())
            data["maybe_best"] = pa.array(
                [row == self.best or row in self.equals for row in rows], pa.bool_()
            )
        return pa.table(data)


def build_table(
    data: pa.Table,
    *,
    goal: Goal = "minimize",
    metric: str = "objective",
    second: str = "objective 2",
    name: str = "ablation",
    reference: str | None = None,
    design: Design | None = None,
    columns: Sequence[str] | None = None,
    kind: Kind | None = None,
    level: float = 0.95,
    interval: str = "auto",
    limit: int | None = None,
) -> Table:
    """The table of a dataset of trials (`sweeper.ablation.dataset`).

    `metric` and `second` are what the objectives are called. `reference` is the label of the cell
    that others are compared with (the design's, when a design is given; none without). `columns`
    are keys of `columns.COLUMNS`, or columns of the dataset by name (`param.PATH`, `trick.NAME`,
    `metric.NAME`); left out, those that fit. With a `design`,
    rows stand in its order and include the cells that are impossible or have not run; else rows of
    a search stand best first and cells of an ablation in the order they were started. `interval` is
    a method of `intervals.METHODS`, chosen by the number of seeds when left. `limit` keeps the
    first rows.

    Raises:
        TableRefused: the dataset does not support this table.
    """
    if design is not None:
        data, kind = _runs_of(design, data), "cells"
    kind = kind or kind_of_rows(data)
    outcomes = outcomes_from_table(data, goal, kind=kind)
    if not outcomes.cells and design is None:
        raise TableRefused("there are no trials to tabulate")
    _refuse_mixed_protocols(outcomes)
    asked = reference is not None
    reference = reference if asked or design is None else design.reference
    keys = list(columns) if columns is not None else _fitting(outcomes, data, kind, reference)
    compared = [key for key in keys if key in REFERENCE_COLUMNS]
    _refuse_what_cannot_be_compared(outcomes, reference if asked or compared else None, compared)
    order = _order(data, outcomes, kind)
    labels, cells, index = _rows(outcomes, design, order, limit)
    context = Context(
        data=data,
        kind=kind,
        outcomes=outcomes,
        metric=metric,
        labels=labels,
        cells=cells,
        index=index,
        comparisons=_comparisons(outcomes, reference, level, interval) if compared else None,
        best=_best(outcomes, kind, order, level),
        level=level,
        second=second,
    )
    return _table_of(context, name, keys)


def _table_of(context: Context, name: str, keys: Sequence[str]) -> Table:
    columns = _columns(context, keys)
    best_row, equals = _marks(context, columns)
    return Table(
        name=name,
        columns=columns,
        best=best_row,
        equals=equals,
        caption=caption_of(context, columns),
        notes=notes_of(context, columns, len(context.labels)),
    )


def _best(
    outcomes: Outcomes, kind: Kind, order: npt.NDArray[np.int64], level: float
) -> BestSet | None:
    """The best row and those that may be; of configurations in their order, the first is best."""
    if not outcomes.completed.any():
        return None
    return best_set(outcomes, best=None if kind == "cells" else int(order[0]), level=level)


def _marks(context: Context, made: Sequence[Column]) -> tuple[int | None, frozenset[int]]:
    """The row of the best cell, and the rows that cannot be told from it, where any is marked."""
    best, index = context.best, context.index
    if best is None or not any(column.marked for column in made):
        return None, frozenset()
    row = next((row for row, i in enumerate(index) if i == best.best), None)
    told = best.members & best.tested
    return row, frozenset(row for row, i in enumerate(index) if i >= 0 and told[i]) - {row}


def _runs_of(design: Design, data: pa.Table) -> pa.Table:
    """The design's own runs: another design in the same sweep is another family of tests."""
    labelled = label_cells(data, design.cells)
    own = pa.array([cell.label for cell in design.cells], pa.string())
    return labelled.filter(pc.is_in(labelled["cell"], own))


def _fitting(outcomes: Outcomes, data: pa.Table, kind: Kind, reference: str | None) -> list[str]:
    keys = ["cell", "toggles", "settings"]
    keys += ["screened"] if kind == "confirmation" else []
    keys += ["value"]
    keys += ["difference", "p"] if reference is not None else []
    if outcomes.failed.any():
        keys += ["failed"]
        keys += ["improvement", "p_worst"] if reference is not None else []
    # Behind the differences and tests, which are of the first objective and do not name it.
    keys += ["objective_2"] if data["objective_2"].null_count < len(data) else []
    return keys


def _columns(context: Context, keys: Sequence[str]) -> tuple[Column, ...]:
    made: list[Column] = []
    for key in keys:
        try:
            made += columns_for(context, key)
        except KeyError:
            names = [
                *(n for n in COLUMNS if n != key),
                *(n for n in context.data.column_names if "." in n),
            ]
            raise TableRefused(f"there is no column {key!r}{_nearest(key, names)}") from None
    if not made:
        raise TableRefused("no columns are left to show")
    return tuple(made)


def _comparisons(
    outcomes: Outcomes, reference: str | None, level: float, interval: str
) -> Comparisons | None:
    if reference is None:
        return None
    try:
        return compare(outcomes, reference, level=level, interval=interval)
    except ValueError as error:
        raise TableRefused(f"{error}; another interval, or auto, may fit") from error


def _order(data: pa.Table, outcomes: Outcomes, kind: Kind) -> npt.NDArray[np.int64]:
    """Cells of an ablation in the order they were started; configurations best first.

    Those of a confirmation stand as the race on fresh seeds left them, where the dataset says so:
    by its rule one that was given up early may have the better mean, of fewer seeds.
    """
    if kind == "cells":
        return np.arange(len(outcomes.cells))
    order = best_first(outcomes.values, outcomes.failed, outcomes.goal)
    one_objective = data["objective_2"].null_count == len(data)
    if kind == "confirmation" and one_objective and "rank" in data.column_names:
        ranks = dict(zip(data["number"].to_pylist(), data["rank"].to_pylist(), strict=True))
        repeats = data["of"].take(pa.array(outcomes.first_rows)).to_pylist()
        last = len(data)
        places = np.array([ranks.get(number) or last for number in repeats])
        order = order[np.argsort(places[order], kind="stable")]
    return order


def _rows(
    outcomes: Outcomes,
    design: Design | None,
    order: npt.NDArray[np.int64],
    limit: int | None,
) -> tuple[tuple[str, ...], tuple[Cell | None, ...], npt.NDArray[np.int64]]:
    """(labels, the design's cells, rows of the study), in the order shown."""
    if design is not None:
        place = {label: index for index, label in enumerate(outcomes.cells)}
        cells = design.cells[:limit]
        index = np.array([place.get(cell.label, -1) for cell in cells], dtype=np.int64)
        return tuple(cell.label for cell in cells), cells, index
    order = order[:limit]
    return tuple(outcomes.cells[i] for i in order), (None,) * len(order), order


# Refusals ---------------------------------------------------------------------------------------


def _refuse_mixed_protocols(outcomes: Outcomes) -> None:
    if len(outcomes.protocols) < 2:
        return
    names = sorted({name for fields, _ in outcomes.protocols for name in fields})
    lines = []
    for name in names:
        counts: dict[str, int] = {}
        for fields, count in outcomes.protocols:
            text = fields.get(name, "not recorded")
            counts[text] = counts.get(text, 0) + count
        if len(counts) > 1:
            values = ", ".join(f"{text} (runs: {count})" for text, count in counts.items())
            lines.append(f"  {name}: {values}")
    detail = "\n".join(lines) or "  some runs have no protocol recorded"
    raise TableRefused(
        "the runs were measured by different protocols, so their values cannot be compared:\n"
        + detail
    )


def _refuse_what_cannot_be_compared(
    outcomes: Outcomes, reference: str | None, compared: Sequence[str]
) -> None:
    if reference is not None:
        _refuse_missing_reference(outcomes, reference)
    elif compared:
        raise TableRefused(
            f"{', '.join(compared)}: there is no reference to compare with; choose one as "
            f"`reference`{_nearest('', outcomes.cells)}"
        )
    if compared and not outcomes.paired:
        raise TableRefused(
            f"{', '.join(compared)}: not every run has a seed by which to pair it, or there are too"
            " many of them"
        )
    if compared:
        _refuse_single_seeds(outcomes, compared)


def _refuse_missing_reference(outcomes: Outcomes, reference: str) -> None:
    if reference not in outcomes.cells:
        raise TableRefused(
            f"the reference {reference!r} has no runs{_nearest(reference, outcomes.cells)}"
        )
    if not outcomes.completed[outcomes.index(reference)].any():
        raise TableRefused(
            f"no run of the reference {reference!r} has completed; choose another, or columns "
            "that need none"
        )


def _refuse_single_seeds(outcomes: Outcomes, compared: Sequence[str]) -> None:
    ended = (outcomes.completed | outcomes.failed).sum(axis=1)
    single = [cell for cell, count in zip(outcomes.cells, ended, strict=True) if count == 1]
    if single:
        shown = ", ".join(single[:5]) + (f" and {len(single) - 5} more" if len(single) > 5 else "")
        raise TableRefused(
            f"{', '.join(compared)}: a test needs two seeds or more, and these cells have one: "
            f"{shown}; add seeds, or choose columns without tests"
        )


def _nearest(wrong: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(wrong, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    choices: Mapping[str, None] = dict.fromkeys(names)
    return f"; there are: {', '.join(list(choices)[:20])}" if choices else ""
