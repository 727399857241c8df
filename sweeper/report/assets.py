"""The style and the script that every page has: the report, which holds them, and the service's."""

from __future__ import annotations

from importlib import resources

STYLE = "page.css"
SORTING = "sortable.js"


def asset(name: str) -> str:
    """The text of a file beside this one."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
