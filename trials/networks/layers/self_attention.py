"""Self-attention over the places of a feature map (SAGAN, Zhang et al., arXiv:1805.08318).

::

    β_ji = softmax_i f(x_i)ᵀ g(x_j),   o_j = v(Σ_i β_ji h(x_i)),   y = γ o + x

f, g, h, v are 1×1 convolutions and γ starts at 0, so that the layer starts as the identity. As in
the authors' code, and unlike the paper's text, keys and values are max-pooled to a quarter of
the places, h has C/2 channels, and the convolutions have no biases; f and g have C/8.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trials.networks.layers.exact import exact


class SelfAttention(nn.Module):
    """(N, C, H, W) → the same; H and W even."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, narrow, 1, bias=False)
        self.key = nn.Conv2d(channels, narrow, 1, bias=False)
        self.value = nn.Conv2d(channels, half, 1, bias=False)
        self.out = nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)
        key = functional.max_pool2d(self.key(x), 2).flatten(2)
        value = functional.max_pool2d(self.value(x), 2).flatten(2)
        attended = torch.bmm(value, self._weights(query, key).transpose(1, 2))
        # shape[0], not len, which a trace would fix
        out = self.out(attended.view(x.shape[0], -1, *x.shape[2:]))
        return torch.addcmul(x, self.gamma, out)

    @exact  # logits, which grow with the square of x, leave float16's range before x does
    def _weights(self, query: Tensor, key: Tensor) -> Tensor:
        """β of f(x) (N, C/8, HW) and g(x) (N, C/8, HW/4): (N, HW, HW/4), whose rows sum to 1."""
        return torch.bmm(query.transpose(1, 2), key).softmax(2)
