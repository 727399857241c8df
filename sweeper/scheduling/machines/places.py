"""Where a worker trains: which machine, which part of it for Ray, and which GPUs of it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Place:
    """`machine` is its name, `node` Ray's id of it: several may stand for one machine, as on a
    laptop that plays a cluster. `gpus` are those that Ray has given the worker, by the numbers that
    they have there. All of it is empty where it is not known."""

    machine: str = ""
    node: str = ""
    gpus: tuple[str, ...] = ()

    @classmethod
    def here(cls, node: str = "", gpus: Sequence[str] = ()) -> Self:
        """That of this process."""
        return cls(platform.node(), node, tuple(gpus))

    @property
    def device(self) -> str:
        """What a trial has of its machine, in words."""
        if not self.gpus:
            return self.machine
        named = "GPU" if len(self.gpus) == 1 else "GPUs"
        return f"{named} {' and '.join(self.gpus)} of {self.machine}"

    def shares(self, other: Self) -> bool:
        """Whether a worker there has the same device, or the same machine where none has a GPU."""
        if not self.node or self.node != other.node:
            return False
        return self.gpus == other.gpus or not set(self.gpus).isdisjoint(other.gpus)

    def text(self) -> str:
        """As lines of text."""
        return "\n".join((self.machine, self.node, *self.gpus))

    @classmethod
    def read(cls, text: str) -> Self:
        """What `text` gave, read back."""
        machine, _, rest = text.partition("\n")
        node, _, gpus = rest.partition("\n")
        return cls(machine, node, tuple(gpus.splitlines()))
