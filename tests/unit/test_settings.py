"""Kinds of values: a truth value, a number and a text are three, in every section and part."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, SecretStr, ValidationError, model_validator

from sweeper.errors import SpecError
from sweeper.sweepfile.load import parse_sweep
from trials.config import load_config, problems_of
from trials.part import PartConfig, knob, temporary_parts
from trials.settings import kinds
from trials.trick import Trick
from trials.validation import problems_from


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"steps": True}, "steps: True is wrong (expected a whole number)"),
        ({"seed": False}, "seed: False is wrong (expected a whole number)"),
        ({"steps": "100"}, "steps: '100' is wrong (expected a whole number, without quotes)"),
        ({"latent": {"dim": True}}, "latent.dim: True is wrong (expected a whole number)"),
        (
            {"optimizer": {"generator": {"lr": True}}},
            "optimizer.generator.lr: True is wrong (expected a number)",
        ),
        (
            {"optimizer": {"discriminator": {"name": "sgd", "lr": "1e-3"}}},
            "optimizer.discriminator.lr: '1e-3' is wrong (expected a number, without quotes)",
        ),
        (
            {"data": {"name": "digits", "flip": 1}},
            "data.flip: 1 is wrong (expected true or false)",
        ),
        (
            {"data": {"name": "digits", "flip": "yes"}},
            "data.flip: 'yes' is wrong (expected true or false, without quotes)",
        ),
        (
            {"data": {"name": "cifar10", "path": "x", "size": True}},
            "data.size: True is wrong (expected a whole number)",
        ),
        (
            {"networks": {"generator": {"head_kernel": True}}},
            "networks.generator.head_kernel: True is wrong (expected a whole number)",
        ),
        (
            {"evaluation": {"samples": True}},
            "evaluation.samples: True is wrong (expected a whole number)",
        ),
        (
            {"health": {"divergence": {"score": "1e3"}}},
            "health.divergence.score: '1e3' is wrong (expected a number, without quotes)",
        ),
        (
            {"loss": {"name": "hinge", "margin": True}},
            "loss.margin: True is wrong (expected a number)",
        ),
    ],
)
def test_a_value_of_another_kind_is_refused(given: dict[str, Any], told: str) -> None:
    assert [str(problem) for problem in problems_of({"data": "digits", **given})] == [told]


def test_every_problem_is_told_beside_a_wrong_kind() -> None:
    ema = {"decay": "0.9", "start": 2, "warm_up": 1, "decoy": 1}
    problems = problems_of({"data": "digits", "steps": True, "tricks": {"ema": ema}})
    assert sorted(problem.path for problem in problems) == [
        "steps",
        "tricks.ema.decay",
        "tricks.ema.decoy",
        "tricks.ema.start",
        "tricks.ema.warm_up",
    ]


def test_a_whole_number_may_be_written_with_an_exponent_and_is_recorded_as_one() -> None:
    record = load_config({"data": "digits", "steps": 1e3}).as_dict()
    assert (record["steps"], type(record["steps"])) == (1000, int)


SWEEP = "name: s\nbase: {{data: digits{base}}}\nlimits: {{trials: {trials}}}\nparameters: {{{one}}}"


@pytest.mark.parametrize(
    ("parts", "path", "expected"),
    [
        ({"one": "seed: {values: [1, true]}"}, "parameters.seed.values[1]", "a whole number"),
        (
            {"one": "optimizer.generator.lr: {values: ['1e-3', 2e-3]}"},
            "parameters.optimizer.generator.lr.values[0]",
            "a number, without quotes",
        ),
        (
            {"one": "optimizer.generator.lr: {min: '1e-4', max: 1e-3}"},
            "parameters.optimizer.generator.lr.min",
            "a number, without quotes",
        ),
        ({"one": "data.flip: {values: [0, 1]}"}, "parameters.data.flip.values[0]", "true or false"),
        ({"base": ", seed: '1'"}, "base.seed", "a whole number, without quotes"),
        ({"trials": "'4'"}, "limits.trials", "a whole number, without quotes"),
        ({"trials": "true"}, "limits.trials", "a whole number"),
    ],
)
def test_a_sweep_file_is_as_strict(parts: dict[str, str], path: str, expected: str) -> None:
    text = SWEEP.format(**{"base": "", "trials": "4", "one": "", **parts})
    with pytest.raises(SpecError) as refused:
        parse_sweep(text)
    found = {problem.path: problem.expected for problem in refused.value.problems}
    assert found.get(path) == expected, found


def test_numbers_as_people_write_them_are_numbers() -> None:
    given = {"base": ", steps: 1e3, optimizer: {generator: {lr: 1e-3}}", "trials": "4"}
    sweep = parse_sweep(SWEEP.format(**given, one="seed: {values: [1, 2]}"))
    config = load_config(sweep.base)
    assert (config.steps, config.optimizer.generator.lr) == (1000, 0.001)


def test_knobs_of_other_people_are_as_strict(tmp_path: Path) -> None:
    with temporary_parts():

        class Shade(Trick):
            """Shade."""

            key = "shade"
            group = "judgement"
            summary = "shade"
            formula = "x"
            paper = "none"

            class Config(PartConfig):
                depth: int = knob(1, "how deep")
                shares: tuple[float, ...] = knob((0.5,), "of what")
                on: bool = knob(True, "whether")
                word: str | int = knob("a", "either")

        wrong = {"depth": True, "shares": [0.1, "0.2"], "on": 0, "word": "3"}
        problems = problems_of({"data": "digits", "tricks": {"shade": wrong}})
        assert [problem.path for problem in problems] == [
            "tricks.shade.depth",
            "tricks.shade.shares",
            "tricks.shade.on",
        ]


def test_the_kinds_of_an_annotation_are_those_of_its_leaves() -> None:
    assert kinds(int | None) == {int, type(None)}
    assert kinds(Annotated[float, Field(gt=0)] | tuple[int, ...]) == {float, int}
    assert kinds(Literal[1, "x"]) == {int, str}
    assert kinds(dict[str, Any]) == {str, object}


class Plain(PartConfig):
    """Knobs of types that a file has no form of its own for, and that come back all the same."""

    ratio: Decimal = Decimal("0.1")
    ways: tuple[frozenset[int], ...] = ()
    layers: dict[str, set[int]] = {}
    any: Any = None


def test_sets_that_are_equal_are_written_alike() -> None:
    one, other = frozenset([0, 8]), frozenset([8, 0])
    assert list(one) != list(other), "as in two processes, where the order of texts differs"
    written = [
        Plain(ways=(ways,), layers={"kept": set(ways)}).model_dump_json() for ways in (one, other)
    ]
    assert written[0] == written[1]
    assert Plain.model_validate_json(written[0]) == Plain(ways=(one,), layers={"kept": {0, 8}})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (bytes, b"\xff"),
        (SecretStr, SecretStr("key")),
        (Callable[[int], int], abs),
        (type[int], bool),
        (Any, abs),
        (dict[str, Any], {"a": abs}),
    ],
)
def test_a_value_that_no_file_can_hold_is_refused_before_it_is_used(kind: Any, value: Any) -> None:
    place = {"__annotations__": {"held": kind}, "__module__": __name__}
    config: Any = type("Config", (PartConfig,), {**place, "held": knob(value, "whatever it is")})
    with pytest.raises(ValidationError) as refused:
        config()
    (problem,) = problems_from(refused.value, config)
    assert (problem.path, problem.message.partition(" cannot")[2]) == ("held", " be written")


class Ramp(PartConfig):
    low: float = 0.0
    high: float = 1.0
    weights: dict[str, float] = knob({"a": 1.0}, "of a kind that is read back")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


def test_what_a_part_itself_refuses_is_blamed_on_no_other_setting() -> None:
    assert Ramp(low=0.5).weights == {"a": 1.0}
    with pytest.raises(ValidationError, match="low must be below high") as refused:
        Ramp(low=2.0)
    assert "weights cannot" not in str(refused.value)
