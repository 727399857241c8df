"""`tie:` between parameters: one value, searched once, in several places of the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.errors import SpecError
from sweeper.search.ablation_trials import design_of
from sweeper.sweepfile import Sweep, load_sweep
from sweeper.sweepfile.load import sweep_from_dict
from sweeper.sweepfile.space import base_draw, count_points, grid_points, walk

RATE = {"distribution": "log_uniform", "min": 1e-5, "max": 1e-2}
LEADER, TIED = "optimizer.generator.lr", "optimizer.discriminator.lr"


def sweep(parameters: dict[str, Any], **more: Any) -> Sweep:
    base = {"data": "digits", **more.pop("base", {})}
    return load_sweep({"name": "tied", "base": base, "parameters": parameters, **more})


def problems(parameters: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as caught:
        sweep(parameters, limits={"trials": 2})
    return "\n".join(map(str, caught.value.problems))


def test_what_is_tied_has_the_value_of_what_it_is_tied_to_and_is_no_parameter() -> None:
    tied = sweep({LEADER: RATE, TIED: {"tie": LEADER}}, limits={"trials": 2})
    assert [parameter.path for parameter in tied.parameters] == [LEADER]
    draw = walk(tied, lambda parameter: 3e-4)
    assert draw.values == {LEADER: 3e-4}
    players = draw.config["optimizer"]
    assert players["generator"]["lr"] == players["discriminator"]["lr"] == 3e-4


def test_a_stored_sweep_keeps_its_ties() -> None:
    tied = sweep({LEADER: RATE, TIED: {"tie": LEADER}}, limits={"trials": 2})
    again = sweep_from_dict(tied.to_dict())
    assert again.to_dict() == tied.to_dict()
    assert again.parameters == tied.parameters
    untied = sweep({LEADER: RATE, TIED: RATE}, limits={"trials": 2})
    assert f"parameters.{TIED}.tie" in tied.difference(untied).refused


def test_a_grid_has_a_tie_once_and_a_base_that_unties_stands_beside_it() -> None:
    values = {"values": [1e-4, 2e-4]}
    grid = sweep({LEADER: values, TIED: {"tie": LEADER}}, search={"sampler": "grid"})
    assert count_points(grid) == 2
    rates = [draw.config["optimizer"]["discriminator"]["lr"] for draw in grid_points(grid)]
    assert rates == [1e-4, 2e-4]
    assert base_draw(grid).values == {LEADER: 2e-4}
    apart = {"optimizer": {"generator": {"lr": 1e-4}, "discriminator": {"lr": 2e-4}}}
    beside = sweep({LEADER: values, TIED: {"tie": LEADER}}, search={"sampler": "grid"}, base=apart)
    assert base_draw(beside).values == {}


def test_a_factor_of_an_ablation_may_have_ties() -> None:
    ablation = {"design": "one_factor", "seeds": 2}
    parameters = {LEADER: {"values": [1e-4, 2e-4]}, TIED: {"tie": LEADER}}
    assert len(design_of(sweep(parameters, ablation=ablation)).possible) == 2


def test_what_cannot_be_tied_is_told_with_its_place() -> None:
    other = "optimizer.generator.beta1"
    told = problems({LEADER: RATE, TIED: {"tie": "optimizer.generator.lrr"}})
    assert f"parameters.{TIED}.tie: optimizer.generator.lrr is not a parameter" in told
    assert LEADER in told
    assert "is tied itself" in problems({LEADER: RATE, TIED: {"tie": LEADER}, other: {"tie": TIED}})
    assert "no domain" in problems({LEADER: RATE, TIED: {"tie": LEADER, "min": 1}})
    toggled = {"tricks.ema": {"toggle": True}, "tricks.r1": {"tie": "tricks.ema"}}
    assert "on or off" in problems(toggled)
    assert "3 is wrong" in problems({LEADER: RATE, TIED: {"tie": 3}})
    assert "optimizer.nobody" in problems({LEADER: RATE, "optimizer.nobody.lr": {"tie": LEADER}})
    conditional = {"values": [0.1], "when": {TIED: 1e-4}}
    assert "is not a parameter" in problems(
        {LEADER: RATE, TIED: {"tie": LEADER}, other: conditional}
    )
