"""Gradients of scores with respect to what was judged, differentiable once more."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from trials.game import Trial


def score_gradients(scores: Tensor, images: Tensor, judges: int = 1) -> Tensor:
    """∇ₓ D(x) for each judged sample: `scores` (M,), `images` (M, …) → (M, …).

    Of several judges, `scores` (S·M,), each one's gradients: (S·M, …), one after the other.

    The sum over the batch is differentiated; where D judges every sample alone, each row is that
    sample's own gradient. The result can be differentiated again (double backward).
    """
    each = [
        torch.autograd.grad(own.sum(), images, create_graph=True)[0]
        for own in scores.view(judges, -1)
    ]
    return torch.cat(each)


def advice_on_batch_norm(key: str, trial: Trial) -> Iterator[str]:
    """What to say where the trick `key` penalises gradients that are no single sample's."""
    if getattr(trial.networks.discriminator, "norm", "none") == "batch":
        yield (
            f"tricks.{key} penalises each sample's gradient, and batch norm in the discriminator "
            "couples the samples; use layer norm (arXiv:1704.00028, section 4)"
        )


def watched(images: Tensor) -> Tensor:
    """`images` to take gradients at: a leaf of their own, or themselves where they depend on
    something, as the images of an imagined step depend on the generator."""
    return images if images.requires_grad else images.detach().requires_grad_(True)


def sample_norms(gradients: Tensor) -> Tensor:
    """‖·‖₂ of each sample's gradient: (M, …) → (M,). Zero gradients have a finite derivative."""
    squares = gradients.flatten(1).square().sum(dim=1)
    return (squares + 1e-24).sqrt()
