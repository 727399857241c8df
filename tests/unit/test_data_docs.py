"""docs/data.md tells what the code does; `test_documentation` looks at its tables."""

from __future__ import annotations

import re
from pathlib import Path

from trials.data import RESIZE_RULE, DataSource
from trials.data.images import FORMATS, MAX_BYTES, MAX_PIXELS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def test_every_source_has_its_section() -> None:
    assert set(DataSource.all()) <= set(re.findall(r"^## `(\w+)`\n\n", PAGE, re.M))


def test_the_page_states_the_rules() -> None:
    for fact in (RESIZE_RULE, f"{MAX_PIXELS:,}", f"{MAX_BYTES:,}", ", ".join(FORMATS)):
        assert fact in PAGE
