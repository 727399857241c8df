"""An HTML table without styles of its own: classes for a page to dress, readable undressed."""

from __future__ import annotations

from html import escape

from sweeper.ablation.column import Column
from sweeper.ablation.table_format import TableFormat
from sweeper.ablation.tables import Table
from sweeper.wording import visible


def render(table: Table) -> str:
    """A <figure> with the table, its caption and its notes; every text escaped."""
    head = "".join(
        f'<th scope="col" class="{column.align}">{_heading(column)}</th>'
        for column in table.columns
    )
    texts = [_texts(table, column) for column in table.columns]
    rows = "\n".join(f"<tr>{''.join(row)}</tr>" for row in zip(*texts, strict=True))
    notes = "".join(f"<li>{_shown(note)}</li>" for note in table.notes)
    return (
        f'<figure class="ablation" id="{escape(table.name)}">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n"
        f"<figcaption>{_shown(table.caption)}{f'<ul>{notes}</ul>' if notes else ''}</figcaption>\n"
        "</figure>\n"
    )


class Html(TableFormat):
    """Files that end in `.html`."""

    key = "html"
    summary = "a figure for a page"
    extension = ".html"

    def render(self, table: Table) -> str:
        return render(table)


def _shown(text: str) -> str:
    return escape(visible(text))


def _heading(column: Column) -> str:
    return _shown(column.heading).replace("\n", "<br/>")


def _texts(table: Table, column: Column) -> list[str]:
    texts = [_shown(text) for text in column.texts]
    if column.marked:
        for row in table.equals:
            texts[row] = f"<u>{texts[row]}</u>"
        if table.best is not None:
            texts[table.best] = f"<strong>{texts[table.best]}</strong>"
    return [f'<td class="{column.align}">{text}</td>' for text in texts]
