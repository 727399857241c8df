"""docs/data.md tells what the code does: its tables are made from the settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trials.data import RESIZE_RULE, SOURCES, DataConfig
from trials.data.images import FORMATS, MAX_PIXELS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def shown(value: object) -> str:
    if value is None:
        return "`null`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(source: type[DataConfig]) -> str:
    lines = ["| option | default | meaning |", "|---|---|---|"]
    fields = {key: field for key, field in source.model_fields.items() if key != "name"}
    for key, field in sorted(fields.items(), key=lambda item: not item[1].is_required()):
        default = "required" if field.is_required() else shown(field.default)
        lines.append(f"| `{key}` | {default} | {field.description} |")
    return "\n".join(lines)


@pytest.mark.parametrize("name", SOURCES)
def test_the_page_shows_every_option_of_a_source_as_the_code_has_it(name: str) -> None:
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
    assert name in sections
    assert table(SOURCES[name]) in sections[name], f"its table should be:\n{table(SOURCES[name])}"


def test_the_page_states_the_rules() -> None:
    for fact in (RESIZE_RULE, f"{MAX_PIXELS:,}", ", ".join(FORMATS)):
        assert fact in PAGE
