"""The kinds of part that the service has, and where the base class of each stands.

A sweep file is read on the ground floor, and what it can choose stands in rooms above, built on
what was read: a sampler is given the whole sweep. So the reader must not import them. It asks here
for the base class of a kind by name, at the moment when a file is read, and finds through it
whatever is registered; a room that is never asked for is never imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from trials.part import Part

BASES: Mapping[str, str] = {
    "sampler": "sweeper.search.sampler:Sampler",
}
"""Kind → module and class of its base."""


def base_of(kind: str) -> type[Part]:
    """The base class of a kind of part, whose `all` and `named` give the parts.

    Raises:
        KeyError: the service has no such kind.
    """
    module, _, name = BASES[kind].partition(":")
    base: type[Part] = getattr(importlib.import_module(module), name)
    return base
