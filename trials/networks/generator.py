"""The generator as a module: stages in a row, and what conditions them.

A generator that works from z alone is a plain sequence. With labels, skip-z or a condition
image, each stage may read its own code, and the condition's feature maps are added at each size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trials.networks.layers.coded import Coded
from trials.networks.layers.factory import LayerFactory
from trials.networks.layers.virtual_batch import ReferenceBatch
from trials.networks.plan import GeneratorPlan


class ClassVector(nn.Module):
    """Class numbers (N,) → vectors (N, size): one-hot, or learned where `embedding` > 0."""

    identity: Tensor

    def __init__(self, make: LayerFactory, classes: int, embedding: int) -> None:
        super().__init__()
        self.size = embedding or classes
        self.table = make.embedding(classes, embedding) if embedding else None
        if self.table is None:
            self.register_buffer("identity", torch.eye(classes), persistent=False)

    def forward(self, labels: Tensor | None) -> Tensor:
        if labels is None:
            raise ValueError("this network is conditioned on classes: it needs labels")
        if self.table is not None:
            vectors: Tensor = self.table(labels)
            return vectors
        return functional.embedding(labels, self.identity)


class Conditioner(nn.Module):
    """(z, labels) → what the first stage reads, and one code for each stage.

    `concat` joins the class vector to z. `norm` joins it to every code. `skip_z` puts z in
    the codes: `whole`, or `split` in equal shares, of which the first stage reads one (with
    the remainder) and each block another (BigGAN, arXiv:1809.11096).
    """

    def __init__(self, plan: GeneratorPlan, stages: int) -> None:
        super().__init__()
        self.skip_z = plan.skip_z
        self.stages = stages
        self.conditioning = plan.conditioning
        self.classes = (
            ClassVector(LayerFactory(plan), plan.classes, plan.embedding)
            if plan.conditioning != "none"
            else None
        )
        label = self.classes.size if self.classes is not None else 0
        share = plan.latent // stages
        self.shares = [plan.latent - share * (stages - 1), *[share] * (stages - 1)]
        z_in_code = {"none": 0, "split": share, "whole": plan.latent}[plan.skip_z]
        entry = self.shares[0] if plan.skip_z == "split" else plan.latent
        self.entry = entry + (label if plan.conditioning == "concat" else 0)
        """Numbers that the first stage reads."""
        self.code = z_in_code + (label if plan.conditioning == "norm" else 0)
        """Numbers in each code; 0: there are no codes."""

    def forward(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Sequence[Tensor]]:
        """→ (N, entry), and `stages` times (N, code) or nothing."""
        entry, codes = z, self._latent_codes(z)
        if self.skip_z == "split":
            entry = z[:, : self.shares[0]]
        if self.classes is not None:
            label = self.classes(labels)
            if self.conditioning == "concat":
                entry = torch.cat([entry, label], 1)
            elif codes:
                codes = [torch.cat([label, code], 1) for code in codes]
            else:
                codes = [label] * self.stages
        return entry, codes

    def _latent_codes(self, z: Tensor) -> list[Tensor]:
        if self.skip_z == "whole":
            return [z] * self.stages
        if self.skip_z == "split":
            _, *blocks = torch.split(z, self.shares, 1)
            # The normalisation of the first stage, where it has one, shares its neighbour's.
            return [blocks[0], *blocks]
        return []


def conditioner_of(plan: GeneratorPlan, stages: int) -> Conditioner | None:
    """The plan's conditioner for so many stages (the head not counted), or None without need."""
    if plan.conditioning == "none" and plan.skip_z == "none":
        return None
    return Conditioner(plan, stages)


class Generator(nn.Module):
    """`stages`: the first reads z, the last makes the sample.

    `encoder` turns a condition image into feature maps, one for each of the first stages, from
    the coarsest; each is added to what its stage made.
    """

    def __init__(
        self,
        plan: GeneratorPlan,
        stages: Sequence[nn.Module],
        conditioner: Conditioner | None,
        encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conditioner = conditioner
        self.encoder = encoder
        self.stages = nn.Sequential(*stages)
        self.reference = ReferenceBatch() if plan.norm == "virtual_batch" else None

    def forward(
        self, z: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        """z (N, latent), labels (N,), condition (N, K, H/enlarge, W/enlarge) → samples.

        Labels and condition are needed where the plan conditions on them, ignored elsewhere.
        """
        if self.reference is None:
            return self._generate(z, labels, condition)
        inputs = (z, labels, condition)
        with self.reference.statistics(self, self._generate, inputs):
            return self._generate(z, labels, condition)

    def _generate(
        self, z: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        if self.conditioner is None and self.encoder is None:
            sample: Tensor = self.stages(z)
            return sample
        x, codes, maps = z, (), ()
        if self.conditioner is not None:
            x, codes = self.conditioner(z, labels)
        if self.encoder is not None:
            maps = self.encoder(condition)
        for index, stage in enumerate(self.stages):
            x = stage(x, codes[index]) if isinstance(stage, Coded) else stage(x)
            if index < len(maps):
                x = x + maps[index]
        return x
