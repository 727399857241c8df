"""The forms in which a table can be had: the base of every format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from sweeper.ablation.tables import Table
from sweeper.errors import PartError, UserError
from trials.errors import ConfigError
from trials.part import Part


class TableFormat(Part, ABC):
    """Writes a table down. Subclass it in a file of `formats/`."""

    kind = "table format"
    folders = ("sweeper.ablation.formats",)

    extension: ClassVar[str]
    """How the names of its files end, with the dot."""

    @abstractmethod
    def render(self, table: Table) -> str | bytes:
        """The content of the file, caption and notes included where the format has a place."""


def format_named(name: str) -> TableFormat:
    """The format of this name.

    Raises:
        UserError: there is none; the nearest name is given.
    """
    try:
        return TableFormat.named(name)()
    except ConfigError as error:
        raise UserError(str(error.problems[0])) from error


def rendered(table: Table, name: str) -> bytes:
    """The table in the named format, as the bytes of a file (UTF-8 where it is text).

    Raises:
        UserError: there is no such format.
        PartError: it gives neither text nor bytes.
    """
    content = format_named(name).render(table)
    if not isinstance(content, bytes | str):
        raise PartError(f"the table format '{name}' gives {content!r} (expected text or bytes)")
    return content if isinstance(content, bytes) else content.encode("utf-8")
