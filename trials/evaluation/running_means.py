"""Running means of what the loop sees between two evaluations, kept on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Meter:
    """Means by name since the last :meth:`take`. Adding does not wait for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, prefix: str, values: Mapping[str, Tensor]) -> None:
        """Add one scalar tensor to each name's mean."""
        for key, value in values.items():
            name = prefix + key
            value = value.detach()
            if name in self._sums:
                self._sums[name] = self._sums[name] + value
                self._counts[name] += 1
            else:
                self._sums[name] = value
                self._counts[name] = 1

    def take(self) -> dict[str, float]:
        """The means, and start anew."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means

    def state(self) -> dict[str, Any]:
        """Sums and counts."""
        return {"sums": self._sums, "counts": self._counts}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Take back what :meth:`state` gave."""
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}
        self._counts = dict(state["counts"])


def gradient_norm(network: nn.Module) -> Tensor:
    """‖∇θ‖₂ over all weights whose gradient is there, a scalar."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def layer_gradient_norms(network: nn.Module) -> dict[str, float]:
    """‖∇θ‖₂ of each layer by its name in the network."""
    squares: dict[str, float] = {}
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            layer = name.replace(".parametrizations.weight.original", "").rsplit(".", 1)[0]
            norm = float(torch.linalg.vector_norm(parameter.grad))
            squares[layer] = squares.get(layer, 0.0) + norm**2
    return {layer: total**0.5 for layer, total in squares.items()}
