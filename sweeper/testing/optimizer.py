"""What every optimiser promises: it goes downhill at the rate it is given, and can be resumed."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor, nn

from sweeper.testing.every_part import settings
from sweeper.testing.promises import Broken, promise, require
from sweeper.testing.tape import taken_down
from trials.optimization.optimizer import Optimizer

START = (1.0, -2.0, 0.5, 3.0)
CURVATURE = (1.0, 0.1, 10.0, 0.5)
"""½ Σ cᵢ xᵢ² is convex, and steeper in some directions than in others."""

STEPS = 20


@promise("optimizer")
def lowers_a_convex_function(optimizer: type[Optimizer], folder: Path) -> None:
    """With its defaults, step after step, from where it starts."""
    point, optimiser = _begun(optimizer, folder)
    before = float(_height(point))
    _descend(point, optimiser, STEPS)
    after = float(_height(point))
    require(after < before, f"leads from {before:.6g} to {after:.6g} in {STEPS} steps")


@promise("optimizer")
def resumes_bit_for_bit(optimizer: type[Optimizer], folder: Path) -> None:
    """Its state_dict, saved and loaded without executing anything, holds all it remembers."""
    point, optimiser = _begun(optimizer, folder)
    _descend(point, optimiser, STEPS)
    resumed, stopped = _begun(optimizer, folder)
    _descend(resumed, stopped, STEPS // 2)
    saved = io.BytesIO()
    torch.save((resumed.detach(), stopped.state_dict()), saved)
    saved.seek(0)
    where, state = torch.load(saved, weights_only=True)
    resumed, again = _begun(optimizer, folder)
    with torch.no_grad():
        resumed.copy_(where)
    again.load_state_dict(state)
    _descend(resumed, again, STEPS - STEPS // 2)
    require(torch.equal(resumed, point), "goes elsewhere when it is resumed")


@promise("optimizer")
def follows_the_rate_that_it_is_given(optimizer: type[Optimizer], folder: Path) -> None:
    """It starts at `lr`, which a decay then changes; at a rate of 0 it stands still."""
    point, optimiser = _begun(optimizer, folder)
    rate = optimizer(optimizer.Config.model_validate(settings(optimizer, folder))).rate(0.0)
    rates = {group["lr"] for group in optimiser.param_groups}
    require(rates == {rate}, f"starts at the rates {sorted(rates)}, not at {rate}")
    _descend(point, optimiser, 2)
    before = point.detach().clone()
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    _descend(point, optimiser, 2)
    require(torch.equal(point, before), "moves at a learning rate of 0")


@promise("optimizer")
def says_whether_a_step_of_it_can_be_captured(optimizer: type[Optimizer], folder: Path) -> None:
    """A CUDA graph could repeat its step, or `not_capturable` says why not."""
    if optimizer.not_capturable:
        return
    point, optimiser = _begun(optimizer, folder)
    _descend(point, optimiser, 4)
    repeated, again = _begun(optimizer, folder)
    _descend(repeated, again, 2)  # its memory is there afterwards
    try:
        taken_down(lambda: _descend(repeated, again, 1))()
    except RuntimeError as error:
        raise Broken(
            f"no graph could repeat its step ({error}): say so in `not_capturable`"
        ) from error
    require(torch.equal(repeated, point), "goes elsewhere when a graph repeats its step")


def _begun(optimizer: type[Optimizer], folder: Path) -> tuple[nn.Parameter, torch.optim.Optimizer]:
    """The point that is moved, and the optimiser that moves it."""
    point = nn.Parameter(torch.tensor(START))
    config = optimizer.Config.model_validate(settings(optimizer, folder))
    return point, optimizer(config).build([point])


def _height(point: Tensor) -> Tensor:
    return (torch.tensor(CURVATURE) * point.square()).sum() / 2


def _descend(point: nn.Parameter, optimiser: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimiser.zero_grad()
        torch.autograd.backward([_height(point)])
        optimiser.step()
