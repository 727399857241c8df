"""The JSON schema agrees with the reader, so that an editor and `validate` say the same."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from sweeper.errors import SpecError
from sweeper.sweepfile.document import read_document
from sweeper.sweepfile.load import load_sweep
from sweeper.sweepfile.schema import sweep_schema
from tests.unit.spec_example import EXAMPLE
from trials import catalogue


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = sweep_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def read(text: str) -> Any:
    return read_document(text, "sweep.yaml").root


def test_the_example_fits(validator: jsonschema.Draft202012Validator) -> None:
    assert list(validator.iter_errors(read(EXAMPLE))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps: 1500", "stpes: 1500"),
        ("steps: 1500", "steps: many"),
        ("steps: 1500", "loss: hing"),
        ("steps: 1500", "tricks: {emma: true}"),
        ("steps: 1500", "tricks: {ema: {decay: 2}}"),
        ("steps: 1500", "preset: no_paper"),
        ("name: digits", "name: digit"),
        ("batch_size: {", "batchsize: {"),
        ("{toggle: true}", "{toggle: false}"),
        ("tricks.ema: {", "tricks.emma: {"),
        ("distribution: log_uniform", "distribution: normal"),
        ("min: 0.9,", "mn: 0.9,"),
        ("metric: fid", "metric: fed"),
        ("sampler: tpe", "sampler: tpu"),
        ("name: asha", "name: ashes"),
        ("trials: 20", "trials: none"),
        ("limits:", "limit:"),
    ],
)
def test_a_mistake_is_seen(validator: jsonschema.Draft202012Validator, old: str, new: str) -> None:
    assert old in EXAMPLE
    assert not validator.is_valid(read(EXAMPLE.replace(old, new)))


def test_a_key_with_nothing_after_it_fits_where_the_reader_takes_it(
    validator: jsonschema.Draft202012Validator,
) -> None:
    given = read(EXAMPLE)
    given["base"] |= {
        "networks": {"generator": {"width": None}, "discriminator": None},
        "tricks": {"gradient_penalty": None},
        "health": None,
    }
    given |= {"objective": None, "search": {"sampler": "tpe", "startup_trials": None}}
    given |= {"scheduler": {"name": "asha", "grace_steps": None}, "limits": {"trials": 4}}
    load_sweep(given)
    assert list(validator.iter_errors(given)) == []
    given["scheduler"] = {"name": None, "grace_steps": 100}
    assert not validator.is_valid(given)
    with pytest.raises(SpecError):
        load_sweep(given)


def test_every_trick_and_knob_can_be_completed(
    validator: jsonschema.Draft202012Validator,
) -> None:
    paths = validator.schema["properties"]["parameters"]["properties"]
    for key, trick in catalogue.toggles().items():
        assert paths[f"tricks.{key}"]["description"]
        assert {f"tricks.{key}.{knob}" for knob in trick.Config.model_fields} <= paths.keys()


def test_reading_a_stored_sweep_imports_neither_torch_nor_a_vendor() -> None:
    code = (
        "import sys; from sweeper.sweepfile import sweep_from_dict, walk\n"
        "import sweeper.sweepfile.schema\n"
        "sweep = sweep_from_dict({'name': 's', 'base': {'data': 'digits'}, 'limits': {'trials': 1},"
        " 'parameters': {'seed': {'values': [1]}}})\n"
        "walk(sweep, lambda parameter: 1)\n"
        "print(sorted({'torch', 'ray', 'optuna', 'mlflow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
