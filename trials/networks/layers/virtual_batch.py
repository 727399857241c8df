"""Virtual batch normalisation (Salimans et al., arXiv:1606.03498, section 3.5).

A sample is normalised with the statistics of a reference batch, chosen once and fixed, combined
with the sample itself as one more member::

    μ = (μ_x + R μ_ref) / (R + 1),   σ² = E[x²] − μ²    over the R references and the sample

so that no output depends on the other samples of its batch. The reference batch itself goes
through the network, with the weights of the moment, before every batch: its activations at each
layer are the statistics there. That doubles the forward pass, as the paper says.

A network that holds such layers owns a `ReferenceBatch` and runs inside its
`statistics`; `prepare_reference` fixes the reference inputs, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trials.networks.layers.exact import exact_inside


class _Moments(NamedTuple):
    mean: Tensor
    variance: Tensor
    size: int


class VirtualBatchNorm(nn.Module):
    """(N, C, …) → the same. Works only inside a network with a `ReferenceBatch`."""

    def __init__(self, channels: int, *, affine: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.collecting = False
        self.reference: _Moments | None = None

    @exact_inside
    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2) if x.dim() > 2 else x.unsqueeze(2)
        if self.collecting:
            variance, mean = torch.var_mean(flat, (0, 2), correction=0, keepdim=True)
            self.reference = _Moments(mean, variance, len(flat))
        elif self.reference is not None:
            mean, variance = self._combined(flat, self.reference)
        else:
            raise RuntimeError("virtual batch normalisation has no reference batch yet")
        flat = (flat - mean) * torch.rsqrt(variance + self.eps)
        if self.weight is not None and self.bias is not None:
            flat = torch.addcmul(self.bias[:, None], flat, self.weight[:, None])
        return flat.view_as(x)

    @staticmethod
    def _combined(flat: Tensor, reference: _Moments) -> tuple[Tensor, Tensor]:
        """Mean and variance of the reference and one sample together: (N, C, 1) each."""
        variance, mean = torch.var_mean(flat, 2, correction=0, keepdim=True)
        share = 1 / (reference.size + 1)
        # Of two groups with shares a and 1 − a: σ² = aσ₁² + (1 − a)σ₂² + a(1 − a)(μ₁ − μ₂)²
        between = share * (1 - share) * (mean - reference.mean).square()
        return (
            torch.lerp(reference.mean.expand_as(mean), mean, share),
            torch.lerp(reference.variance.expand_as(variance), variance, share) + between,
        )


class ReferenceBatch(nn.Module):
    """The fixed inputs that give a network's virtual batch layers their statistics.

    The inputs are buffers, so a checkpoint holds them; loading a state into a network that has
    not been given any takes them over.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recording = False

    def record(self, inputs: tuple[Tensor | None, ...]) -> None:
        """Keep `inputs` as the reference; the first dimension is the batch."""
        for index, value in enumerate(inputs):
            if value is not None:
                self.register_buffer(f"input{index}", value.detach().clone())

    def inputs(self) -> list[Tensor | None]:
        """What was recorded, in its order; empty where nothing was."""
        given = [int(name.removeprefix("input")) for name in self._buffers]
        count = 1 + max(given) if given else 0
        return [self._buffers.get(f"input{index}") for index in range(count)]

    @contextmanager
    def statistics(
        self, network: nn.Module, run: Callable[..., Any], inputs: tuple[Tensor | None, ...]
    ) -> Iterator[None]:
        """Inside, the layers of `network` know the reference's statistics.

        `run(*reference)` computes them, in the graph: their gradient is part of the method.
        """
        if self.recording:
            self.record(inputs)
        reference = self.inputs()
        if not reference:
            raise RuntimeError("call prepare_reference(network, *inputs) before the first batch")
        layers = [layer for layer in network.modules() if isinstance(layer, VirtualBatchNorm)]
        try:
            for layer in layers:
                layer.collecting = True
            # Copies: restoring a state writes the buffers in place, perhaps before the backward.
            run(*(value if value is None else value.clone() for value in reference))
            for layer in layers:
                layer.collecting = False
            yield
        finally:
            # What is left behind would keep the graph alive, and could not be copied or saved.
            for layer in layers:
                layer.collecting = False
                layer.reference = None

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        for key, value in state_dict.items():
            name = key.removeprefix(prefix)
            if key.startswith(prefix + "input"):
                self.register_buffer(name, torch.empty_like(value, device=self._device(value)))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _device(self, default: Tensor) -> torch.device:
        """Where the buffers already are; a state from another machine must not move them."""
        return next((b.device for b in self._buffers.values() if b is not None), default.device)


def needs_reference(module: nn.Module) -> bool:
    """Whether `prepare_reference` has to be called before the first batch."""
    return any(isinstance(part, ReferenceBatch) for part in module.modules())


@torch.no_grad()
def prepare_reference(module: nn.Module, *inputs: Tensor | None) -> None:
    """Run `module(*inputs)` once; each network in it keeps what it was given as its reference.

    `inputs` is a batch of what the module is called with: latent vectors and labels for a
    generator, real images and labels for a discriminator. Modules without virtual batch
    normalisation are left alone.
    """
    references = [part for part in module.modules() if isinstance(part, ReferenceBatch)]
    if not references:
        return
    for reference in references:
        reference.recording = True
    try:
        module(*inputs)
    finally:
        for reference in references:
            reference.recording = False
