"""How a table, a number and a configuration look in a terminal."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean, stdev
from typing import Any, TextIO

import typer

from sweeper.wording import on_one_line, visible

_UNREAD = (errno.EPIPE, errno.EIO)
"""How the system answers who writes where nobody reads: a pipe, a terminal that is gone."""


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, or several, in which nothing acts on the terminal: the way to print here.

    Names of files and classes, reasons and lines of logs come from anybody.
    """
    typer.echo(visible(text), err=err)


def give(content: str) -> None:
    """Print the content of a file: on a terminal as `say` does, into a pipe as it is."""
    text = content.removesuffix("\n")  # printing ends the last line
    if sys.stdout.isatty():
        say(text.replace("\r\n", "\n").removesuffix("\r"))
    else:
        typer.echo(text)


@contextmanager
def outliving_its_reader() -> Iterator[None]:
    """What is printed inside may find nobody who reads it: a `head` that has enough, a `tee` that
    died, a terminal that is gone. A line on the error stream says so, all that is printed later
    goes nowhere, and whoever prints goes on."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in _UNREAD:
            raise
        _to_nowhere(sys.stdout)
        try:
            say("sweeper: standard output was closed; the sweep continues without it", err=True)
        except OSError:  # there is one reader of both
            _to_nowhere(sys.stderr)


def _to_nowhere(stream: TextIO) -> None:
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def print_table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns as wide as their content, numbers to the right. On a terminal the last column is cut
    to what fits; a pipe gets all of it."""
    cells = [[on_one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(len(title), *(len(row[i]) for row in cells)) for i, title in enumerate(titles)]
    last = widths[-1]
    if columns := terminal_columns():
        last = max(20, columns - sum(widths[:-1]) - 2 * (len(widths) - 1))

    def line(row: Sequence[str]) -> str:
        parts = []
        for index, cell in enumerate(row):
            if index == len(row) - 1:
                parts.append(cell if len(cell) <= last else cell[: last - 1] + "…")
            elif _looks_numeric(cell):
                parts.append(cell.rjust(widths[index]))
            else:
                parts.append(cell.ljust(widths[index]))
        return "  ".join(parts).rstrip()

    say(line(titles))
    for row in cells:
        say(line(row))


def terminal_columns() -> int:
    """The width of the terminal; 0 where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _looks_numeric(cell: str) -> bool:
    return bool(cell) and cell.lstrip("-").replace(".", "", 1).replace("/", "").isdigit()


def number(value: float | None) -> str:
    """Four digits that count, or a dash."""
    return "-" if value is None else f"{value:.4g}"


def setting(value: Any) -> str:
    """One value of a configuration."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def settings(values: Mapping[str, Any]) -> str:
    """Searched values on one line: short paths, a trick by its name, nothing that is off."""
    parts = []
    for path, value in values.items():
        short = path.removeprefix("tricks.").removeprefix("optimizer.")
        if value is True:
            parts.append(short)
        elif value is not False:
            parts.append(f"{short}={setting(value)}")
    return ", ".join(parts)


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation (how many)."""
    if not values:
        return "-"
    deviation = f" ± {stdev(values):.2g}" if len(values) > 1 else ""
    return f"{fmean(values):.4g}{deviation} ({len(values)})"
