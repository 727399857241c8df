"""Parameter counts of published networks. Each figure says where it comes from.

Counts are of learned parameters, with all biases that the reference has. Networks are made on
the meta device, so nothing is allocated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from trials.networks import NetworkPlan, NetworksConfig, build, plan_networks
from trials.networks.layers.self_attention import SelfAttention
from trials.networks.plan import BlockInsert


def counts(
    config: dict[str, Any],
    size: int,
    *,
    latent: int,
    classes: int = 0,
    generator: dict[str, Any] | None = None,
    discriminator: dict[str, Any] | None = None,
) -> tuple[int, int]:
    """Parameters of both networks for RGB images; the last two mappings change the plan."""
    plan = plan_networks(NetworksConfig.model_validate(config), (3, size, size), latent, classes)
    plan = NetworkPlan(
        replace(plan.generator, **(generator or {})),
        replace(plan.discriminator, **(discriminator or {})),
    )
    with torch.device("meta"):
        made, judge = build(plan)
    return learned(made), learned(judge)


def learned(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def attention(resolution: int) -> tuple[BlockInsert, ...]:
    def insert(place: int, channels: int) -> nn.Module | None:
        return SelfAttention(channels) if place == resolution else None

    return (insert,)


def residual(family: str, width: int, judge: int | None = None) -> dict[str, Any]:
    return {
        "family": family,
        "generator": {"width": width, "bias": "all"},
        "discriminator": {"width": judge or width, "bias": "all"},
    }


def test_dcgan_at_64_pixels_counts_as_pytorch_s_dcgan_example() -> None:
    # pytorch/examples dcgan (ngf = ndf = 64, nz = 100, nc = 3), and PyTorch's DCGAN tutorial:
    # torchsummary prints 3,576,704 and 2,765,568.
    config = {
        "generator": {"width": 64, "head_kernel": 0, "bias": "none"},
        "discriminator": {"width": 64, "depth": 1, "norm": "batch", "bias": "none"},
    }
    assert counts(config, 64, latent=100) == (3_576_704, 2_765_568)


def test_the_standard_cnn_at_32_pixels_counts_as_its_table() -> None:
    # arXiv:1802.05957, table 3, for CIFAR-10 (M_g = 4), with the channels of the authors'
    # discriminator as in google/compare_gan, architectures/sndcgan.py. Rows added up:
    norms = 2 * (512 + 256 + 128 + 64)
    ups = sum(a * b * 16 for a, b in ((512, 256), (256, 128), (128, 64)))
    dense, head = 128 * 16 * 512, 64 * 3 * 9 + 3
    keep = sum(a * b * 9 + b for a, b in ((3, 64), (128, 128), (256, 256), (512, 512)))
    down = sum(a * b * 16 + b for a, b in ((64, 128), (128, 256), (256, 512)))
    config = {"generator": {"width": 64}, "discriminator": {"width": 64}}
    expected = (dense + ups + norms + head, keep + down + 512 * 16 + 1)
    assert counts(config, 32, latent=128) == expected


@pytest.mark.parametrize(
    ("size", "widths", "expected"),
    [
        # kwotsin/mimicry 0.1.16 (torch_mimicry.nets.sngan), the sum over parameters() of
        # SNGANGenerator32, …64, …128 and their discriminators. The networks of 32 pixels are
        # tables 4 of arXiv:1802.05957.
        (32, (256, 128), (4_276_739, 1_053_825)),
        (64, (64, 64), (12_220_675, 10_141_441)),
        (128, (64, 64), (32_150_787, 29_017_857)),
    ],
)
def test_residual_networks_count_as_sngan(
    size: int, widths: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert counts(residual("resnet", *widths), size, latent=128) == expected


def test_a_class_conditional_residual_gan_counts_as_cgans_with_projection() -> None:
    # kwotsin/mimicry 0.1.16, CGANPDGenerator32 and CGANPDDiscriminator32 for ten classes
    # (arXiv:1802.05637). BigGAN-PyTorch's CIFAR-10 generator is the same network: "about 4.3M
    # parameters", ajbrock/BigGAN-PyTorch issue 78.
    assert counts(
        residual("resnet", 256, 128),
        32,
        latent=128,
        classes=10,
        generator={"conditioning": "norm"},
        discriminator={"conditioning": "projection"},
    ) == (4_304_387, 1_055_105)


def test_residual_networks_with_attention_count_as_sagan() -> None:
    # kwotsin/mimicry 0.1.16, SAGANGenerator32 (attention at 16×16) and SAGANDiscriminator32
    # (at 8×8) for ten classes; arXiv:1805.08318.
    assert counts(
        residual("resnet", 256, 128),
        32,
        latent=128,
        classes=10,
        generator={"conditioning": "norm", "after_block": attention(16)},
        discriminator={"conditioning": "projection", "after_block": attention(8)},
    ) == (4_386_308, 1_075_586)


def test_biggan_at_128_pixels_counts_as_the_original() -> None:
    # google/compare_gan, architectures/resnet_biggan_test.py, testNumberOfParameters: "matches
    # the original BigGAN architecture", 70,433,988 and 87,982,370.
    assert counts(
        residual("biggan", 96),
        128,
        latent=120,
        classes=1000,
        generator={"conditioning": "norm", "after_block": attention(64)},
        discriminator={"conditioning": "projection", "after_block": attention(64)},
    ) == (70_433_988, 87_982_370)


@pytest.mark.parametrize(
    ("size", "width", "latent", "attended", "expected"),
    [
        # Listed at the head of a port of ajbrock/BigGAN-PyTorch (attention at 32×32, z of 120
        # numbers; at 256 pixels 7 shares of 17) for 1,000 classes and a unit of 96, or 64,
        # channels: at 32 pixels every block has four units, at 64 the narrowest has two.
        (32, 4 * 96, 120, 32, 9_650_436),
        (32, 4 * 64, 120, 32, 4_567_556),
        (64, 2 * 96, 120, 32, 70_377_348),
        (64, 2 * 64, 120, 32, 31_969_540),
        (256, 96, 119, 64, 82_108_548),
    ],
)
def test_biggan_s_generators_of_other_sizes_count_as_ports_of_the_authors_code(
    size: int, width: int, latent: int, attended: int, expected: int
) -> None:
    generator, _ = counts(
        residual("biggan", width),
        size,
        latent=latent,
        classes=1000,
        generator={"conditioning": "norm", "after_block": attention(attended)},
    )
    assert generator == expected


def test_pacgan_s_networks_count_as_its_paper_s_layers() -> None:
    # arXiv:1712.04086, section 4.1: four layers of 400 with batch norm, three of 200 maxout
    # units of 5 pieces. fjxmlzn/PacGAN gives the hidden layers before a norm no bias.
    config = NetworksConfig.model_validate(
        {
            "family": "mlp",
            "generator": {"depth": 4, "width": 400, "init": "normal"},
            "discriminator": {"depth": 3, "width": 200, "activation": "maxout", "pieces": 5},
        }
    )
    made, judge = build(plan_networks(config, (2,), 2, 0))
    assert learned(made) == 2 * 400 + 3 * 400 * 400 + 4 * 2 * 400 + 400 * 2 + 2
    assert learned(judge) == (2 + 200 + 200 + 3) * 1000 + 201
