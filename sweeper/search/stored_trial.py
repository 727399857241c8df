"""Trials as the digest of a study keeps them: what a list needs at once, the rest when asked for.

A head is a list of `HEAD`; a body is JSON with settings, configuration, evaluations and log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cached_property
from typing import Any

from sweeper.trial import Evaluation, Symptom, Trial

HEAD = (
    *("number", "state", "role", "of", "cell", "cause", "reason", "started", "ended", "attempts"),
    *("objective", "donors", "notes", "given", "steps", "planned", "pace", "protocol"),
)
"""What a head holds; the protocol by its place in a list of them."""


class StoredTrial(Trial):
    """A trial whose body is decoded when something of it is asked for."""

    @classmethod
    def decoded(cls, head: list[Any], body: bytes, protocols: list[dict[str, str]]) -> StoredTrial:
        """From a head and a body."""
        told = dict(zip(HEAD, head, strict=True))
        objective = told["objective"]
        trial = object.__new__(cls)
        vars(trial).update(
            told,
            objective=None if objective is None else tuple(objective),
            donors=tuple((step, donor) for step, donor in told["donors"]),
            notes=tuple(told["notes"]),
            protocol=protocols[told["protocol"]],
            final=None,
            _reached=told["steps"],
            _raw=body,
            _protocols=protocols,
        )
        return trial

    def __eq__(self, other: object) -> bool:
        """Whether the other is the same trial, wherever it was read."""
        if not isinstance(other, Trial):
            return NotImplemented
        names = [one.name for one in fields(Trial)]
        return all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]  # as its values and its configuration have none

    @property
    def steps(self) -> int:
        # A copy with other values (`dataclasses.replace`) has its evaluations, and no head.
        reached: int | None = vars(self).get("_reached")
        return super().steps if reached is None else reached

    @cached_property
    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(vars(self)["_raw"])
        return body

    @cached_property
    def values(self) -> Mapping[str, Any]:
        values: dict[str, Any] = self._body["values"]
        return values

    @cached_property
    def config(self) -> Mapping[str, Any]:
        config: dict[str, Any] = self._body["config"]
        return config

    @cached_property
    def log_tail(self) -> str:
        return str(self._body["log"])

    @cached_property
    def evaluations(self) -> tuple[Evaluation, ...]:
        protocols = vars(self)["_protocols"]
        return tuple(
            Evaluation(
                step,
                time,
                metrics,
                protocols[protocol],
                tuple(Symptom(**symptom) for symptom in symptoms),
                samples,
            )
            for step, time, metrics, protocol, symptoms, samples in self._body["evaluations"]
        )


def stored(trial: Trial, protocols: list[dict[str, str]]) -> tuple[list[Any], bytes]:
    """Head and body of a trial; protocols that are new are appended to the list."""
    head = [getattr(trial, name) for name in HEAD]
    head[-1] = _place(trial.protocol, protocols)
    if isinstance(trial, StoredTrial) and vars(trial).get("_protocols") is protocols:
        return head, vars(trial)["_raw"]
    body = {
        "values": trial.values,
        "config": trial.config,
        "log": trial.log_tail,
        "evaluations": [
            (
                one.step,
                one.time,
                one.metrics,
                _place(one.protocol, protocols),
                [asdict(symptom) for symptom in one.symptoms],
                one.samples,
            )
            for one in trial.evaluations
        ],
    }
    return head, json.dumps(body, separators=(",", ":")).encode()


def _place(protocol: Mapping[str, str], protocols: list[dict[str, str]]) -> int:
    for place, known in enumerate(protocols):
        if known is protocol or known == protocol:
            return place
    protocols.append(dict(protocol))
    return len(protocols) - 1
