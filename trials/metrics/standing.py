"""Standing statistics: batch normalisation set by many seeded batches before sampling.

The running averages of a generator trained with small batches, or with averaged weights, may
belong to no generator at all. Standing statistics are those of the weights that are sampled: the
running mean and variance of each normalisation layer become the plain average over `batches`
forward passes in training mode.

Paper: Brock, Donahue and Simonyan 2019 (BigGAN), arXiv:1809.11096, appendix B. Reference
implementation: ajbrock/BigGAN-PyTorch, `accumulate_standing_stats`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def _normalisers(module: nn.Module) -> list[Any]:
    """The layers that keep running statistics with a momentum, torch's own or built alike."""
    return [
        layer
        for layer in module.modules()
        if isinstance(getattr(layer, "running_mean", None), Tensor) and hasattr(layer, "momentum")
    ]


@contextmanager
def standing_statistics(
    module: nn.Module, run: Callable[[int], object], batches: int
) -> Iterator[None]:
    """Inside the block `module` is in eval mode with standing statistics; after it, as before.

    `run(i)` performs the i-th forward pass, i = 0 … `batches` − 1, with inputs that it draws
    from its own seed. Weights, buffers, momenta and modes are restored exactly. Layers other than
    normalisation stay in eval mode throughout.
    """
    layers = _normalisers(module)
    training = {part: part.training for part in module.modules()}
    buffers = {
        buffer: buffer.clone() for layer in layers for buffer in layer.buffers(recurse=False)
    }
    momenta = [layer.momentum for layer in layers]
    try:
        module.eval()
        for layer in layers:
            layer.train()
        with torch.no_grad():
            for index in range(batches):
                # Weight 1/i for the i-th batch: the first replaces, the rest average equally.
                for layer in layers:
                    layer.momentum = 1 / (index + 1)
                run(index)
        module.eval()
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        with torch.no_grad():
            for buffer, saved in buffers.items():
                buffer.copy_(saved)
        for part, mode in training.items():
            part.training = mode
