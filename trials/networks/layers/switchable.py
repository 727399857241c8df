"""Switchable normalisation (Luo et al., arXiv:1806.10779).

The layer learns how much of instance (in), layer (ln) and batch (bn) statistics to use, with
one softmax over the three means and another over the three variances::

    y = γ (x − Σ_k w_k μ_k) / √(Σ_k w'_k σ²_k + ε) + β      k ∈ {in, ln, bn}

Variances are the biased ones of the paper. All three are computed from the instance statistics:
μ_ln = E_c μ_in, σ²_ln = E_c(σ²_in + μ²_in) − μ²_ln, and likewise over the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trials.networks.layers.exact import exact_inside


class SwitchableNorm(nn.Module):
    """(N, C, H, W) → the same; or (N, C), where layer and batch statistics are all there are.

    In evaluation the batch statistics are running averages (`momentum`), as in batch
    normalisation.
    """

    running_mean: Tensor
    running_square: Tensor

    def __init__(
        self,
        channels: int,
        *,
        affine: bool = True,
        spatial: bool = True,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.spatial = spatial
        kinds = 3 if spatial else 2
        self.mean_logits = nn.Parameter(torch.zeros(kinds))
        self.variance_logits = nn.Parameter(torch.zeros(kinds))
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_square", torch.ones(channels))

    @exact_inside
    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2) if self.spatial else x.unsqueeze(2)
        # μ_in, σ²_in: (N, C, 1); the second moment is what averages over channels and batch.
        variance, mean = torch.var_mean(flat, 2, correction=0, keepdim=True)
        square = variance + mean.square()
        layer_mean = mean.mean(1, keepdim=True)
        layer_variance = square.mean(1, keepdim=True) - layer_mean.square()
        batch_mean, batch_square = self._batch_moments(mean, square)
        batch_variance = batch_square - batch_mean.square()

        w = self.mean_logits.softmax(0)
        v = self.variance_logits.softmax(0)
        mixed_mean = w[0] * layer_mean + w[1] * batch_mean
        mixed_variance = v[0] * layer_variance + v[1] * batch_variance
        if self.spatial:
            mixed_mean = mixed_mean + w[2] * mean
            mixed_variance = mixed_variance + v[2] * variance
        flat = (flat - mixed_mean) * torch.rsqrt(mixed_variance.clamp_min(0) + self.eps)
        if self.weight is not None and self.bias is not None:
            flat = torch.addcmul(self.bias[:, None], flat, self.weight[:, None])
        return flat.view_as(x)

    def _batch_moments(self, mean: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
        """First and second moment of the batch, (1, C, 1) or (C, 1)."""
        if not self.training:
            return self.running_mean[:, None], self.running_square[:, None]
        batch_mean, batch_square = mean.mean(0, keepdim=True), square.mean(0, keepdim=True)
        with torch.no_grad():
            self.running_mean.lerp_(batch_mean.flatten(), self.momentum)
            self.running_square.lerp_(batch_square.flatten(), self.momentum)
        return batch_mean, batch_square
