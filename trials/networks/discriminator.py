"""The discriminator as a module: a trunk that makes features, and what is read off them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from trials.networks.generator import ClassVector
from trials.networks.layers.exact import whole
from trials.networks.layers.factory import LayerFactory
from trials.networks.layers.virtual_batch import ReferenceBatch
from trials.networks.plan import DiscriminatorPlan, Judgement

NO_HEADS: Mapping[str, Tensor] = MappingProxyType({})


class LabelledInput(nn.Module):
    """Joins class vectors to the input: as constant maps to images, as columns to points."""

    def __init__(self, plan: DiscriminatorPlan) -> None:
        super().__init__()
        self.classes = ClassVector(LayerFactory(plan), plan.classes, plan.embedding)
        self.channels = self.classes.size

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        vectors = self.classes(labels)
        if x.dim() > 2:
            vectors = vectors[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return torch.cat([x, vectors], 1)


def labelled_input(plan: DiscriminatorPlan) -> LabelledInput | None:
    """The plan's label maps, or None where it does not join labels to the input."""
    return LabelledInput(plan) if plan.conditioning == "concat" else None


def input_channels(plan: DiscriminatorPlan, entry: LabelledInput | None) -> int:
    """Channels (or columns) that the first layer reads: packed samples, then label maps."""
    return plan.shape[0] * plan.pack + (entry.channels if entry is not None else 0)


def refinements(
    plan: DiscriminatorPlan, make: LayerFactory, features: int
) -> tuple[list[nn.Module], int]:
    """The plan's `after_features` in a row, and the number of features that come out."""
    modules = []
    for insert in plan.after_features:
        module, features = insert(features)
        modules.append(make.adopt(module, 1))
    return modules, features


def heads_of(plan: DiscriminatorPlan, make: LayerFactory, features: int) -> nn.ModuleDict:
    """The plan's further outputs, each a linear layer on the features."""
    return nn.ModuleDict(
        {name: make.linear(features, size, last=True) for name, size in plan.heads.items()}
    )


def read_heads(heads: nn.ModuleDict, features: Tensor) -> Mapping[str, Tensor]:
    """Each head's output (N, k) by name."""
    return {name: head(features) for name, head in heads.items()} if heads else NO_HEADS


class Discriminator(nn.Module):
    """`trunk`: (N, channels, …) → (N, features); then one score, and further heads.

    With `projection` (arXiv:1802.05637) the score is ψ(h) + ⟨V y, h⟩.
    """

    def __init__(
        self,
        plan: DiscriminatorPlan,
        make: LayerFactory,
        entry: LabelledInput | None,
        trunk: list[nn.Module],
        features: int,
    ) -> None:
        super().__init__()
        self.entry = entry
        refined, features = refinements(plan, make, features)
        self.trunk = nn.Sequential(*trunk, *refined)
        self.score = make.linear(features, 1, bias=make.biased(normalised=False), last=True)
        projects = plan.conditioning == "projection"
        self.projection = make.embedding(plan.classes, features, last=True) if projects else None
        self.heads = heads_of(plan, make, features)
        self.reference = ReferenceBatch() if plan.norm == "virtual_batch" else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Judgement:
        """x (N, pack·C, H, W) or (N, pack·D), labels (N,) where the plan conditions on them."""
        if self.reference is None:
            return self._judge(x, labels)
        with self.reference.statistics(self, self._judge, (x, labels)):
            return self._judge(x, labels)

    def _judge(self, x: Tensor, labels: Tensor | None = None) -> Judgement:
        if self.entry is not None:
            x = self.entry(x, labels)
        features = whole(self.trunk(x))
        score = self.score(features).squeeze(1)
        if self.projection is not None:
            if labels is None:
                raise ValueError("a discriminator with projection needs labels")
            score = score + (self.projection(labels) * features).sum(1)
        return Judgement(score, features, read_heads(self.heads, features))
