"""Parquet: the numbers at full precision; caption and notes in the file's metadata."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq

from sweeper.ablation.table_format import TableFormat
from sweeper.ablation.tables import Table


def render(table: Table) -> bytes:
    """A whole Parquet file; metadata keys sweeper.caption and sweeper.notes (JSON)."""
    metadata = {
        b"sweeper.caption": table.caption.encode(),
        b"sweeper.notes": json.dumps(table.notes, ensure_ascii=False).encode(),
    }
    buffer = io.BytesIO()
    pq.write_table(table.raw().replace_schema_metadata(metadata), buffer, compression="zstd")
    return buffer.getvalue()


class Parquet(TableFormat):
    """Files that end in `.parquet`."""

    key = "parquet"
    summary = "columns with their types"
    extension = ".parquet"

    def render(self, table: Table) -> bytes:
        return render(table)
