"""Virtual batch normalisation inside whole networks."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from trials.networks import (
    Family,
    NetworksConfig,
    build,
    needs_reference,
    plan_networks,
    prepare_reference,
)
from trials.networks.layers.virtual_batch import VirtualBatchNorm

FAMILIES = [
    key
    for key, family in Family.all().items()
    if family.GeneratorKnobs and "norm" in family.GeneratorKnobs.model_fields
]


def networks(family: str, norm: str = "virtual_batch") -> tuple[nn.Module, nn.Module]:
    """Class-conditional networks with that norm in both players."""
    config = NetworksConfig.model_validate(
        {
            "family": family,
            "generator": {"width": 4, "norm": norm},
            "discriminator": {"width": 4, "norm": "none" if norm == "pixel" else norm},
        }
    )
    plan = plan_networks(config, (1, 8, 8), 6, 3)
    plan = replace(
        plan,
        generator=replace(plan.generator, conditioning="norm"),
        discriminator=replace(plan.discriminator, conditioning="concat"),
    )
    torch.manual_seed(0)
    return build(plan)


def inputs(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, 6, generator=generator),
        torch.rand(count, 1, 8, 8, generator=generator) * 2 - 1,
        torch.randint(3, (count,), generator=generator),
    )


def prepared(family: str) -> tuple[nn.Module, nn.Module]:
    generator, discriminator = networks(family)
    z, images, labels = inputs(10, seed=100)
    prepare_reference(generator, z, labels)
    prepare_reference(discriminator, images, labels)
    return generator, discriminator


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, deadline=None)
@given(count=st.integers(2, 6), seed=st.integers(0, 50), chosen=st.integers(0, 5))
def test_an_output_never_depends_on_the_rest_of_its_batch(
    family: str, count: int, seed: int, chosen: int
) -> None:
    generator, discriminator = prepared(family)
    z, images, labels = inputs(count, seed)
    one = slice(chosen % count, chosen % count + 1)
    torch.testing.assert_close(generator(z, labels)[one], generator(z[one], labels[one]))
    judged, alone = discriminator(images, labels), discriminator(images[one], labels[one])
    torch.testing.assert_close(judged.score[one], alone.score)


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_batch_norm_fails_that_property(family: str) -> None:
    generator, _ = networks(family, "batch")
    z, _, labels = inputs(4, seed=1)
    assert not torch.allclose(generator(z, labels)[:2], generator(z[:2], labels[:2]))


@pytest.mark.parametrize("family", FAMILIES)
def test_training_and_evaluation_are_the_same_function(family: str) -> None:
    generator, _ = prepared(family)
    z, _, labels = inputs(4, seed=1)
    assert torch.equal(generator(z, labels), generator.eval()(z, labels))


def test_the_reference_s_statistics_follow_the_weights_and_carry_gradient() -> None:
    _, discriminator = prepared("dcgan")
    _, images, labels = inputs(4, seed=1)
    first = discriminator.trunk[0]
    with torch.no_grad():
        first.weight.mul_(100)  # far above the ε of the normalisation
    before = discriminator(images, labels).score
    with torch.no_grad():
        first.weight.mul_(3)
        first.bias.mul_(3)
    # Leaky ReLU and the norm after it undo a scale, but only if the statistics were taken anew.
    torch.testing.assert_close(discriminator(images, labels).score, before, atol=1e-4, rtol=1e-3)

    discriminator.double()
    images = images.double()
    weight = first.weight.detach().clone()

    def score(weight: Tensor) -> Tensor:
        judgement: Tensor = torch.func.functional_call(
            discriminator, {"trunk.0.weight": weight}, (images, labels)
        ).score
        return judgement

    small = weight[:, :, :1, :1].clone().requires_grad_(True)

    def of_small(part: Tensor) -> Tensor:
        return score(torch.cat([torch.cat([part, weight[:, :, :1, 1:]], 3), weight[:, :, 1:]], 2))

    assert torch.autograd.gradcheck(of_small, (small,))


def test_a_state_carries_the_reference_into_a_network_that_has_none() -> None:
    generator, _ = prepared("dcgan")
    z, _, labels = inputs(4, seed=1)
    fresh, _ = networks("dcgan")
    fresh.load_state_dict(generator.state_dict())
    assert torch.equal(fresh(z, labels), generator(z, labels))
    # And over another reference batch, of another size.
    other, _ = networks("dcgan")
    prepare_reference(other, *inputs(3, seed=5)[::2])
    other.load_state_dict(generator.state_dict())
    assert torch.equal(other(z, labels), generator(z, labels))


def test_a_trained_network_can_be_copied_and_keeps_no_graph() -> None:
    generator, _ = prepared("resnet")
    z, _, labels = inputs(4, seed=1)
    made = generator(z, labels)
    assert torch.equal(copy.deepcopy(generator)(z, labels), made)
    layers = [layer for layer in generator.modules() if isinstance(layer, VirtualBatchNorm)]
    assert layers
    assert all(layer.reference is None for layer in layers)


def test_a_state_may_be_restored_before_the_backward_pass() -> None:
    _, discriminator = prepared("dcgan")
    _, images, labels = inputs(4, seed=1)
    saved = copy.deepcopy(dict(discriminator.named_buffers()))
    score = discriminator(images, labels).score.sum()
    for name, buffer in discriminator.named_buffers():
        buffer.copy_(saved[name])
    score.backward()  # copying in place would spoil what autograd has kept of the buffers
    gradients = [weight.grad for weight in discriminator.parameters()]
    assert all(grad is not None and torch.isfinite(grad).all() for grad in gradients)


def test_a_network_without_its_reference_says_what_to_call() -> None:
    generator, _ = networks("dcgan")
    z, _, labels = inputs(4, seed=1)
    with pytest.raises(RuntimeError, match="prepare_reference"):
        generator(z, labels)


def test_every_network_inside_another_module_gets_what_it_is_given_there() -> None:
    class Halves(nn.Module):
        """Judges the image and its mirror image by two discriminators."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = networks("dcgan")[1], networks("resnet")[1]

        def forward(self, x: Tensor, labels: Tensor) -> Tensor:
            score: Tensor = self.first(x, labels).score + self.second(-x, labels).score
            return score

    both = Halves()
    assert needs_reference(both)
    _, images, labels = inputs(5, seed=3)
    prepare_reference(both, images, labels)
    assert torch.equal(both.second.reference.inputs()[0], -images)
    assert both(images[:2], labels[:2]).shape == (2,)


def test_networks_without_virtual_batch_norm_are_left_alone() -> None:
    generator, _ = networks("dcgan", "batch")
    assert not needs_reference(generator)
    before = copy.deepcopy(generator.state_dict())
    prepare_reference(generator, *inputs(4, seed=1)[::2])
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())
