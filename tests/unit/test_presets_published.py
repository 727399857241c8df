"""Each preset has the networks that were published, at every size that they were published for.

Counts are of learned parameters, on the meta device, where nothing is allocated. A count that
somebody printed is written down with its source; others are added up here, layer by layer, from the
paper's table or the authors' code, by the little arithmetic below, which knows nothing of our
networks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from trials import presets
from trials.config import load_config
from trials.networks.build import build
from trials.networks.check import SIZES
from trials.networks.plan import NetworkPlan

Counts = tuple[int, int]


# Arithmetic of layers -------------------------------------------------------------------------


def conv(inputs: int, outputs: int, kernel: int = 3, *, bias: bool = True) -> int:
    return inputs * outputs * kernel * kernel + (outputs if bias else 0)


def linear(inputs: int, outputs: int, *, bias: bool = True) -> int:
    return conv(inputs, outputs, 1, bias=bias)


def residual_generator(
    latent: int,
    channels: Sequence[int],
    *,
    norm: int = 2,
    direct: bool = True,
    entry: int | None = None,
) -> int:
    """z → 4×4, blocks (norm, conv, norm, conv, 1×1 beside them), norm, conv to three channels.

    `norm`: numbers a channel in a block's norm; `direct`: whether the convolution that a norm
    follows at once has a bias; `entry`: numbers of z that the first layer reads.
    """
    total = linear(entry or latent, channels[0] * 16)
    for inputs, outputs in itertools.pairwise(channels):
        total += norm * (inputs + outputs)
        total += conv(inputs, outputs, bias=direct) + conv(outputs, outputs)
        total += conv(inputs, outputs, 1)
    return total + 2 * channels[-1] + conv(channels[-1], 3)


def residual_judge(channels: Sequence[int], *, keeping: int, wide: bool, classes: int = 0) -> int:
    """Blocks that halve (the first reads the image), `keeping` that do not, a score, a
    projection."""
    total, inputs = 0, 3
    for index, outputs in enumerate(channels):
        inner = outputs if wide or index == 0 else inputs
        total += conv(inputs, inner) + conv(inner, outputs)
        halves = index < len(channels) - keeping
        total += conv(inputs, outputs, 1) if halves or inputs != outputs else 0
        inputs = outputs
    return total + linear(inputs, 1) + classes * inputs


def attention(channels: int) -> int:
    """Queries and keys of an eighth, values of a half, back to the whole; and γ."""
    return channels * (2 * (channels // 8) + 2 * (channels // 2)) + 1


def biggan(size: int, unit: int, z: int, at: int) -> Counts:
    """Table 4 to 9 of arXiv:1809.11096 as ajbrock/BigGAN-PyTorch has them, for 1,000 classes."""
    ladders = {64: [16, 16, 8, 4, 2], 128: [16, 16, 8, 4, 2, 1], 256: [16, 16, 8, 8, 4, 2, 1]}
    down = {64: [1, 2, 4, 8, 16], 128: [1, 2, 4, 8, 16, 16], 256: [1, 2, 4, 8, 8, 16, 16]}
    channels = [unit * multiple for multiple in ladders[size]]
    judged = [unit * multiple for multiple in down[size]]
    share = z // len(channels)  # of each block and of the first layer
    made = residual_generator(z, channels, norm=2 * (128 + share), entry=share)
    made += 1000 * 128 + attention(channels[(at // 4).bit_length() - 1])
    score = residual_judge(judged, keeping=1, wide=True, classes=1000)
    return made, score + attention(judged[(size // at).bit_length() - 2])


def growing(size: int) -> Counts:
    """`G_paper` and `D_paper` of tkarras/progressive_growing_of_gans, fmap_base 8192, fmap_max
    512."""

    def channels(side: int) -> int:
        return min(512, 16384 // side)

    sizes = [4 << k for k in range((size // 4).bit_length())]
    made = linear(512, 512 * 16, bias=False) + 512 + conv(512, 512)
    judged = conv(513, 512) + linear(512 * 16, 512) + linear(512, 1)
    for side in sizes[1:]:
        coarse, fine = channels(side // 2), channels(side)
        made += conv(coarse, fine) + conv(fine, fine)
        judged += conv(fine, fine) + conv(fine, coarse)
    made += sum(conv(channels(side), 3, 1) for side in sizes)
    judged += sum(conv(3, channels(side), 1) for side in sizes)
    return made, judged


def r3gan(widths: Sequence[int]) -> Counts:
    """`Networks.py` of brownvc/R3GAN without classes: `widths` from 4×4 on, two blocks a size."""

    def block(width: int) -> int:
        inner = 2 * width
        return 2 * (width * inner + inner) + inner * 16 * 9

    shared = sum(2 * block(width) for width in widths)
    shared += sum(a * b for a, b in itertools.pairwise(widths) if a != b)
    shared += widths[0] * 16 + 3 * widths[-1]
    return shared + 64 * widths[0], shared + widths[0]


def dcgan(unit: int) -> Counts:
    """soumith/dcgan.torch, main.lua: five kernels of 4×4 each way, no biases, gains and shifts."""
    up = [100, 8 * unit, 4 * unit, 2 * unit, unit, 3]
    down = [3, unit, 2 * unit, 4 * unit, 8 * unit, 1]
    made = sum(a * b * 16 for a, b in itertools.pairwise(up)) + 2 * sum(up[1:-1])
    return made, sum(a * b * 16 for a, b in itertools.pairwise(down)) + 2 * sum(down[2:-1])


def wgan_gp_64() -> Counts:
    """`GoodGenerator` and `GoodDiscriminator` of igul222/improved_wgan_training, gan_64x64.py."""
    made = residual_generator(128, [512, 512, 256, 128, 64], direct=False)
    judged = conv(3, 64) + linear(512 * 16, 1)
    for inputs, outputs in ((64, 128), (128, 256), (256, 512), (512, 512)):
        judged += 4 * inputs + conv(inputs, inputs, bias=False)
        judged += conv(inputs, outputs) + conv(inputs, outputs, 1)
    return made, judged


def standard_cnn() -> Counts:
    """Table 3 of arXiv:1802.05957 for 32×32, as AlexiaJM/RelativisticGAN has it (`arch` 1)."""
    made = linear(128, 512 * 16) + sum(conv(2 * a, a, 4) + 2 * a for a in (256, 128, 64))
    judged = conv(3, 64) + sum(conv(a, a, 4) + conv(a, 2 * a) for a in (64, 128, 256))
    return made + conv(64, 3), judged + linear(512 * 16, 1)


# ----------------------------------------------------------------------------------------------

PUBLISHED: dict[str, dict[int, Counts]] = {
    "dcgan": {64: dcgan(128)},
    # The example of PyTorch, which is dcgan.torch at its newest: torchsummary prints both.
    "wgan": {64: (3_576_704, 2_765_568)},
    # igul222/improved_wgan_training, gan_cifar_resnet.py, without its classes.
    "wgan_gp": {
        32: (residual_generator(128, [128] * 4), residual_judge([128] * 4, keeping=2, wide=False)),
        64: wgan_gp_64(),
    },
    # kwotsin/mimicry 0.1.16, the sum over parameters() of its SNGAN for 32, 64 and 128 pixels.
    "sngan": {
        32: (4_276_739, 1_053_825),
        64: (12_220_675, 10_141_441),
        128: (32_150_787, 29_017_857),
    },
    # kwotsin/mimicry 0.1.16, SAGANGenerator32 and SAGANDiscriminator32 for ten classes; and
    # brain-research/self-attention-gan, `generator_test` and `discriminator_test` for 1,000.
    "sagan": {
        32: (4_386_308, 1_075_586),
        128: (
            residual_generator(128, [1024, 1024, 512, 256, 128, 64], norm=2 * 1000)
            + attention(256),
            residual_judge([64, 128, 256, 512, 1024, 1024], keeping=1, wide=True, classes=1000)
            + attention(128),
        ),
    },
    # google/compare_gan, architectures/resnet_biggan_test.py has those of 128 pixels.
    "biggan": {
        32: (
            residual_generator(128, [256] * 4, norm=2 * 10),
            residual_judge([256] * 4, keeping=2, wide=True, classes=10),
        ),
        64: biggan(64, 64, 120, at=32),
        128: (70_433_988, 87_982_370),
        256: biggan(256, 96, 140, at=64),
    },
    "progan": {size: growing(size) for size in (8, 16, 32, 64, 128, 256)},
    "r3gan": {
        32: r3gan([768] * 4),
        64: r3gan([768] * 4 + [384]),
        256: r3gan([768] * 4 + [384, 192, 96]),
    },
    "rasgan": {32: standard_cnn()},
}

CLASSES = {("sagan", 32): 10, ("biggan", 32): 10}


def counts(name: str, size: int, classes: int) -> Counts:
    data = {"name": "cifar10", "path": "nowhere", "size": size}
    config = load_config({"preset": name, "data": data})
    plan = config.plan((3, size, size), classes)
    # What wraps a layer, as spectral norm, adds nothing learned, and takes long on the meta device.
    bare = (replace(player, wrap_layer=()) for player in (plan.generator, plan.discriminator))
    with torch.device("meta"):
        players = build(NetworkPlan(*bare))
    made, judged = (sum(p.numel() for p in player.parameters()) for player in players)
    return made, judged


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [(name, size, both) for name, sizes in PUBLISHED.items() for size, both in sizes.items()],
)
def test_both_players_have_as_many_parameters_as_published(
    name: str, size: int, expected: Counts
) -> None:
    assert counts(name, size, CLASSES.get((name, size), 1000)) == expected


def test_the_arithmetic_gives_the_figures_that_others_printed() -> None:
    assert dcgan(64) == PUBLISHED["wgan"][64]
    assert biggan(128, 96, 120, at=64) == PUBLISHED["biggan"][128]
    # The head of a port of ajbrock/BigGAN-PyTorch lists its generators.
    assert biggan(64, 64, 120, at=32)[0] == 31_969_540
    assert biggan(256, 96, 119, at=64)[0] == 82_108_548
    # arXiv:2501.05441 gives its CIFAR-10 generator, with classes, 20.78 million.
    assert r3gan([768] * 4)[0] + 64 * 10 + 64 * 768 == 20_781_952
    # arXiv:1710.10196, table 2: 23.1 million each at 1024×1024.
    assert [round(count / 1e6, 1) for count in growing(1024)] == [23.1, 23.1]


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_says_for_which_sizes_it_was_published_and_what_it_is_elsewhere(name: str) -> None:
    preset: dict[str, Any] = presets.load(name)
    assert set(preset["published"]) == set(PUBLISHED.get(name, {}))
    assert all(isinstance(place, str) and place for place in preset["published"].values())
    assert preset["elsewhere"].strip()
    assert all(size in SIZES for size in (*preset.get("sizes", {}), *preset["published"]))


def test_what_a_size_brings_is_laid_over_the_smallest_and_the_file_over_both() -> None:
    def loaded(size: int, **more: Any) -> Any:
        data = {"name": "cifar10", "path": "nowhere", "size": size}
        return load_config({"preset": "wgan_gp", "data": data, **more})

    assert loaded(16).networks.generator.width == loaded(32).networks.generator.width == 128
    assert loaded(64).networks.generator.width == loaded(256).networks.generator.width == 64
    assert loaded(64).optimizer.generator.decay == "none"
    own = loaded(64, networks={"generator": {"width": 8}})
    assert own.networks.generator.width == 8
    assert own.networks.discriminator.norm == "layer"
