"""Comma-separated values (RFC 4180): the numbers at full precision, one header line, no caption."""

from __future__ import annotations

import csv
import io

from sweeper.ablation.table_format import TableFormat
from sweeper.ablation.tables import Table
from sweeper.wording import in_spreadsheet


def render(table: Table) -> str:
    """Empty fields where there is no number, and no text that a spreadsheet takes for a formula."""
    raw = table.raw()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(map(in_spreadsheet, raw.column_names))
    columns = (map(in_spreadsheet, column.to_pylist()) for column in raw.columns)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


class Csv(TableFormat):
    """Files that end in `.csv`."""

    key = "csv"
    summary = "numbers at full precision, one header line"
    extension = ".csv"

    def render(self, table: Table) -> str:
        return render(table)
