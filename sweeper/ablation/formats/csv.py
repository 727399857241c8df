"""Comma-separated values (RFC 4180): the numbers at full precision, one header line, no caption."""

from __future__ import annotations

import csv
import io

from sweeper.ablation.tables import Table


def render(table: Table) -> str:
    """Empty fields where there is no number."""
    raw = table.raw()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(raw.column_names)
    writer.writerows(zip(*(column.to_pylist() for column in raw.columns), strict=True))
    return text.getvalue()
