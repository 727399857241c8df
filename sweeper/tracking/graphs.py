"""A generator as a graph of torch's own operations: what is logged, and loads without this package.

    images = generator(z)              # a class that follows from z, where the GAN has classes
    images = generator(z, 3)           # all of class 3; or labels (N,)

`torch.export` traces it, so a generator is what it computes in evaluation mode, weights beside it.
The module that `torch.export` itself gives back raises from `.eval()` and `.train()`, which every
user of PyTorch calls first; so its graph goes into a plain `torch.fx.GraphModule`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim

EXAMPLES = 4
"""Batch size of the trace; torch.export keeps the first axis free only if it is not 1."""

_MIX = 2_654_435_761
_MIX_BITS = 20


class _WithLabels(nn.Module):
    """The traced generator of a GAN with classes, for which labels need not be given."""

    def __init__(self, traced: fx.GraphModule, classes: int) -> None:
        super().__init__()
        self.traced = traced
        self.classes = classes

    def forward(self, z: Tensor, labels: Tensor | int = -1) -> Tensor:
        # A hash of the bits of z: the same for the same z on every device, and next to
        # independent of what the generator makes of z.
        bits = z.float().contiguous().view(torch.int32).long()
        drawn = ((bits * _MIX).sum(1) >> _MIX_BITS) % self.classes
        given = torch.zeros_like(drawn) + labels
        images: Tensor = self.traced(z, torch.where(given < 0, drawn, given))
        return images


class _KeepTraced(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, fx.GraphModule)


def example_of(generator: Any) -> Tensor:
    """z to try a generator on, the same every time."""
    return torch.randn(EXAMPLES, generator.latent, generator=torch.Generator().manual_seed(0))


def as_graph(generator: Any) -> fx.GraphModule:
    """A module of torch's own classes that maps z (N, latent), and labels where there are
    `generator.classes`, to what `generator` makes of them.

    Raises:
        Exception: whatever torch raises where it cannot trace the generator.
    """
    classes = getattr(generator, "classes", 0)
    given: tuple[Tensor, ...] = (example_of(generator),)
    if classes:
        given = (*given, torch.zeros(EXAMPLES, dtype=torch.int64))
    free = tuple({0: Dim.AUTO} for _ in given)
    exported = torch.export.export(generator, given, dynamic_shapes=free).module(check_guards=False)
    traced = _plain(exported, exported.graph)
    if not classes:
        return traced
    whole = _WithLabels(traced, classes)
    return _plain(whole, _KeepTraced().trace(whole))


def _plain(module: nn.Module, traced: fx.Graph) -> fx.GraphModule:
    """A module of the weights of another one and a trace of it: one that takes tensors, gives one,
    and knows nothing of who has traced it, so that torch alone can load it."""
    graph = fx.Graph()
    images = graph.graph_copy(traced, {})
    graph.output(images[0] if isinstance(images, tuple) else images)
    for node in list(graph.nodes):
        node.type = None
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            graph.erase_node(node)  # of the types of the trace, which `.half()` changes
    return fx.GraphModule(module, graph).eval()
