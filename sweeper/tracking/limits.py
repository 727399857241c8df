"""Making names and values fit what MLflow accepts.

A parameter or metric key may hold letters, digits, `_ - . : /` and spaces, be at most 250
characters long and must be a normal relative path (no `..`, no `//`). A parameter's value is cut at
6,000 characters, a tag's at 8,000, an experiment's tag at 5,000. Everything here is a pure function
of its arguments, so what is sent again after a crash is the same to the letter.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sweeper.secrets import redacted
from sweeper.wording import visible

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000
MAX_EXPERIMENT_TAG = 5000
CUT = " … (cut; the files of the run have all of it)"

_FORBIDDEN = re.compile(r"[^/\w.\- :]")


def safe_key(name: str) -> str:
    """`name` as a key that MLflow takes; a name that is fine comes back as it is.

    A name that had to be changed ends in a digest of the original, so that two names never meet.
    """
    cleaned = _FORBIDDEN.sub("_", name)
    normal = posixpath.normpath(cleaned) if cleaned else "_"
    while normal.startswith(("/", "../")):
        normal = normal.removeprefix("..").lstrip("/")
    normal = "_" if normal in ("", ".", "..") else normal
    if normal == name and len(name) <= MAX_KEY:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{normal[: MAX_KEY - 9]}-{digest}"


def cut(text: str, limit: int) -> str:
    """`text` as it may be shown: without secrets of addresses, what acts on a terminal spelt out,
    and where it is longer than `limit` characters its beginning and a remark."""
    text = visible(redacted(text))
    return text if len(text) <= limit else text[: limit - len(CUT)] + CUT


def flatten(config: Mapping[str, Any]) -> dict[str, str]:
    """A nested configuration as MLflow parameters: dotted keys, values as JSON spells them, but for
    True and False, which people ask for as Python spells them.

    `{"optimizer": {"lr": 1e-4}, "loss": "hinge"}` becomes `optimizer.lr` = `0.0001` and
    `loss` = `hinge`. Lists stay one value; an empty mapping stays visible as `{}`.
    """
    return {safe_key(key): cut(_spell(value), MAX_PARAM) for key, value in _leaves(config, "")}


def _leaves(mapping: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _spell(value: Any) -> str:
    if isinstance(value, str | bool):
        return str(value)
    return json.dumps(value, default=str, ensure_ascii=False)
