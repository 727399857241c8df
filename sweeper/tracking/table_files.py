"""A finished table as the files that MLflow shows and people take with them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sweeper.tracking.limits import safe_key
from sweeper.wording import in_spreadsheet


def table_files(name: str, columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """`tables/NAME.json`, in the form that MLflow shows, and `tables/NAME.csv` → their text.

    Raises:
        ValueError: the columns are not of one length.
    """
    safe = safe_key(name)
    rows = list(zip(*columns.values(), strict=True))
    shown = {"columns": list(columns), "data": [[_plain(cell) for cell in row] for row in rows]}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [in_spreadsheet(cell) for cell in row] for row in [list(columns), *rows]
    )
    return {f"tables/{safe}.json": json.dumps(shown), f"tables/{safe}.csv": text.getvalue()}


def _plain(cell: Any) -> Any:
    """A table cell as JSON can hold it: numpy scalars unwrapped, NaN as null."""
    value = cell.item() if hasattr(cell, "item") else cell
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
