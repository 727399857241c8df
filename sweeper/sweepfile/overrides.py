"""`--set path=value`: single values laid over a sweep file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeper.errors import Problem
from sweeper.sweepfile.document import Document, Path, Place, dotted, one_of, read_document, shown
from sweeper.sweepfile.sections import CHOICES, KEYS
from trials.problems import nearest

LONGEST = 80
"""Characters of an override that stand before its problems."""


def lay_over(document: Document, text: str) -> None:
    """Lay `path=value` over the document; the value is read as YAML."""
    label = f"--set {text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}"
    path, equals, value_text = text.partition("=")
    keys = path.strip().split(".")
    value = read_document(value_text, label)
    value.places = {inner: Place(label, None) for inner in value.places}
    value.places[()] = Place(label, None)
    document.problems += [
        Problem(path.strip(), problem.message, problem.expected, file=label)
        for problem in value.problems
    ]
    if not equals or not all(keys):
        document.problems.append(
            Problem("", "is not an override", "path=value, such as limits.trials=50", file=label)
        )
        return
    if keys[0] not in KEYS:
        # Imports torch, as reading the whole file does; here only to help out of a mistake.
        from trials.config import TrialConfig

        in_base = keys[0] in TrialConfig.model_fields
        close = f"base.{'.'.join(keys)}" if in_base else nearest(keys[0], KEYS)
        document.problems.append(
            Problem(keys[0], "there is no such section", one_of(KEYS), close, file=label)
        )
        return
    if document.root is None:
        document.root = {}
    here: Any = document.root
    at: Path = ()
    while isinstance(here, dict):
        key, keys = _next_key(here, at, keys)
        at = (*at, key)
        if not keys:
            here[key] = value.root
            document.graft(at, value)
            return
        below = here.get(key)
        # A bare name may be given knobs: `loss: hinge` and base.loss.margin=2.
        if below is None or (at[0] == "base" and below is True):
            below = {}
            document.places[at] = Place(label, None)
        elif at[0] == "base" and isinstance(below, str):
            below = {"name": below}
        elif at[0] in CHOICES and len(at) == 1 and isinstance(below, str):
            below = {CHOICES[at[0]].tag: below}
        here[key] = here = below
    document.problems.append(
        Problem(path.strip(), f"{dotted(at)} is {shown(here)}", "a mapping there", file=label)
    )


def _next_key(here: Mapping[str, Any], at: Path, keys: list[str]) -> tuple[str, list[str]]:
    """The key to go down by, and what is left of the path: a parameter's name holds dots itself."""
    if at == ("parameters",):
        for length in range(len(keys), 0, -1):
            if (name := ".".join(keys[:length])) in here:
                return name, keys[length:]
        return ".".join(keys), []
    return keys[0], keys[1:]
