"""GitHub-flavoured Markdown. Underlining is <ins>, which GitHub keeps."""

from __future__ import annotations

import re

from sweeper.ablation.column import Column
from sweeper.ablation.table_format import TableFormat
from sweeper.ablation.tables import Table
from sweeper.wording import visible

_SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in "\\|*<>`~"}
    | dict.fromkeys("\t\n\v\f\r\x85\u2028\u2029", " ")
)
_RULES = {"left": ":---", "center": ":---:", "right": "---:"}


def render(table: Table) -> str:
    """A pipe table, then the caption, then the notes as a list."""
    lines = [
        _line([_heading(column) for column in table.columns]),
        _line([_RULES[column.align] for column in table.columns]),
    ]
    texts = [_texts(table, column) for column in table.columns]
    lines += [_line(row) for row in zip(*texts, strict=True)]
    lines += ["", escape(table.caption), *([""] if table.notes else [])]
    lines += [f"- {escape(note)}" for note in table.notes]
    return "\n".join(lines) + "\n"


class Markdown(TableFormat):
    """Files that end in `.md`."""

    key = "markdown"
    summary = "a pipe table"
    extension = ".md"

    def render(self, table: Table) -> str:
        return render(table)


def escape(text: str) -> str:
    """The text as it is, whatever Markdown its characters would make."""
    # An ampersand alone is harmless; before a name, &lt; say, it would be read as HTML.
    text = re.sub(r"&(?=#?[A-Za-z0-9]+;)", r"\&", visible(text.translate(_SPECIAL)))
    if "_" in text:
        # Inside a word an underscore is harmless, and names such as mode_collapse stay readable.
        text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\_", text)
    return text.replace("](", "]\\(")


def _heading(column: Column) -> str:
    return "<br>".join(escape(line) for line in column.heading.split("\n"))


def _texts(table: Table, column: Column) -> list[str]:
    texts = [escape(text) for text in column.texts]
    if column.marked:
        for row in table.equals:
            texts[row] = f"<ins>{texts[row]}</ins>"
        if table.best is not None:
            texts[table.best] = f"**{texts[table.best]}**"
    return texts


def _line(entries: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(entries)} |"
