"""A column of a table, and what columns are computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sweeper.ablation.comparison import BestSet, Comparisons
from sweeper.ablation.design import Cell
from sweeper.ablation.matrix import Kind, Outcomes

Array = npt.NDArray[np.float64]
Raw = Mapping[str, Sequence[Any] | Array]


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
    second: str = "objective 2"
    """What the second objective is called, where there is one."""

    def per_row(self, values: npt.ArrayLike) -> Array:
        """Numbers of study cells, laid out by the rows shown; NaN where there are no runs."""
        numbers = np.append(np.asarray(values, dtype=np.float64), np.nan)
        return numbers[self.index]

    def has_runs(self, row: int) -> bool:
        """Whether anything has run in the cell of this row."""
        return bool(self.index[row] >= 0)

    def settings_of_rows(self, column: str) -> list[Any]:
        """The value of a dataset column in the first run of each row's cell."""
        first = self.outcomes.first_rows
        if first is None:
            return [None] * len(self.labels)
        values = self.data[column].to_pylist()
        return [values[first[i]] if i >= 0 else None for i in self.index]


def whole(values: Array) -> list[int | None]:
    """Counts as whole numbers; None where there is none."""
    return [None if math.isnan(value) else int(value) for value in values]
