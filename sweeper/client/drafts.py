"""Sweep files on their way to a server: as text, with single values laid over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sweeper.errors import Problem, SpecError
from sweeper.sweepfile.document import Document, Place, dotted, read_document, write_document
from sweeper.sweepfile.overrides import lay_over

YAML = "application/yaml"


@dataclass(frozen=True)
class Draft:
    """A sweep file as it is sent. `places` say where its parts stood before anything was laid over
    it; empty where nothing was."""

    content: bytes
    places: Mapping[str, Place] = field(default_factory=dict)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Have the problems of what was sent refer to what was given.

        Raises:
            SpecError: something is wrong with it.
        """
        try:
            yield
        except SpecError as error:
            raise SpecError(map(self.placed, error.problems)) from error

    def placed(self, problem: Problem) -> Problem:
        """A problem of what was sent, where it stands in what was given."""
        if not self.places:
            return problem
        place = self.places.get(problem.path) or Place(problem.file, None)
        return replace(problem, file=place.file, line=place.line)


def draft_of(
    file: str | Mapping[str, Any], overrides: Sequence[str] = (), filename: str = ""
) -> Draft:
    """The text of a sweep file, or of a mapping of what would stand in one, with `overrides` laid
    over it. Only whether it can be read is checked: what it names is the server's to know.

    Raises:
        SpecError: it cannot be read, or an override is none.
    """
    if isinstance(file, str) and not overrides:
        return Draft(file.encode())
    document = (
        read_document(file, filename) if isinstance(file, str) else Document(filename, dict(file))
    )
    if document.readable and not isinstance(document.root, dict):
        document.add((), "is no sweep", "a mapping with name, base, parameters, limits")
    for override in overrides if document.readable and not document.problems else ():
        lay_over(document, override)
    if document.problems:
        raise SpecError(document.in_file_order())
    places = {dotted(path): place for path, place in document.places.items()}
    return Draft(write_document(document.root).encode(), places)
