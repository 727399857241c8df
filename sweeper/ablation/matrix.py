"""The runs of one ablation as a matrix, cells × seeds, with failures marked.

A cell is what is replicated: a cell of a design, a configuration that is being confirmed, or, in a
plain search, a configuration. A run that failed, or was stopped for its health, stays a failure: it
has no value, and it is counted with its symptom. A run that a scheduler stopped, that lost its
worker or that has not ended has no final value either, and is counted apart: nothing is known about
how it would have ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sweeper.ablation.dataset import COMPARABLE, TOOK_OVER, family
from sweeper.ablation.effects import Goal
from sweeper.ablation.order import penalised
from sweeper.causes import to_blame
from sweeper.protocols import FREE

Array = npt.NDArray[np.float64]
Kind = Literal["cells", "confirmation", "trials"]

UNFINISHED = ("running", "waiting")

LARGEST = 20_000_000
"""Entries of the matrix beyond which the columns of a plain search no longer stand for seeds: ten
thousand trials with a seed each would take a gigabyte to say that nothing is paired."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Values of every cell on every seed."""

    cells: tuple[str, ...]
    seeds: tuple[int, ...]
    """Empty where columns do not stand for seeds (`paired`): too many of them, or none known."""
    values: Array
    """(cells, seeds); NaN where a run failed, was stopped or lost, or was never asked for."""
    failed: npt.NDArray[np.bool_]
    """(cells, seeds)."""
    goal: Goal
    symptoms: tuple[Mapping[str, int], ...]
    """For each cell: how many runs failed by which cause."""
    pruned: npt.NDArray[np.int64]
    """For each cell: how many runs were stopped, and not for their health."""
    unfinished: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    """For each cell: how many runs have no value since their workers died."""
    repeated: int = 0
    """Completed runs left out because their cell already has one with their seed."""
    protocols: tuple[tuple[Mapping[str, str], int], ...] = ()
    """Each measurement protocol of the completed runs, less the FREE fields, and how many
    runs used it; values of two of them cannot be compared. No fields: none was recorded."""
    free_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Every value that the FREE fields have in these runs."""
    protocol_keys: tuple[str, ...] = ()
    left_out: int = 0
    """Runs that were measured by another protocol than their sweep's, and are no part of this."""
    without_cell: int = 0
    """Runs that say nothing of their cell beside others that do, and are no part of this."""
    paired: bool = True
    """Whether a column is one seed; else the n-th run of each cell, and nothing can be compared."""
    first_rows: npt.NDArray[np.int64] | None = None
    """For each cell the row of the table that shows its settings."""

    @property
    def completed(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(self.values)

    def index(self, cell: str) -> int:
        """Row of a cell.

        Raises:
            KeyError: there is none of this label.
        """
        try:
            return self.cells.index(cell)
        except ValueError:
            raise KeyError(cell) from None

    def worst_for_failures(self) -> Array:
        """`values` with ±inf, the worst there is, where a run failed."""
        worst = np.inf if self.goal == "minimize" else -np.inf
        return np.where(self.failed, worst, self.values)

    def penalised(self) -> Array:
        """`values` with the worst value that any run of the study reached where a run failed.

        The rule by which a best cell is chosen (`sweeper.ablation.order`).
        """
        return penalised(self.values, self.failed, self.goal)


def outcomes_from_matrix(
    cells: Sequence[str],
    seeds: Sequence[int],
    values: npt.ArrayLike,
    goal: Goal = "minimize",
    *,
    failed: npt.ArrayLike | None = None,
    symptom: str = "failed",
) -> Outcomes:
    """Outcomes from (cells, seeds) numbers, for tests, simulations and callers with a matrix."""
    matrix = np.array(values, dtype=np.float64)
    marks = np.zeros(matrix.shape, bool) if failed is None else np.asarray(failed, dtype=bool)
    if matrix.shape != (len(cells), len(seeds)) or marks.shape != matrix.shape:
        raise ValueError(f"expected values of shape {(len(cells), len(seeds))}")
    none = np.zeros(len(cells), dtype=np.int64)
    return Outcomes(
        cells=tuple(cells),
        seeds=tuple(seeds),
        values=np.where(marks, np.nan, matrix),
        failed=marks,
        goal=goal,
        symptoms=tuple({symptom: int(count)} if count else {} for count in marks.sum(axis=1)),
        pruned=none,
        unfinished=none,
        lost=none,
    )


def kind_of_rows(table: pa.Table) -> Kind:
    """What a dataset holds that may be compared: cells of an ablation, replicates being confirmed,
    or trials."""
    if table["cell"].null_count < len(table):
        return "cells"
    compared = pa.array(compared_rows(table))
    replicates = pc.any(pc.and_(pc.equal(table["role"], "replicate"), compared)).as_py()
    return "confirmation" if replicates else "trials"


def outcomes_from_table(
    table: pa.Table, goal: Goal, *, kind: Kind | None = None, objective: str = "objective"
) -> Outcomes:
    """The outcomes in a dataset of trials (`sweeper.ablation.dataset`).

    "cells" groups by cell label; "confirmation" takes the replicates only, grouped by the trial
    they repeat, so that the lucky value of the search never enters a mean; "trials" groups by
    configuration, and a trial that took weights over stands alone. Cells stand in the order of
    their first trial. A completed run without a finite number counts as failed by "not_finite".
    Runs measured by another protocol than their sweep's, as the dataset says, are left out.
    """
    kind = kind or kind_of_rows(table)
    mask, groups, labels = _groups(table, kind)
    rows = np.flatnonzero(mask & compared_rows(table))
    if not len(rows):
        return outcomes_from_matrix([], [], np.empty((0, 0)), goal)
    _, first, member = np.unique(groups[rows], return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    member = np.argsort(order, kind="stable")[member]
    first_rows = rows[first[order]]
    state = np.asarray(table["state"])[rows]
    value = table[objective].to_numpy(zero_copy_only=False).astype(np.float64)[rows]
    told = table["symptom"].take(pa.array(rows)).to_pylist()
    symptom = np.array([name or "error" for name in told], dtype=object)
    broken = (state == "completed") & ~np.isfinite(value)
    symptom[broken] = "not_finite"
    done = (state == "completed") & ~broken
    fell = broken | np.array([to_blame(*end) for end in zip(state, told, strict=True)], dtype=bool)
    seeds, seed = np.unique(np.asarray(pc.fill_null(table["seed"], 0))[rows], return_inverse=True)
    fits = kind != "trials" or len(first_rows) * len(seeds) <= LARGEST
    paired = fits and not _seedless(table, rows[done | fell])
    named = tuple(int(seed) for seed in seeds) if paired else ()
    if not paired:
        seed = _occurrence(member)
        seeds = np.arange(seed.max() + 1)
    shape = (len(first_rows), len(seeds))
    values = np.full(shape, np.nan)
    # Of several completed runs of a pair the earliest stands: the first occurrence.
    pairs, earliest = np.unique(member[done] * shape[1] + seed[done], return_index=True)
    values.flat[pairs] = value[done][earliest]
    failed = _marked(shape, member, seed, fell) & np.isnan(values)
    counted = fell & failed[member, seed]
    lost = _marked(shape, member, seed, (state == "failed") & ~fell) & np.isnan(values) & ~failed
    return Outcomes(
        cells=tuple(labels(row) for row in first_rows),
        seeds=named,
        values=values,
        failed=failed,
        goal=goal,
        symptoms=_symptoms(member, seed, counted, symptom, len(first_rows)),
        pruned=np.bincount(member[(state == "pruned") & ~fell], minlength=shape[0]),
        unfinished=np.bincount(member[np.isin(state, UNFINISHED)], minlength=shape[0]),
        lost=lost.sum(axis=1),
        repeated=int(done.sum()) - len(pairs),
        left_out=int(mask.sum()) - len(rows),
        without_cell=int((~mask).sum()) if kind == "cells" else 0,
        paired=paired,
        first_rows=first_rows,
        **_protocols(table, rows[done]),
    )


def _seedless(table: pa.Table, rows: npt.NDArray[np.int64]) -> bool:
    """Whether one of these runs has no seed: it pairs with nothing, and would pass for seed 0."""
    return bool(np.asarray(pc.is_null(table["seed"]))[rows].any())


def compared_rows(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows may be compared; all of them where nobody has said."""
    if COMPARABLE not in table.column_names:
        return np.ones(len(table), dtype=bool)
    return np.asarray(pc.fill_null(table[COMPARABLE], True), dtype=bool)


def took_over(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows are of trials that took weights over; none where nobody has said."""
    if TOOK_OVER not in table.column_names:
        return np.zeros(len(table), dtype=bool)
    return np.asarray(pc.fill_null(table[TOOK_OVER], False), dtype=bool)


def _marked(
    shape: tuple[int, int],
    member: npt.NDArray[np.int64],
    seed: npt.NDArray[np.int64],
    rows: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """(cells, seeds), true where one of these rows stands."""
    marked = np.zeros(shape, dtype=bool)
    marked[member[rows], seed[rows]] = True
    return marked


def _occurrence(member: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many earlier rows belong to the same group."""
    order = np.argsort(member, kind="stable")
    grouped = member[order]
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]])
    counted = np.arange(len(member)) - np.repeat(starts, np.diff(np.r_[starts, len(member)]))
    occurrence = np.empty_like(counted)
    occurrence[order] = counted
    return occurrence


def _groups(table: pa.Table, kind: Kind) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any], Any]:
    """(rows that take part, what they are grouped by, label of a group from its first row)."""
    number = np.asarray(table["number"])
    if kind == "cells":
        codes, names = _codes(table["cell"])
        return codes >= 0, codes, lambda row: names[codes[row]]
    if kind == "confirmation":
        of = np.asarray(pc.fill_null(table["of"], -1))
        replicate = np.asarray(pc.fill_null(pc.equal(table["role"], "replicate"), False))
        return replicate, of, lambda row: f"trial {of[row]:05d}"
    codes, names = _codes(table["configuration"])
    codes = np.where(took_over(table), len(names) + np.arange(len(table)), codes)
    return np.ones(len(table), dtype=bool), codes, lambda row: f"trial {number[row]:05d}"


def _codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Integer codes of a string column, −1 for null, and what they stand for."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = np.asarray(pc.fill_null(encoded.indices, -1), dtype=np.int64)
    return codes, encoded.dictionary.to_pylist()


def _symptoms(
    member: npt.NDArray[np.int64],
    seed: npt.NDArray[np.int64],
    counted: npt.NDArray[np.bool_],
    symptom: npt.NDArray[Any],
    cells: int,
) -> tuple[Mapping[str, int], ...]:
    counts: list[dict[str, int]] = [{} for _ in range(cells)]
    last = {(member[row], seed[row]): symptom[row] for row in np.flatnonzero(counted)}
    for (cell, _), name in last.items():
        counts[cell][name] = counts[cell].get(name, 0) + 1
    return tuple(dict(sorted(symptoms.items())) for symptoms in counts)


def _protocols(table: pa.Table, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """The fields of `Outcomes` about the protocols of these rows."""
    codes, keys = _codes(table["protocol"])
    columns = family(table, "protocol")
    counts: dict[tuple[tuple[str, str], ...], int] = {}
    free: dict[str, set[str]] = {}
    used, first, many = np.unique(codes[rows], return_index=True, return_counts=True)
    for position, count in zip(first, many, strict=True):
        row = int(rows[position])
        fields = {name: table[column][row].as_py() for name, column in columns.items()}
        fields = {name: text for name, text in fields.items() if text is not None}
        for name in sorted(FREE & fields.keys()):
            free.setdefault(name, set()).add(fields.pop(name))
        compared = tuple(fields.items())
        counts[compared] = counts.get(compared, 0) + int(count)
    return {
        "protocols": tuple((dict(fields), count) for fields, count in counts.items()),
        "free_fields": {name: tuple(sorted(texts)) for name, texts in free.items()},
        "protocol_keys": tuple(keys[code] for code in used if code >= 0),
    }
