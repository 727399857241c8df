"""The watcher: feeds every evaluation to the signs of failure and reports what sets in.

All its state is the history of signals and which symptoms are present, as plain values, so a
watcher that is saved and resumed behaves as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema

from trials.choices import Key, read_sections
from trials.health.sign import Evidence, Sign, SignConfig, Symptom
from trials.health.signals import Signals
from trials.part import PartConfig
from trials.settings import Settings
from trials.validation import failure, problems_from

POSITIONS = 16
"""Evaluations of which the samples' position, up to thousands of numbers, is kept."""


class HealthConfig(Settings):
    """What is watched for, and what stops a trial. Everything seen is recorded either way.

    Beside `stop_on` stands a section of thresholds for every sign there is, under its key.
    """

    model_config = ConfigDict(extra="allow")

    stop_on: tuple[Annotated[str, Key(Sign)], ...] = Field(
        default=("divergence",), description="Symptoms that end the trial"
    )

    def signs(self) -> list[Sign]:
        """Every sign, with its thresholds."""
        sections: dict[str, SignConfig] = self.__pydantic_extra__ or {}
        return [thresholds.part(thresholds) for thresholds in sections.values()]

    @model_validator(mode="wrap")
    @classmethod
    def _with_sections(
        cls, value: Any, handler: ModelWrapValidatorHandler[HealthConfig]
    ) -> HealthConfig:
        if isinstance(value, cls) or not isinstance(value, Mapping):
            return handler(value)
        own = {key: given for key, given in value.items() if key in cls.model_fields}
        sections: Mapping[str, PartConfig] = {}
        problems = []
        try:
            others = {key: given for key, given in value.items() if key not in own}
            sections = read_sections(Sign, others, beside=cls.model_fields)
        except ValidationError as error:
            problems += problems_from(error, cls)
        try:
            read = handler({**own, **sections})
        except ValidationError as error:
            problems += problems_from(error, cls)
        if problems:
            raise failure(problems, value)
        return read

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        for key, sign in Sign.all().items():
            form = handler(sign.Config.__pydantic_core_schema__)
            schema["properties"][key] = {
                "anyOf": [form, {"type": "null"}],
                "description": sign.summary,
            }
        schema["additionalProperties"] = False
        return schema


class Watcher:
    """Observes one training from its first evaluation to its last."""

    def __init__(self, config: HealthConfig) -> None:
        self.signs = config.signs()
        self.history: list[Signals] = []
        self.present: set[str] = set()

    def observe(self, signals: Signals) -> list[Symptom]:
        """The symptoms that set in at this evaluation.

        One that lasts is reported once, and again only after an evaluation without it; numbers
        that are not finite are reported every time.
        """
        self.history.append(signals)
        if len(self.history) > POSITIONS:
            self.history[-POSITIONS - 1] = replace(self.history[-POSITIONS - 1], position=None)
        set_in, present = [], set()
        for sign in self.signs:
            evidence = _checked(sign.evidence(self.history), sign)
            if evidence is None:
                continue
            present.add(sign.key)
            if sign.key not in self.present or not signals.finite:
                note = sign.note(evidence)
                set_in.append(Symptom(sign.key, signals.step, evidence, sign.advice, note))
        self.present = present
        return set_in

    def state_dict(self) -> dict[str, Any]:
        """Lists, dictionaries, numbers and text only."""
        return {
            "history": [signals.as_dict() for signals in self.history],
            "present": sorted(self.present),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self.history = [Signals.from_dict(given) for given in state["history"]]
        self.present = set(state["present"])


def _checked(evidence: Any, sign: Sign) -> Evidence | None:
    """What a sign gives, if it is what a sign may give."""
    if evidence is None or isinstance(evidence, dict):
        return evidence
    told = f"the sign '{sign.key}' gives {evidence!r} as evidence"
    raise TypeError(f"{told} (expected numbers by name, or None)")
