"""The kinds of part that the service has, and where the base class of each stands.

A sweep file is read on the ground floor, and what it can choose stands in rooms above, built on
what was read: a sampler is given the whole sweep. So the reader must not import them. It asks here
for the base class of a kind by name, at the moment when a file is read, and finds through it
whatever is registered; a room that is never asked for is never imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

BASES: Mapping[str, str] = {
    "ablation design": "sweeper.ablation.design_kind:DesignKind",
    "table format": "sweeper.ablation.table_format:TableFormat",
    "sampler": "sweeper.search.sampler:Sampler",
    "stopping rule": "sweeper.search.stopping_rule:StoppingRule",
}
"""Kind → module and class of its base."""


def base_of(kind: str) -> Any:
    """The base class of a kind of part, whose `all` and `named` give the parts.

    Of any type, for those who ask are below the room that has it.

    Raises:
        KeyError: the service has no such kind.
    """
    module, _, name = BASES[kind].partition(":")
    return getattr(importlib.import_module(module), name)
