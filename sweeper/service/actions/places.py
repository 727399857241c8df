"""Files and addresses that a sweep file names: those that the server may read, and no others.

A sweep is run by the server's own user, so its file may name data and weights only where whoever
started the server has said so. What is elsewhere is refused before anything of it is looked at:
not even whether it exists is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeper.service.settings import ServiceSettings
from sweeper.sweepfile.document import Document
from sweeper.sweepfile.document import Path as Keys
from trials import presets
from trials.problems import nearest
from trials.roles import names_file, paths_of

_SECTIONS = ("base", "parameters", "ablation")
_SHOWN = 12
"""Names below a root that an answer lists."""


def check_places(document: Document, settings: ServiceSettings) -> None:
    """Add a problem to the document for every file or address in it that the server may not read,
    and for an MLflow of its own."""
    root = document.root
    if not isinstance(root, Mapping):
        return
    files = set(_files_in(root))
    for path, text in document.texts():
        if path[:1] and path[0] in _SECTIONS and (path in files or _is_place(text)):
            _check(document, path, text, settings)
    tracking = root.get("tracking")
    if isinstance(tracking, Mapping) and tracking.get("uri") is not None:
        document.add(
            ("tracking", "uri"),
            "this server records every sweep in its own MLflow",
            "no such setting",
        )


def is_visible(text: str, settings: ServiceSettings) -> bool:
    """Whether the server may read what this names: a path below one of its roots, or an address
    below one of its stores."""
    if "://" in text:
        return any(_is_below(text, store) for store in settings.stores)
    try:
        path = Path(text)
        if not path.is_absolute() or ".." in path.parts:
            return False
        real = path.resolve()
        return any(real.is_relative_to(root.resolve()) for root in settings.roots)
    except (OSError, ValueError, RuntimeError):
        return False


def _check(document: Document, path: Keys, text: str, settings: ServiceSettings) -> None:
    if is_visible(text, settings):
        return
    if "://" in text:
        stores = " or ".join(settings.stores)
        expected = f"an address below {stores}" if stores else "no address: it names no store"
        document.add(path, "is an address that this server does not read from", expected)
        return
    names = [name for root in settings.roots for name in _names_below(root)]
    document.add(
        path,
        "is not among the files that this server can see",
        _expected(settings),
        nearest(text.rstrip("/").rpartition("/")[2], names),
    )


def _expected(settings: ServiceSettings) -> str:
    """What there is instead: the roots, with the names below them."""
    if not settings.roots:
        return "no files: it was started without --root, so it has digits, ring and grid"
    shown = []
    for root in settings.roots:
        names = _names_below(root)
        more = ", …" if len(names) > _SHOWN else ""
        shown.append(f"{root} ({', '.join(names[:_SHOWN]) or 'empty'}{more})")
    return "the whole path of something below " + " or ".join(shown)


def _names_below(root: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def _is_below(address: str, store: str) -> bool:
    begins = address.startswith(store) and (store.endswith("/") or address[len(store) :][:1] == "/")
    rest = address[len(store) :].replace("\\", "/").split("/")
    return (begins or address == store) and not {"..", ".", "%2e%2e"} & {p.lower() for p in rest}


def _is_place(text: str) -> bool:
    """Whether a text can hardly be anything but a path or an address."""
    return text.startswith(("/", "~")) or "://" in text or ".." in text.split("/")


def _files_in(root: Mapping[str, Any]) -> Iterator[Keys]:
    """Where the file names files: settings that are paths, in the base and among values."""
    given = root.get("base")
    base = presets.expand(given, look=False)[0] if isinstance(given, Mapping) else {}
    yield from (("base", *keys) for keys in paths_of(base))
    parameters = root.get("parameters")
    for name, domain in parameters.items() if isinstance(parameters, Mapping) else ():
        values = domain.get("values") if isinstance(domain, Mapping) else None
        for place, value in enumerate(values if isinstance(values, list) else ()):
            at = ("parameters", name, "values", place)
            if isinstance(value, str) and names_file(name):
                yield at
            keys = tuple(name.split("."))
            for found in paths_of(_with(base, keys, value)):
                if found[: len(keys)] == keys:
                    yield (*at, *found[len(keys) :])


def _with(mapping: Mapping[str, Any], keys: Sequence[str | int], value: Any) -> dict[str, Any]:
    """`mapping` with the value at these keys."""
    first, *rest = map(str, keys)
    if not rest:
        return {**mapping, first: value}
    below = mapping.get(first)
    return {**mapping, first: _with(below if isinstance(below, Mapping) else {}, rest, value)}
