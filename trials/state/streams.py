"""Randomness, one stream a purpose, so that changing one use never shifts another.

`weights`: initial weights. `data`: order of the training data. `noise`: latent vectors and
labels of generated samples. `augmentation`: everything random that tricks do to images.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch

NAMES = ("data", "noise", "augmentation")


def derive(seed: int, *purpose: str | int) -> int:
    """A seed of 63 bits for a purpose, from the trial's seed: stable across versions."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(device: torch.device | str, seed: int, *purpose: str | int) -> torch.Generator:
    """A fresh generator on `device` for one purpose."""
    return torch.Generator(device).manual_seed(derive(seed, *purpose))


class Streams:
    """The streams that training consumes; those of evaluation are made fresh each time."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.data = stream("cpu", seed, "data")
        self.noise = stream(device, seed, "noise")
        self.augmentation = stream(device, seed, "augmentation")

    def state(self) -> dict[str, Any]:
        """Exact states, and that of torch's own generator, which dropout draws from."""
        states: dict[str, Any] = {name: getattr(self, name).get_state() for name in NAMES}
        states["global"] = torch.get_rng_state()
        if self.noise.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.noise.device)
        return states

    def load_state(self, states: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken."""
        for name in NAMES:
            getattr(self, name).set_state(states[name])
        torch.set_rng_state(states["global"])
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.noise.device)
