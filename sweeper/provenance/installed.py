"""Every distribution that is installed here, as lines that pip takes."""

from __future__ import annotations

import functools
import json
import re
import sys
import sysconfig
from email import message_from_string
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from sweeper.secrets import redacted
from trials.distributions import canonical

_LINE = re.compile(r"(?:# )?([A-Za-z0-9._-]+)(?:==| @ )([^\s,]+).*")


@functools.cache
def requirements() -> str:
    """The text of a `requirements.txt` of this Python, sorted; in a process it is looked for once.

    What came from an address has that address, without a secret; what was installed from a folder,
    which may be gone or changed elsewhere, is a comment.
    """
    lines: dict[str, str] = {}
    for found in distributions(path=_places()):
        name, version = _called(found)
        if name:  # what a broken installation has left has none
            lines.setdefault(canonical(name), _line(found, name, version))
    return "".join(f"{lines[name]}\n" for name in sorted(lines))


def pinned(text: str) -> dict[str, str]:
    """Canonical name → version, or address, as the lines of `requirements` have it."""
    found = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {canonical(match[1]): match[2] for match in found if match}


def changed(then: str, now: str) -> dict[str, tuple[str, str]]:
    """The distributions whose versions are not the same, each with both; of one that is not there
    the version is empty."""
    before, here = pinned(then), pinned(now)
    names = sorted(before.keys() | here.keys())
    both = {name: (before.get(name, ""), here.get(name, "")) for name in names}
    return {name: versions for name, versions in both.items() if versions[0] != versions[1]}


def _places() -> list[str]:
    """Where this Python looks for what is installed; not the folders inside those in which a
    package keeps others of its own, as Ray does."""
    sites = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return [
        place
        for place in sys.path
        if not any(Path(place) != Path(site) and Path(place).is_relative_to(site) for site in sites)
    ]


def _called(found: Distribution) -> tuple[str, str]:
    """Its name and version. `found.name` and `found.version` each parse all that is written about
    it anew, with its long description: of two hundred distributions, a quarter of a second."""
    about = found.read_text("METADATA") or found.read_text("PKG-INFO") or found.read_text("") or ""
    head = message_from_string(about.partition("\n\n")[0])
    return str(head["Name"] or ""), str(head["Version"])


def _line(found: Distribution, name: str, version: str) -> str:
    origin = _origin(found)
    address = redacted(str(origin.get("url", "")))
    if not address:
        return f"{name}=={version}"
    control = origin.get("vcs_info")
    if isinstance(control, dict):
        return f"{name} @ {control.get('vcs')}+{address}@{control.get('commit_id')}"
    if address.startswith("file:"):
        return f"# {name}=={version}, from {address}"
    return f"{name} @ {address}"


def _origin(found: Distribution) -> dict[str, Any]:
    """What the installer has noted of where it came from, if anything."""
    try:
        noted = json.loads(found.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}
