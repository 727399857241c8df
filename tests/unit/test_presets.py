"""Every paper's preset loads without a warning and trains; `test_presets_published` counts
networks."""

from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from sweeper.testing.small import losses_of, trained
from trials import presets
from trials.config import load_config, problems_of, warnings_of
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
    assert set(preset) - {"sizes", "reread"} == {
        "paper",
        "summary",
        "published",
        "elsewhere",
        "config",
    }
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


@EVERY_PRESET
def test_what_it_chooses_keeps_its_knobs_where_it_is_named_again(name: str) -> None:
    given = {"preset": name, "data": {"name": "digits", "size": 32}}
    config = load_config(given).as_dict()
    for path in ("loss", "conditioning", "task", "optimizer.generator", "optimizer.discriminator"):
        *sections, last = path.split(".")
        chosen = config[sections[0]][last] if sections else config[last]
        again: dict[str, Any] = {last: chosen["name"]}
        again = {sections[0]: again} if sections else again
        assert load_config({**given, **again}).as_dict() == config, path


def test_what_the_user_says_wins_over_the_preset() -> None:
    config = load_config(
        {"preset": "sngan", "data": "digits", "critic_steps": 1, "tricks": {"spectral_norm": False}}
    )
    assert config.critic_steps == 1
    assert "spectral_norm" not in config.tricks
    assert config.loss.name == "hinge"
