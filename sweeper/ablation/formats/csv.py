"""Comma-separated values (RFC 4180): the numbers at full precision, one header line, no caption."""

from __future__ import annotations

import csv
import io

from sweeper.ablation.table_format import TableFormat
from sweeper.ablation.tables import Table


def render(table: Table) -> str:
    """Empty fields where there is no number."""
    raw = table.raw()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(raw.column_names)
    writer.writerows(zip(*(column.to_pylist() for column in raw.columns), strict=True))
    return text.getvalue()


class Csv(TableFormat):
    """Files that end in `.csv`."""

    key = "csv"
    summary = "numbers at full precision, one header line"
    extension = ".csv"

    def render(self, table: Table) -> str:
        return render(table)
