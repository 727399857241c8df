"""From problem details to our own exceptions: the same that the same mistake raises here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from sweeper.errors import (
    SpecConflict,
    SpecError,
    SweeperError,
    UnknownSweep,
    Unreachable,
    UserError,
)
from trials.problems import Problem

_OF_SERVER = "sweep.yaml"
"""What the server calls a file that came without a name."""


def error_of(answer: httpx.Response, address: str, file: str = "") -> SweeperError:
    """The exception for an answer that is an error. `file` is the name of the sweep file that was
    sent, by which its problems are to be found."""
    details = _details(answer)
    status, title = answer.status_code, str(details.get("title") or "")
    if not title:
        return Unreachable(f"{address} answers {status}, and is perhaps no sweep service")
    text = " ".join(filter(None, (title, str(details.get("detail") or ""))))
    if status == 401:
        return UserError(f"{address} does not know the token: `sweeper login {address}`")
    if status >= 500:
        return Unreachable(f"{address}: {text}")
    kind = str(details.get("type") or "").removeprefix("/problems/")
    of_a_file = kind == "invalid-sweep"  # and no other is of what was sent as a file
    return _KINDS.get(kind, UserError)(text, _problems(details, file if of_a_file else ""))


_KINDS: Mapping[str, Callable[[str, list[Problem]], UserError]] = {
    "invalid-sweep": lambda text, problems: SpecError(problems) if problems else UserError(text),
    "unknown-sweep": UnknownSweep,
    "conflict": SpecConflict,
}


def _details(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        read = answer.json()
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def problem_of(fault: Mapping[str, Any], file: str = "") -> Problem:
    """One thing that is wrong, of a file that is called `file` here."""
    told = str(fault.get("file") or "")
    return Problem(
        path=str(fault.get("where") or ""),
        message=str(fault.get("what") or ""),
        expected=str(fault.get("expected") or ""),
        nearest=str(fault.get("nearest") or ""),
        file=file if file and told in ("", _OF_SERVER) else told,
        line=fault["line"] if isinstance(fault.get("line"), int) else None,
    )


def _problems(details: Mapping[str, Any], file: str) -> list[Problem]:
    listed = details.get("problems")
    faults = listed if isinstance(listed, list) else ()
    return [problem_of(fault, file) for fault in faults if isinstance(fault, dict)]
