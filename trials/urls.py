"""Addresses where a path may stand: `s3://bucket/faces.npz`, and what it takes to read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidatorFunctionWrapHandler, WrapValidator

EXTRAS = {"s3": "s3", "gs": "gs", "az": "az", "hf": "hf"}
"""Scheme → the extra of this package that brings what reads it."""

SCHEMES = (*EXTRAS, "file")
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://")


class Url(type(Path())):  # type: ignore[misc]
    """A path that is an address. It prints as it was written, and nothing of this machine lies at
    it: `trials.fetching` brings here what it names."""

    def __str__(self) -> str:
        scheme, _, rest = super().__str__().partition(":/")
        return f"{scheme}://{rest}"

    @property
    def scheme(self) -> str:
        """What stands before `://`."""
        return str(self.parts[0]).removesuffix(":")


def read_path(given: Any) -> Any:
    """A text that is an address as one; a `file:` address as the path that it names; anything else
    as it is.

    Raises:
        ValueError: it is an address of a kind that is not read.
    """
    found = _URL.match(given) if isinstance(given, str) else None
    if found is None:
        return given
    if found[1] == "file":
        return Path("/" + given.removeprefix("file://").lstrip("/"))
    if found[1] not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ValueError(f"{found[1]}:// is not read; expected a path, or one of {known}")
    return Url(given)


def _or_url(given: Any, read: ValidatorFunctionWrapHandler) -> Any:
    path = read_path(given)
    return path if isinstance(path, Url) else read(path)


OrUrl = WrapValidator(_or_url)
"""After a path in a field's annotation: it may be an address as well."""
