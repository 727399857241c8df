"""The registry of parts, and the fields that choose from it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import jsonschema
import pytest
from pydantic import BaseModel, Field, ValidationError

from trials.by_name import ByName, Switches
from trials.errors import ConfigError
from trials.part import Part, PartConfig, knob, register, temporary_parts
from trials.validation import problems_from


class Fruit(Part):
    kind = "fruit of these tests"


class Basket(BaseModel):
    best: Annotated[Any, ByName(Fruit, default="apple")] = Field("apple", validate_default=True)
    held: Annotated[Any, Switches(Fruit)] = Field({}, validate_default=True)


@pytest.fixture(autouse=True)
def fruits() -> Iterator[None]:
    with temporary_parts():

        class Apple(Fruit):
            key = "apple"
            summary = "keeps all winter"

            class Config(PartConfig):
                grams: int = knob(150, "its weight", ge=1, search={"min": 80, "max": 300})

        class Pear(Fruit):
            key = "pear"

        yield


def test_subclassing_registers_and_the_knobs_know_their_part() -> None:
    assert list(Fruit.all()) == ["apple", "pear"]
    apple, pear = Fruit.all().values()
    assert apple.Config.part is apple
    assert pear.Config.part is pear
    assert Basket(best="pear").best.name == "pear"
    assert apple.search_ranges() == {"grams": {"min": 80, "max": 300}}


@pytest.mark.parametrize(
    ("given", "dumped"),
    [
        ({}, {"best": {"name": "apple", "grams": 150}, "held": {}}),
        ({"best": "pear"}, {"best": {"name": "pear"}, "held": {}}),
        ({"best": {"grams": 90}}, {"best": {"name": "apple", "grams": 90}, "held": {}}),
        (
            {"held": {"pear": True, "apple": {"grams": 9}}},
            {"best": {"name": "apple", "grams": 150}, "held": {"apple": {"grams": 9}, "pear": {}}},
        ),
        ({"held": {"pear": False}}, {"best": {"name": "apple", "grams": 150}, "held": {}}),
    ],
)
def test_a_choice_is_written_out_in_full_and_reads_back_equal(given: Any, dumped: Any) -> None:
    basket = Basket.model_validate(given)
    assert basket.model_dump(mode="json") == dumped
    assert Basket.model_validate(dumped) == basket
    jsonschema.validate(given, Basket.model_json_schema())


@pytest.mark.parametrize(
    ("given", "path", "message", "nearest"),
    [
        ({"best": "aple"}, "best", "there is no fruit of these tests 'aple'", "apple"),
        ({"best": {"name": "pera"}}, "best.name", "there is no", "pear"),
        ({"best": {"name": "apple", "gram": 1}}, "best.gram", "no such setting", "grams"),
        ({"best": {"naem": "pear"}}, "best.naem", "no such setting", "name"),
        ({"best": {"name": "apple", "grams": 0}}, "best.grams", "0 is wrong", ""),
        ({"best": 3}, "best", "3 is wrong", ""),
        ({"held": {"apple": {"grams": "x"}}}, "held.apple.grams", "'x' is wrong", ""),
        ({"held": {"pears": True}}, "held.pears", "there is no", "pear"),
        ({"held": {"pear": 3}}, "held.pear", "3 is wrong", ""),
        ({"held": []}, "held", "[] is wrong", ""),
    ],
)
def test_what_is_wrong_is_told_at_its_place(
    given: Any, path: str, message: str, nearest: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Basket.model_validate(given)
    (problem,) = problems_from(caught.value, Basket)
    assert problem.path == path
    assert message in problem.message
    assert problem.nearest == nearest
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, Basket.model_json_schema())


def test_all_that_is_wrong_with_switches_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Basket.model_validate({"held": {"apple": {"grams": 0, "x": 1}, "plum": True, "pear": 4}})
    paths = {problem.path for problem in problems_from(caught.value, Basket)}
    assert paths == {"held.apple.grams", "held.apple.x", "held.plum", "held.pear"}


def test_two_parts_cannot_have_one_key_but_a_cell_may_run_twice() -> None:
    def defined(name: str) -> type[Part]:
        return type(name, (Fruit,), {"key": "plum", "__module__": "__main__"})

    first, again = defined("Plum"), defined("Plum")
    assert Fruit.named("plum") is again is not first
    with pytest.raises(TypeError, match="are called 'plum'"):
        defined("Damson")


def test_a_class_that_came_from_elsewhere_is_registered_by_hand() -> None:
    apple = Fruit.named("apple")
    with temporary_parts():
        register(apple)
        assert Fruit.named("apple") is apple
    with pytest.raises(ConfigError, match="did you mean 'apple'"):
        Fruit.named("appel")


def test_the_registry_imports_no_torch() -> None:
    code = "import sys, trials.part, trials.by_name; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
    assert json.dumps(Basket.model_json_schema())
