"""The truncation trick (Brock et al. 2018, arXiv:1809.11096, section 3.1).

    samples are drawn from z with |z| ≤ threshold: numbers beyond it are drawn again, or clamped

Sampling only: training keeps the whole distribution. Lower thresholds trade variety (recall, FID)
for fidelity (precision); `benchmarks/truncation.py` draws that curve.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from trials.game import Sample, Trial
from trials.part import PartConfig, knob
from trials.problems import Problem
from trials.trick import Trick


def truncated(z: Tensor, threshold: float, mode: Literal["resample", "clamp"]) -> Tensor:
    """Normal z with no number beyond the threshold, same shape.

    `resample` keeps the numbers within it and maps those beyond into it, so that all have the
    truncated normal's distribution, as if they were drawn again until they fit. How far out in its
    tail a number was is what it is drawn again by: a z has one truncated z, in whichever batch it
    comes and at whatever threshold.
    """
    if mode == "resample":
        limit = math.erfc(threshold / math.sqrt(2)) / 2  # the chance of less than −threshold
        # Half precision has no quantiles. Copies, not casts: a traced generator has whatever
        # precision it is given later.
        exact = z.to(torch.promote_types(z.dtype, torch.float32), copy=True)
        tail = torch.special.ndtr(-exact.abs()) / (2 * limit)  # uniform in (0, ½) beyond it
        chance = torch.where(z < 0, tail, 1 - tail)
        fresh = torch.special.ndtri(limit + chance * (1 - 2 * limit))
        z = torch.where(z.abs() > threshold, torch.empty_like(z).copy_(fresh), z)
    return z.clamp(-threshold, threshold)


class Truncation(Trick):
    """Samples from the middle of the latent distribution."""

    key = "truncation"
    group = "dynamics"
    summary = "samples from z without its tails: more fidelity, less variety"
    formula = "z_i redrawn or clamped where |z_i| > threshold"
    paper = "Brock et al. 2018, arXiv:1809.11096"
    order = 50
    conflicts = {"infogan": "its codes are part of z and have no tails to cut"}

    class Config(PartConfig):
        threshold: float = knob(1.0, "largest |z|", gt=0, le=10, search={"min": 0.3, "max": 2.0})
        mode: Literal["resample", "clamp"] = knob("resample", "draw again, or clamp")

    @classmethod
    def check(cls, config: Any, trial: Trial) -> Iterable[Problem]:
        if trial.latent.distribution != "normal":
            yield Problem("tricks.truncation", "cuts the tails of normal z, and this z is uniform")

    def sampler(self, sample: Sample) -> Sample:
        def cut(z: Tensor, labels: Tensor | None) -> Tensor:
            return sample(truncated(z, self.config.threshold, self.config.mode), labels)

        return cut
