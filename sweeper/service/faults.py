"""What is wrong with a request, in the shape in which it is told (RFC 9457).

Imports nothing that a server needs, so that a client knows it, too.
"""

from __future__ import annotations

from pydantic import BaseModel


class Fault(BaseModel):
    """One thing that is wrong, and where."""

    where: str
    """Dotted path in the file or request."""
    what: str
    expected: str = ""
    nearest: str | None = None
    file: str = ""
    """What the sweep file is called, or the value that was laid over it."""
    line: int | None = None
    """Line of the sweep file, from 1."""


class ProblemDetails(BaseModel):
    """Why a request was not carried out: nothing of it was."""

    type: str
    """A name of the kind of problem, for programs: `/problems/NAME`."""
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    problems: list[Fault] = []
