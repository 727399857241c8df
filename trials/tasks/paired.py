"""What tasks share in which every sample has a true answer: the pairs, and how near they come.

At each evaluation the sampling network answers for up to `PAIRS` images, the held-out ones
where there are any; PSNR and SSIM against the truth are logged beside the FID.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from trials.data.dataset import to_unit
from trials.game import Game, Trial
from trials.metrics.pairs import psnr, ssim
from trials.problems import Problem
from trials.state.streams import stream
from trials.trick import Trick

PAIRS = 256
"""Images whose answers are compared with the truth at one evaluation."""


class PairedTask(Trick):
    """A task whose `condition` is made from the image that the generator should find."""

    group: ClassVar[str] = "task"
    slot: ClassVar[str] = "task"

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        shape = trial.shape()
        if shape is not None and len(shape) != 3:
            yield Problem("task", f"'{cls.key}' works on images, and these data are points")

    @torch.no_grad()
    def signals(self, game: Game) -> dict[str, float]:
        noise = stream(game.device, self.trial.seed, "pairs", game.step)
        truth = self._truth(game, noise)
        with game.as_sampled(game.sampling_network()) as network:
            z, labels = game.noise(len(truth), noise)
            condition = game.condition(truth, noise)
            images = game.generate(z, labels, condition, network).clamp(-1, 1)
        return {
            "psnr": float(psnr(images, truth).mean()),
            "ssim": float(ssim(images, truth).mean()),
        }

    def _truth(self, game: Game, noise: torch.Generator) -> Tensor:
        """The images to be found, (n, C, H, W) in [−1, 1]."""
        data, held_out = game.dataset, game.dataset.held_out
        source = held_out if held_out is not None and len(held_out) else data.images
        count = min(PAIRS, self.trial.evaluation.samples, len(source))
        chosen = torch.randperm(len(source), generator=noise, device=noise.device)[:count]
        return to_unit(source[chosen.to(source.device)].to(game.device))
