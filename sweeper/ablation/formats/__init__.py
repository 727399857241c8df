"""Renderings of a table: one format, one file, each a pure function from Table to str or bytes."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from sweeper.ablation.tables import Table
from sweeper.errors import UserError

FORMATS = {
    "markdown": ".md",
    "latex": ".tex",
    "csv": ".csv",
    "parquet": ".parquet",
    "html": ".html",
    "json": ".json",
}
"""Name of each format and the extension of its files."""


def render(table: Table, name: str) -> bytes:
    """The table in the named format, as the bytes of a file (UTF-8 where it is text)."""
    if name not in FORMATS:
        raise UserError(f"there is no format {name!r}; there are: {', '.join(FORMATS)}")
    module = import_module(f"{__name__}.{name}")
    function: Callable[[Table], str | bytes] = module.render
    content = function(table)
    return content if isinstance(content, bytes) else content.encode("utf-8")
