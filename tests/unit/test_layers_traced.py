"""Layers of a generator trace with the number of images left open, as a logged model needs."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from trials.networks.layers.activations import Maxout
from trials.networks.layers.self_attention import SelfAttention


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(SelfAttention(8), (8, 4, 4)), (Maxout(3), (12,))],
    ids=["self_attention", "maxout"],
)
def test_a_trace_holds_for_any_number_of_images(layer: nn.Module, shape: tuple[int, ...]) -> None:
    def draw(count: int) -> Tensor:
        return torch.randn(count, *shape, generator=torch.manual_seed(count))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of its own deprecations
        traced = torch.export.export(
            layer.eval(), (draw(4),), dynamic_shapes=({0: torch.export.Dim("images", min=2)},)
        ).module()
    torch.testing.assert_close(traced(draw(7)), layer(draw(7)))
