"""HTML in small pieces. Whatever comes from a file or a trial goes through `text`."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from sweeper.wording import visible

_HEAVY = 1_500_000
"""Bytes of a PNG above which the page holds it as JPEG: grids of photographs, many megabytes."""


NARROW_PAGE = "max-width: 620px"
"""A phone: what `page.css` takes for one."""
DARK_PAGE = "prefers-color-scheme: dark"


@dataclass(frozen=True)
class Picture:
    """A figure of the report: its file, and what the page says of it.

    `caption` is HTML. `scale` is pixels of the file for one of the page. A plot is drawn once more
    for a `narrow` page and takes its colours from it; a sheet of samples, which must keep its own,
    is laid out once more on `dark` paper.
    """

    key: str
    file: str
    title: str
    caption: str
    png: bytes
    scale: float = 2.0
    narrow: bytes = b""
    dark: bytes = b""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what is shown, what it is sorted by, how it is set."""

    shown: str
    sort: str = ""
    style: str = ""
    html: bool = False
    """Whether `shown` is HTML already."""


def text(content: object) -> str:
    """The content as text of a page, nothing in it read as markup or as turning the text around."""
    return escape(visible(str(content)), quote=True)


def figure(picture: Picture) -> str:
    """The picture inside the page, at the size it was drawn for, in light and dark."""
    sources = "".join(
        f'<source media="({when})" {_size(png, picture.scale)} srcset="{_embedded(png)}">'
        for when, png in ((NARROW_PAGE, picture.narrow), (DARK_PAGE, picture.dark))
        if png
    )
    kind = "plot" if picture.narrow else "sheet"
    return (
        f'<figure id="figure-{text(picture.key)}"><div class="paper {kind}" tabindex="0"><picture>'
        f'{sources}<img src="{_embedded(picture.png)}" {_size(picture.png, picture.scale)} '
        f'alt="{text(picture.title)}"></picture></div>'
        f"<figcaption><b>{text(picture.title)}.</b> {picture.caption}</figcaption></figure>\n"
    )


def _size(png: bytes, scale: float) -> str:
    with Image.open(io.BytesIO(png)) as opened:
        width, height = opened.size
    return f'width="{round(width / scale)}" height="{round(height / scale)}"'


def _embedded(png: bytes) -> str:
    """The picture as an address that holds it."""
    data, kind = png, "png"
    if len(data) > _HEAVY:
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(png)) as opened:
            opened.convert("RGB").save(buffer, format="JPEG", quality=88, subsampling=0)
        data, kind = buffer.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def table(
    heads: Sequence[tuple[str, str]],
    rows: Iterable[tuple[str, Sequence[Cell]]],
    *,
    sortable: bool = False,
    tall: bool = False,
) -> str:
    """A table from (heading, class) and (class of the row, cells)."""
    head = "".join(f'<th scope="col" class="{kind}">{text(name)}</th>' for name, kind in heads)
    body = "\n".join(
        f"<tr{_classed(kind)}>{''.join(map(_cell, cells))}</tr>" for kind, cells in rows
    )
    return (
        f'<div class="scroll{" tall" if tall else ""}" tabindex="0">'
        f"<table{_classed('sortable' if sortable else '')}>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
    )


def tile(name: str, value: str, note: str, kind: str = "") -> str:
    """One of the numbers at the top. `value` and `note` are HTML."""
    return (
        f'<div class="tile {kind}"><div class="name">{text(name)}</div>'
        f'<div class="value">{value}</div><div class="note">{note}</div></div>\n'
    )


def notice(content: str) -> str:
    """A remark that must not be overlooked, from plain text."""
    return f'<div class="notice" role="note">{text(content)}</div>\n'


def details(summary: str, content: str, *, shown: bool = False) -> str:
    """Something to unfold; `content` is HTML."""
    start = "<details open>" if shown else "<details>"
    return f"{start}<summary>{text(summary)}</summary>{content}</details>\n"


def preformatted(content: str) -> str:
    """Text as it stands, line for line."""
    return f"<pre><code>{text(content)}</code></pre>\n"


def _cell(cell: Cell) -> str:
    shown = cell.shown if cell.html else text(cell.shown)
    sort = f' data-v="{text(cell.sort)}"'
    return f"<td{_classed(cell.style)}{sort}>{shown}</td>"


def _classed(kind: str) -> str:
    return f' class="{text(kind)}"' if kind else ""
