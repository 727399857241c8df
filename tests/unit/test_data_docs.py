"""docs/data.md tells what the code does: its tables are made from the settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trials.data import RESIZE_RULE, DataSource
from trials.data.images import FORMATS, MAX_BYTES, MAX_PIXELS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def shown(value: object) -> str:
    if value is None:
        return "`null`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(source: type[DataSource]) -> str:
    lines = ["| option | default | meaning |", "|---|---|---|"]
    fields = source.Config.model_fields
    for key, field in sorted(fields.items(), key=lambda item: not item[1].is_required()):
        default = "required" if field.is_required() else shown(field.default)
        lines.append(f"| `{key}` | {default} | {field.description} |")
    return "\n".join(lines)


@pytest.mark.parametrize("name", DataSource.all())
def test_the_page_shows_every_option_of_a_source_as_the_code_has_it(name: str) -> None:
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
    assert name in sections
    wanted = table(DataSource.named(name))
    assert wanted in sections[name], f"its table should be:\n{wanted}"


def test_the_page_states_the_rules() -> None:
    for fact in (RESIZE_RULE, f"{MAX_PIXELS:,}", f"{MAX_BYTES:,}", ", ".join(FORMATS)):
        assert fact in PAGE
