"""The options of every data source as tables of docs/data.md, from the classes that read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from trials.data.source import DataSource

_TABLE = re.compile(r"^\| option \| default \| meaning \|\n(?:\|.*\n)*", re.MULTILINE)


def table(source: type[DataSource]) -> str:
    """The options of a source in Markdown, those that must be given first."""
    fields = source.Config.model_fields
    rows = [
        f"| `{name}` | {'required' if field.is_required() else _default(field.default)} "
        f"| {field.description} |"
        for name, field in sorted(fields.items(), key=lambda item: not item[1].is_required())
    ]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows]) + "\n"


def page_with_options(page: str) -> str:
    """The page with the table of every source made anew, below the source's heading."""
    return "".join(_sections(page))


def _sections(page: str) -> Iterator[str]:
    for section in re.split(r"^(?=## )", page, flags=re.MULTILINE):
        heading = re.match(r"## `(\w+)`\n", section)
        source = DataSource.all().get(heading.group(1)) if heading else None
        yield _TABLE.sub(lambda _, own=source: table(own), section) if source else section


def _default(value: object) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
