"""What the loop sees of itself between two evaluations: losses, scores and gradient norms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trials.devices import PendingScalar
from trials.engine.composed_game import ComposedGame
from trials.game import Round, Terms


class Probe:
    """Running means by name since the last `take`, kept on the device, and whether every
    number that was looked at is finite (`healthy`): scores, and gradients, or where those are
    scaled the scale that keeps them so.

    Looking copies nothing to the host. Whether all is well it learns one look later, at `turn`,
    when the device has long got there; `settle` waits for what is known by now.
    """

    def __init__(self, game: ComposedGame) -> None:
        self._game = game
        self._means = RunningMeans()
        self._begin(True)

    def _begin(self, healthy: bool) -> None:
        self.healthy = healthy
        self._finite = torch.tensor(healthy, device=self._game.device)
        self._asked: PendingScalar | None = None

    def terms(self, player: str, terms: Terms) -> None:
        """Note a player's loss terms; does not wait for the device."""
        self.note({f"loss/{player}/{name}": term for name, term in terms.items()})

    def note(self, values: Mapping[str, Tensor]) -> None:
        """Note scalars by name; does not wait for the device."""
        self._means.add(values)
        names = tuple(values)
        self._game.host.count(lambda: self._means.count(names))

    @torch.no_grad()
    def discriminator(self, round: Round) -> None:
        """Look at the scores of a round and at the gradients that its step was taken on."""
        r, f, border = round.r, round.f, self._game.border(round)
        norm = gradient_norm(self._game.discriminator)
        self.note(
            {
                "score/real": r.mean(),
                "score/fake": f.mean(),
                "score/largest": torch.maximum(r.abs().max(), f.abs().max()),
                "accuracy/real": (r > border).float().mean(),
                "accuracy/fake": (f < border).float().mean(),
                "gradient_norm/discriminator": norm,
            }
        )
        self._look(torch.isfinite(r.sum() + f.sum()))
        self._look(self._bounded("discriminator", norm))

    def generator(self) -> None:
        """Look at the gradients that the generator's step was taken on."""
        norm = gradient_norm(self._game.generator)
        self.note({"gradient_norm/generator": norm})
        self._look(self._bounded("generator", norm))

    def _look(self, well: Tensor) -> None:
        self._finite.logical_and_(well)

    def _bounded(self, player: str, norm: Tensor) -> Tensor:
        """Whether a player can learn from its gradients. Where losses are scaled, one that is not
        finite leaves its step out, and is a bad sign only where that has no end."""
        arithmetic = self._game.arithmetic
        scaled = player in arithmetic.scalers
        return arithmetic.has_scale(player) if scaled else torch.isfinite(norm)

    def turn(self) -> None:
        """After a round that was looked at: what the one before it has shown is known now."""
        if self._asked is not None:
            self.healthy = self._asked.result()
        self._asked = PendingScalar(self._finite.clone())  # as it is now

    def settle(self) -> None:
        """Wait for all that has been looked at."""
        self.healthy = PendingScalar(self._finite).result()
        self._asked = None

    def take(self) -> dict[str, float]:
        """The means since the last time, and each layer's gradient norm in the last step."""
        metrics = self._means.take()
        for player in ("generator", "discriminator"):
            norms = layer_gradient_norms(getattr(self._game, player))
            metrics |= {f"gradient_norm/{player}/{layer}": norm for layer, norm in norms.items()}
        return metrics

    def state(self) -> dict[str, Any]:
        """The means as far as they are, and whether all is well."""
        self.settle()
        return {"meter": self._means.state(), "healthy": self.healthy}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self._means.load_state(state["meter"], self._game.device)
        self._begin(state["healthy"])


class RunningMeans:
    """Means of scalar tensors by name. Adding does not wait for the device, and each sum stays
    where it is: a graph adds to it there."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one scalar tensor to each name's sum."""
        for name, value in values.items():
            value = value.detach()
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value)
            self._sums[name].add_(value)

    def count(self, names: Iterable[str]) -> None:
        """Count what has been added."""
        for name in names:
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means so far; then start over."""
        sums = [self._sums[name] for name in self._counts]
        totals = zip(self._counts.items(), read(sums), strict=True)
        means = {name: total / count for (name, count), total in totals}
        for total in sums:
            total.zero_()
        self._counts = {}
        return means

    def state(self) -> dict[str, Any]:
        """Sums and counts."""
        sums = {name: self._sums[name].clone() for name in self._counts}
        return {"sums": sums, "counts": dict(self._counts)}

    def load_state(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take back what `state` gave."""
        sums: Mapping[str, Tensor] = state["sums"]
        self._sums = {name: total.to(device, copy=True) for name, total in sums.items()}
        self._counts = dict(state["counts"])


def read(scalars: Iterable[Tensor]) -> list[float]:
    """The values of scalar tensors, copied to the host at once."""
    values = [scalar.double() for scalar in scalars]
    numbers: list[float] = torch.stack(values).tolist() if values else []
    return numbers


def gradient_norm(network: nn.Module) -> Tensor:
    """‖∇θ‖₂ over all weights whose gradient is there, a scalar."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    if not gradients:
        return torch.zeros((), device=next(network.parameters()).device)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def layer_gradient_norms(network: nn.Module) -> dict[str, float]:
    """‖∇θ‖₂ of each layer by its name in the network."""
    norms = {
        name: torch.linalg.vector_norm(parameter.grad)
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    squares: dict[str, float] = {}
    for name, norm in zip(norms, read(norms.values()), strict=True):
        layer = name.replace(".parametrizations.weight.original", "").rsplit(".", 1)[0]
        squares[layer] = squares.get(layer, 0.0) + norm**2
    return {layer: total**0.5 for layer, total in squares.items()}
