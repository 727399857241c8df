"""Weight matrices of a network, as penalties and norms see them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

LAYERS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)


def weight_matrices(network: nn.Module, *, embeddings: bool = True) -> Iterator[Tensor]:
    """The weight of each convolution, linear map and, if `embeddings`, embedding as a matrix
    (outputs, inputs).

    Kernels are flattened into the inputs; a transposed convolution keeps its outputs second, and
    is turned round. Parametrised weights (spectral norm) come as they act, frozen ones not at all.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Embedding) and not embeddings:
            continue
        if isinstance(layer, LAYERS) and any(p.requires_grad for p in layer.parameters()):
            weight: Tensor = layer.weight
            if isinstance(layer, nn.ConvTranspose2d):
                weight = weight.transpose(0, 1)
            yield weight.flatten(1)
