"""What the networks of a training compute in: the settings, and what follows from them.

Mixed precision (autocast). In bfloat16 or float16 activations take half the memory, and hardware
that supports these types is several times as fast. Only convolutions and linear maps use them.
Weights, their moments and averages, losses, penalties and whatever is differentiated twice,
statistics, softmaxes, power iterations and the last layer of either player stay in float32
(`trials.networks.layers.exact`), and so does every network that is evaluated: how a generator is
measured does not depend on how it was trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from trials.settings import Settings

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

LEAST_SCALE = 2.0**-14
"""A scale below this would be asked for by gradients beyond 10⁹: it has been halved 31 times from
where it begins, because they are not finite whatever they are multiplied by."""


class PrecisionConfig(Settings):
    """What the networks compute in while they train."""

    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="of convolutions and linear maps; float16 scales its losses"
    )
    tf32: bool = Field(
        default=False, description="float32 may lose 13 of its bits on NVIDIA's tensor cores"
    )
    channels_last: bool = Field(
        default=False, description="channels lie beside each other in memory, as tensor cores like"
    )


@contextmanager
def multiplied(tf32: bool) -> Iterator[None]:
    """Inside, NVIDIA's GPUs multiply float32 so, in the whole process, and afterwards as before."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    if before == (tf32, tf32):  # nothing to turn under the feet of another thread
        yield
        return
    multiply(tf32)
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def multiply(tf32: bool) -> None:
    """From now on NVIDIA's GPUs multiply float32 so, in the whole process.

    By torch's older switches, which turn the newer ones too: where only those were turned, torch
    refuses to say what holds, to `cudnn.flags` and to its compiler.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32


class Arithmetic:
    """The precision of one training on one device."""

    def __init__(self, precision: PrecisionConfig, device: torch.device) -> None:
        self._precision = precision
        self._device = device
        self._exact = precision.dtype == "float32"
        self.scalers: dict[str, torch.amp.GradScaler] = {}
        """By player where losses are scaled, so that small gradients do not vanish in float16."""
        if precision.dtype == "float16":
            for player in ("generator", "discriminator"):
                self.scalers[player] = torch.amp.GradScaler(device.type)

    def placed(self, network: nn.Module) -> nn.Module:
        """A new network on the device, its weights laid out as they are asked for."""
        if self._precision.channels_last:
            return network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
        return network.to(self._device)

    def networks(self) -> AbstractContextManager[Any]:
        """Inside, networks compute in the trial's precision; not around losses."""
        if self._exact:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=DTYPES[self._precision.dtype])

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Inside, networks compute in float32."""
        before, self._exact = self._exact, True
        try:
            yield
        finally:
            self._exact = before

    def steps(self) -> AbstractContextManager[None]:
        """Inside, a GPU multiplies float32 as the trial says, and afterwards as before: extractors
        and other trainings in this process have their own way."""
        return multiplied(self._precision.tf32) if self._device.type == "cuda" else nullcontext()

    def descend(self, player: str, loss: Tensor) -> None:
        """Add the gradients of a player's loss, a scalar, to those of its weights."""
        scaler = self.scalers.get(player)
        (loss if scaler is None else scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]

    def step(self, player: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Let a player's optimiser take its step on the gradients that are there.

        A step whose scaled gradients overflow is left out, and the scale halved: 1, or 0, under
        `skipped/PLAYER`. Nothing is returned where losses are not scaled.
        """
        scaler = self.scalers.get(player)
        if scaler is None:
            optimizer.step()
            return {}
        before = self._scale(scaler)
        scaler.unscale_(optimizer)  # before: whoever looks at gradients sees them as they are
        scaler.step(optimizer)
        scaler.update()
        return {f"skipped/{player}": (self._scale(scaler) < before).float()}

    def has_scale(self, player: str) -> Tensor:
        """Whether there may be a scale, a scalar, at which a player's gradients are finite; only
        where losses are scaled."""
        return self._scale(self.scalers[player]) >= LEAST_SCALE

    def _scale(self, scaler: torch.amp.GradScaler) -> Tensor:
        """The scale where it lies: `get_scale` would wait for the device."""
        return scaler.scale(torch.ones((), device=self._device))

    def abandon(self, player: str) -> None:
        """A step of a player was begun that was not taken: its gradients count as scaled again."""
        if scaler := self.scalers.get(player):
            state = scaler.state_dict()
            scaler = self.scalers[player] = torch.amp.GradScaler(self._device.type)
            scaler.load_state_dict(state)

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold: nothing where no loss is scaled."""
        scales = {player: scaler.state_dict() for player, scaler in self.scalers.items()}
        return {"scalers": scales} if scales else {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        for player, scaler in self.scalers.items():
            scaler.load_state_dict(state["scalers"][player])
