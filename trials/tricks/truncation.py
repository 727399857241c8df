"""The truncation trick (Brock et al. 2018, arXiv:1809.11096, section 3.1). Source: 000.

    samples are drawn from z with |z| ≤ threshold: numbers beyond it are drawn again, or clamped

Sampling only: training keeps the whole distribution. Lower thresholds trade variety (recall, FID)
for fidelity (precision); ``benchmarks/truncation.py`` draws that curve.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from trials.config import TrialConfig
from trials.game import Game
from trials.problems import Problem
from trials.trick import Sample, Trick, TrickConfig, knob

ROUNDS = 64
"""Redraws before what is left is clamped: at threshold 0.1 less than one number in 200 is left."""


def truncated(
    z: Tensor, threshold: float, mode: Literal["resample", "clamp"], noise: torch.Generator
) -> Tensor:
    """z with no number beyond the threshold, same shape."""
    if mode == "resample":
        for _ in range(ROUNDS):
            beyond = z.abs() > threshold
            if not bool(beyond.any()):
                return z
            fresh = torch.randn(z.shape, generator=noise, device=z.device, dtype=z.dtype)
            z = torch.where(beyond, fresh, z)
    return z.clamp(-threshold, threshold)


class Truncation(Trick):
    """Samples from the middle of the latent distribution."""

    key = "truncation"
    group = "dynamics"
    summary = "samples from z without its tails: more fidelity, less variety"
    formula = "z_i redrawn or clamped where |z_i| > threshold"
    paper = "Brock et al. 2018, arXiv:1809.11096"
    source = "000"
    order = 50
    conflicts = {"infogan": "its codes are part of z and have no tails to cut"}

    class Config(TrickConfig):
        threshold: float = knob(1.0, "largest |z|", gt=0, le=10, search={"min": 0.3, "max": 2.0})
        mode: Literal["resample", "clamp"] = knob("resample", "draw again, or clamp")

    @classmethod
    def check(cls, config: Any, trial: TrialConfig) -> Iterable[Problem]:
        if trial.latent.distribution != "normal":
            yield Problem("tricks.truncation", "cuts the tails of normal z, and this z is uniform")

    def sampler(self, game: Game, sample: Sample, noise: torch.Generator) -> Sample:
        def cut(z: Tensor, labels: Tensor | None) -> Tensor:
            return sample(truncated(z, self.config.threshold, self.config.mode, noise), labels)

        return cut
