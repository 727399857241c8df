"""Every paper's preset loads without a warning, trains, and has the paper's networks."""

from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sweeper.testing.small import losses_of, trained
from trials import presets
from trials.config import load_config, problems_of, warnings_of
from trials.networks.build import build
from trials.presets import merge

EVERY_PRESET = pytest.mark.parametrize("name", presets.names())
ASKED_FOR = {
    *("dcgan", "lsgan", "wgan", "wgan_gp", "dragan", "sngan", "sagan", "biggan", "r3gan"),
    *("cgan", "acgan", "infogan", "began", "ebgan", "rasgan", "progan", "stackgan"),
}
QUICK: dict[str, Any] = {
    "batch_size": 8,
    "steps": 2,
    "evaluation": {"every": 2, "samples": 16, "metrics": ["fid"], "grid": 4},
    "device": "cpu",
}


def test_there_is_a_preset_for_every_name_that_people_ask_for() -> None:
    assert set(presets.names()) == ASKED_FOR


@EVERY_PRESET
def test_it_cites_its_paper_and_every_number_of_it(name: str) -> None:
    preset = presets.load(name)
    assert set(preset) == {"paper", "summary", "config"}
    assert re.search(r"arXiv:\d{4}\.\d{5}|arXiv:\d{4}\.\d{4}", preset["paper"])
    text = resources.files(presets.__name__).joinpath(f"{name}.yaml").read_text("utf-8")
    body = text[text.index("config:") :]
    assert max(map(len, text.splitlines())) <= 100
    assert len(re.findall(r"# .*(section|appendix|algorithm|table|figure|equation|paper|code|"
                          r"configuration|the same|as DCGAN)", body)) >= 4  # fmt: skip


def _takes_two_steps(mapping: dict[str, Any], folder: Path) -> None:
    mapping = merge(mapping, QUICK)
    assert problems_of(mapping) == []
    training = trained(mapping, folder, 2)
    assert training.step == 2
    losses = losses_of(training)
    assert losses
    assert all(map(math.isfinite, losses.values()))


@EVERY_PRESET
@pytest.mark.parametrize("size", [8, 32])
def test_it_takes_two_steps_on_small_and_larger_images(
    name: str, size: int, tmp_path: Path
) -> None:
    mapping = {"preset": name, "data": {"name": "digits", "size": size}}
    assert warnings_of(load_config(mapping)) == []
    narrow = {"generator": {"width": 4}, "discriminator": {"width": 4}}
    _takes_two_steps({**mapping, "networks": narrow, "critic_steps": 1}, tmp_path)


@EVERY_PRESET
@pytest.mark.slow
@pytest.mark.parametrize("size", [8, 32])
def test_it_takes_two_steps_at_its_full_width(name: str, size: int, tmp_path: Path) -> None:
    _takes_two_steps({"preset": name, "data": {"name": "digits", "size": size}}, tmp_path)


def _counts(name: str, size: int, classes: int) -> tuple[int, int]:
    data = {"name": "cifar10", "path": "nowhere", "size": size}
    plan = load_config({"preset": name, "data": data}).plan((3, size, size), classes)
    with torch.device("meta"):
        generator, discriminator = build(plan)
    return _learned(generator), _learned(discriminator)


def _learned(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        # Where the figures come from is said in test_networks_counts.py: table 4 of
        # arXiv:1802.05957 as kwotsin/mimicry builds it, and its SAGAN for ten classes.
        ("sngan", 32, (4_276_739, 1_053_825)),
        ("sagan", 32, (4_386_308, 1_075_586)),
    ],
)
def test_networks_have_as_many_parameters_as_published(
    name: str, size: int, expected: tuple[int, int]
) -> None:
    assert _counts(name, size, 10) == expected


def test_dcgan_has_the_channels_of_the_papers_figure() -> None:
    # Figure 1 of arXiv:1511.06434: z of 100 → 4×4×1024 → 8×8×512 → 16×16×256 → 32×32×128 → 64×64×3
    convolutions = sum(
        inputs * outputs * kernel
        for inputs, outputs, kernel in (
            *((100, 1024, 16), (1024, 512, 16), (512, 256, 16), (256, 128, 16), (128, 3, 16)),
        )
    )
    norms = 2 * (1024 + 512 + 256 + 128)
    image_bias = 3
    generator, _ = _counts("dcgan", 64, 0)
    assert generator == convolutions + norms + image_bias


def test_what_the_user_says_wins_over_the_preset() -> None:
    config = load_config(
        {"preset": "sngan", "data": "digits", "critic_steps": 1, "tricks": {"spectral_norm": False}}
    )
    assert config.critic_steps == 1
    assert "spectral_norm" not in config.tricks
    assert config.loss.name == "hinge"
