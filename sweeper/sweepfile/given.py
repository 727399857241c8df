"""A mapping that a program gives in place of a file, as the document that the file would be."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from sweeper.sweepfile.document import Document, Path, is_kept, shown


def read_mapping(mapping: Mapping[str, Any]) -> Document:
    """A copy of the mapping. Never raises: what no file can hold stands in `problems`."""
    document = Document("<mapping>")
    document.root = _copied(document, dict(mapping), ())
    return document


def _copied(document: Document, value: Any, at: Path) -> Any:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                document.add(at, f"the key {shown(key)} is no text", "a name")
        texts = {key: inner for key, inner in value.items() if isinstance(key, str)}
        return {key: _copied(document, inner, (*at, key)) for key, inner in texts.items()}
    if isinstance(value, list):
        return [_copied(document, item, (*at, place)) for place, item in enumerate(value)]
    if isinstance(value, int | float) and not is_kept(value):
        document.refuse(at, f"{shown(value)} is too large or no number", "a finite number")
        return None
    return deepcopy(value)
