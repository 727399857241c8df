"""JSON: caption and notes, and a list of rows with every number at full precision."""

from __future__ import annotations

import json

from sweeper.ablation.table_format import TableFormat
from sweeper.ablation.tables import Table


def render(table: Table) -> str:
    """{"name", "caption", "notes", "headings", "rows"}; null where there is no number."""
    content = {
        "name": table.name,
        "caption": table.caption,
        "notes": list(table.notes),
        "headings": {c.key: c.heading.replace("\n", " ") for c in table.columns},
        "rows": table.raw().to_pylist(),
    }
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


class Json(TableFormat):
    """Files that end in `.json`."""

    key = "json"
    summary = "rows as objects, for programs"
    extension = ".json"

    def render(self, table: Table) -> str:
        return render(table)
