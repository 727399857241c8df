"""Sweep files as people send them: read and checked, with nothing done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from sweeper.errors import Problem, SpecConflict, SpecError
from sweeper.search.learning import gathered
from sweeper.service.actions.places import check_places
from sweeper.service.app import Service
from sweeper.sweepfile.document import MAX_CHARACTERS, read_document, write_document
from sweeper.sweepfile.load import parse_sweep
from sweeper.sweepfile.model import Sweep
from sweeper.sweepfile.overrides import lay_over

FILE = "sweep.yaml"
"""What problems call a file that came without a name."""

_LONGEST = 4 * MAX_CHARACTERS


def read_draft(service: Service, text: str, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep of a file's text, with `overrides` (`limits.trials=5`) laid over it.

    Raises:
        SpecError: something is wrong with it, or it names what this server does not read, sweeps
            to learn from among it; every problem has its line where the file has one.
    """
    document = read_document(text, FILE)
    for override in overrides if document.readable else ():
        lay_over(document, override)
    readable = len(document.problems)
    check_places(document, service.settings)
    if len(document.problems) > readable:  # nothing of those places is looked at
        raise SpecError(document.in_file_order())
    sweep = parse_sweep(text, FILE, overrides)
    gathered(sweep, service.settings.home)  # of what it is to learn from, too
    return sweep


def text_of_json(body: bytes) -> str:
    """A sweep file in JSON as the text of one in YAML, to whose lines problems refer.

    Raises:
        SpecError: it is no JSON of one mapping, or too long.
    """
    if len(body) > _LONGEST:
        raise _unread(f"is longer than {_LONGEST:,} bytes")
    try:
        read = json.loads(body, object_pairs_hook=_once, parse_constant=_no_number)
        if isinstance(read, dict):
            return write_document(read)
    except RecursionError as error:
        raise _unread("is nested too deeply") from error
    except ValueError as error:
        raise _unread(f"is not JSON: {error}", getattr(error, "lineno", None)) from error
    raise _unread("is not a mapping", expected="{name: …, base: …, parameters: …, limits: …}")


def text_of_yaml(body: bytes) -> str:
    """A sweep file in YAML as text.

    Raises:
        SpecError: it is no UTF-8, or too long.
    """
    if len(body) > _LONGEST:
        raise _unread(f"is longer than {_LONGEST:,} bytes")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unread(f"is not UTF-8 text: {error.reason}") from error


def written(sweep: Sweep) -> str:
    """A sweep as the text of a file, with every default."""
    return write_document(sweep.to_dict())


def check_folder(service: Service, name: str) -> None:
    """See that a new sweep of that name, which the server does not know, has its folder to itself.

    Raises:
        SpecConflict: a sweep of that name has run in this home without the server.
    """
    if service.settings.home.sweep(name).exists():
        raise SpecConflict(
            f"a sweep named {name!r} was run in this home from a terminal: give this one another "
            "name"
        )


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return read


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number that a sweep file can hold")


def _unread(message: str, line: int | None = None, expected: str = "") -> SpecError:
    return SpecError([Problem("", message, expected, file=FILE, line=line)])
