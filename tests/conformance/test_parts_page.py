"""docs/parts.md: its examples are parts, and keep the promises of their kinds."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import trials.config  # noqa: F401 - it brings the trainer's kinds
from sweeper.testing import check_part
from trials.part import everything, temporary_parts

PAGE = (Path(__file__).parents[2] / "docs" / "parts.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
NAMES = [re.findall(r'key = "(\w+)"', code)[0] for code in EXAMPLES]


@pytest.mark.parametrize("code", EXAMPLES, ids=NAMES)
def test_an_example_of_the_page_is_a_part_that_keeps_its_promises(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("example_of_the_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with temporary_parts():
        before = set(everything())
        exec(compile(code, "docs/parts.md", "exec"), vars(module))
        (part,) = (one for one in set(everything()) - before if one.__module__ == module.__name__)
        check_part(part)
