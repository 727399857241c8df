"""Thresholds of the signs and what follows from a new one; `test_promises` has the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from sweeper.sweepfile.schema import sweep_schema
from sweeper.testing.small import SMALL
from sweeper.testing.watched import failing, reports
from trials.config import load_config, problems_of
from trials.health import HealthConfig, Sign, Signals
from trials.health.documentation import page
from trials.health.sign import SignConfig
from trials.part import knob, temporary_parts

SIGNS = Sign.all()
every_sign = pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS.keys())


@every_sign
def test_no_threshold_is_dead(sign: type[Sign]) -> None:
    histories = [failing(example) for example in sign.examples]
    # Where FID is bad from the first and falls a little, it depends on what counts as recovery.
    histories += [failing(example, onset=2, fall=0.3) for example in sign.examples]

    def outcome(**knobs: Any) -> list[list[int]]:
        seen = [reports(history, **{sign.key: knobs}) for history in histories]
        return [[s.step for s in symptoms if s.name == sign.key] for symptoms in seen]

    before = outcome()
    for name, field in sign.Config.model_fields.items():
        turned = [value for value in _other_values(field) if _valid(sign, {name: value})]
        assert any(outcome(**{name: value}) != before for value in turned), f"{name} is dead"


def _other_values(field: FieldInfo) -> Iterator[Any]:
    default = field.default
    if isinstance(default, int):
        yield from (default + 1, default + 4, default * 4)
    else:
        yield from (default * factor for factor in (0.0, 1e-4, 0.1, 0.5, 2, 10, 1e3))
        yield 1 - (1 - default) / 4


def _valid(sign: type[Sign], knobs: Mapping[str, Any]) -> bool:
    try:
        sign.Config.model_validate(knobs)
    except ValidationError:
        return False
    return True


@every_sign
def test_its_thresholds_are_read_written_and_explained(sign: type[Sign]) -> None:
    given = {"stop_on": [sign.key], sign.key: {"persistence": 7}}
    config = HealthConfig.model_validate(given)
    written = config.model_dump(mode="json")
    assert written["stop_on"] == [sign.key]
    assert written[sign.key] == sign.Config(persistence=7).model_dump(mode="json")
    assert HealthConfig.model_validate(written) == config != HealthConfig()
    jsonschema.validate(written, HealthConfig.model_json_schema())
    assert HealthConfig.model_validate({sign.key: None}) == HealthConfig()

    wrong = {"stop_on": [f"{sign.key}s"], f"{sign.key}_": {}, sign.key: {"persistense": 2}}
    problems = problems_of({**SMALL, "health": wrong})
    assert {problem.path: problem.nearest for problem in problems} == {
        "health.stop_on.0": sign.key,
        f"health.{sign.key}_": sign.key,
        f"health.{sign.key}.persistense": "persistence",
    }
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, HealthConfig.model_json_schema())


def test_what_is_no_section_is_told_beside_what_else_is_wrong() -> None:
    problems = problems_of({**SMALL, "health": {"stop_onn": [], "divergence": 3, "stop_on": 1}})
    assert {problem.path: problem.nearest for problem in problems} == {
        "health.stop_onn": "stop_on",
        "health.divergence": "",
        "health.stop_on": "",
    }


def test_a_sign_needs_one_class_and_nothing_else() -> None:
    with temporary_parts():

        class Blurred(Sign):
            """Defined here, and known everywhere."""

            key = "test_only_blurred"
            summary = "The samples are blurred"
            advice = "Look at them."
            source = "this test"

            class Config(SignConfig):
                least: float = knob(0.5, "Diversity that is blurred", gt=0)

            def evidence(self, history: Sequence[Signals]) -> dict[str, float] | None:
                last = history[-self.config.persistence :]
                values = [signals.diversity or 0.0 for signals in last]
                return {"diversity": values[-1]} if max(values) < self.config.least else None

            def note(self, evidence: dict[str, float]) -> str:
                return f"Diversity is {evidence['diversity']:.2f}."

        health = {"stop_on": ["test_only_blurred"], "test_only_blurred": {"least": 0.3}}
        config = load_config({**SMALL, "health": health})
        assert config.as_dict()["health"]["test_only_blurred"] == {"persistence": 3, "least": 0.3}
        (problem,) = problems_of({**SMALL, "health": {"stop_on": ["test_only_blured"]}})
        assert problem.nearest == "test_only_blurred"
        assert "test_only_blurred" in [
            symptom.name for symptom in reports(failing({"diversity": (0.2,)}), **health)
        ]
        assert "### `test_only_blurred`" in page()
        sections = sweep_schema()["$defs"]["HealthConfig"]["properties"]
        assert "test_only_blurred" in sections
    assert "test_only_blurred" not in HealthConfig().model_dump()
