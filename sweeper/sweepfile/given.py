"""A mapping that a program gives in place of a file, as the document that the file would be."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from sweeper.sweepfile.document import UNKEPT, Document, Path, is_kept, shown


def read_mapping(mapping: Mapping[str, Any]) -> Document:
    """A copy of the mapping. Never raises: what no file can hold stands in `problems`."""
    document = Document("<mapping>")
    document.root = _copied(document, dict(mapping), ())
    return document


def _copied(document: Document, value: Any, at: Path) -> Any:
    if isinstance(value, dict):
        texts = {key: inner for key, inner in value.items() if _is_kept_key(key)}
        for key in value:
            if key not in texts:
                document.add(at, f"the key {shown(key)} is not text", "a name")
        return {key: _copied(document, inner, (*at, key)) for key, inner in texts.items()}
    if isinstance(value, list):
        return [_copied(document, item, (*at, place)) for place, item in enumerate(value)]
    if isinstance(value, int | float) and not is_kept(value):
        document.refuse(at, f"{shown(value)} is too large or not a number", "a finite number")
        return None
    if isinstance(value, str) and (unkept := UNKEPT.search(value)):
        document.refuse(at, f"holds the character U+{ord(unkept[0]):04X}", "text")
        return None
    return deepcopy(value)


def _is_kept_key(key: Any) -> bool:
    return isinstance(key, str) and not UNKEPT.search(key)
