"""Runs that something else logged in MLflow, read as records of trials.

A mapping file says where things stand in a run, as `metrics.NAME`, `params.NAME` or `tags.NAME`;
docs/import-mlflow.md has an example.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from sweeper.errors import SpecError, UserError
from sweeper.secrets import without_user
from sweeper.sweepfile.document import read_document, read_text
from sweeper.tracking.runs import experiment_names, find_runs
from trials.validation import problems_from

ON = ("true", "yes", "on", "1")
KINDS = ("metrics", "params", "tags")

NO_VALUE = "no_value"
"""Symptom of a run that finished without logging its objective."""


class Meanings(BaseModel):
    """Where things stand in a run."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    objective: str
    """Where the value is that counts; what stands after the dot names it in tables."""
    goal: Literal["minimize", "maximize"] = "minimize"
    """Which way is better."""
    cell: str | None = None
    """What the rows of a table are, such as the name of a method; without it runs of the same
    parameters and tricks make a row."""
    seed: str | None = None
    """Where the seed is, a whole number; with it differences are taken seed by seed."""
    step: str | None = None
    """Where it says how many steps a run was trained."""
    parameters: dict[str, str] = {}
    """Settings by a name of your own, each with its place."""
    tricks: dict[str, str] = {}
    """The same of what is on or off: on where the value is true, yes, on or 1."""
    protocol: dict[str, str] = {}
    """What a value depends on beside the model, such as the weights behind an FID: runs that differ
    in any of these never meet in a table."""

    @property
    def metric(self) -> str:
        """What the objective is called."""
        return self.objective.partition(".")[2]

    def places(self) -> Iterator[tuple[str, str]]:
        """(key of the mapping, place in a run) of everything that is mapped."""
        for name in ("objective", "cell", "seed", "step"):
            place = getattr(self, name)
            if place is not None:
                yield name, place
        for group in ("parameters", "tricks", "protocol"):
            for name, place in getattr(self, group).items():
                yield f"{group}.{name}", place

    @field_validator("objective", "cell", "seed", "step")
    @classmethod
    def _one_place(cls, place: str | None) -> str | None:
        return place if place is None else _checked(place)

    @field_validator("parameters", "tricks", "protocol")
    @classmethod
    def _many_places(cls, places: dict[str, str]) -> dict[str, str]:
        return {name: _checked(place) for name, place in places.items()}


def _checked(place: str) -> str:
    kind, dot, name = place.partition(".")
    if kind not in KINDS or not dot or not name:
        raise ValueError(
            f"'{place}' is not a place in a run; expected metrics., params. or tags.NAME"
        )
    return place


def read_mapping(path: Path) -> Meanings:
    """The mapping in a YAML file.

    Raises:
        UserError: with everything that is wrong with the file.
    """
    try:
        document = read_document(read_text(path), str(path))
    except SpecError as error:  # it is no sweep's
        raise UserError("not a valid mapping:", error.problems) from error
    if document.readable and not isinstance(document.root, dict):
        document.add((), "is not a mapping", "a mapping that begins with `objective: metrics.NAME`")
    if isinstance(document.root, dict):
        try:
            meanings = Meanings.model_validate(document.root)
        except ValidationError as error:
            for problem in problems_from(error, Meanings):
                document.add(
                    tuple(problem.path.split(".")),
                    problem.message,
                    problem.expected,
                    problem.nearest,
                )
    if document.problems:
        raise UserError("not a valid mapping:", document.in_file_order())
    return meanings


def foreign_records(uri: str, experiment: str, meanings: Meanings) -> list[dict[str, Any]]:
    """One record a run, as `sweeper.ablation.dataset.trial_table` takes them.

    A run that did not finish, or has no finite objective, counts as failed; but a run without an
    objective that only holds others below it is none.

    Raises:
        UserError: there is no such experiment, or its runs do not have what the mapping names.
        TrackingError: MLflow cannot be read.
    """
    runs = find_runs(uri, experiment)
    if not runs:
        near = difflib.get_close_matches(experiment, experiment_names(uri), n=1)
        hint = f"; did you mean {near[0]!r}?" if near and near[0] != experiment else ""
        where = f"in an experiment called {experiment!r} at {without_user(uri)}"
        raise UserError(f"there are no runs {where}{hint}")
    _refuse_absent(runs, meanings)
    above = {run["parent"] for run in runs}
    own = [
        run
        for run in runs
        if run["run_id"] not in above or _number(_at(run, meanings.objective)) is not None
    ]
    return [_record(number, run, meanings) for number, run in enumerate(own)]


def _refuse_absent(runs: Sequence[Mapping[str, Any]], meanings: Meanings) -> None:
    """A place that no run has is a slip of the mapping: without it the table would be another."""
    columns = sorted({f"{kind}.{name}" for run in runs for kind in KINDS for name in run[kind]})
    lines = []
    for name, place in meanings.places():
        if place not in columns:
            near = difflib.get_close_matches(place, columns, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            lines.append(f"  {name}: no run has {place!r}{hint}")
    if lines:
        raise UserError("\n".join(["the mapping names what is not there:", *lines]))


def _record(number: int, run: Mapping[str, Any], meanings: Meanings) -> dict[str, Any]:
    objective = _number(_at(run, meanings.objective))
    done = run["status"] == "FINISHED" and objective is not None
    record: dict[str, Any] = {
        "number": number,
        "state": "completed" if done else "running" if run["status"] == "RUNNING" else "failed",
        "role": "search",
        "objective": objective if done else None,
        "symptom": None if done else _symptom(run),
        "values": {name: _plain(_at(run, at)) for name, at in meanings.parameters.items()},
        "tricks": {name: str(_at(run, at)).lower() in ON for name, at in meanings.tricks.items()},
        "protocol": {
            name: str(value)
            for name, at in meanings.protocol.items()
            if (value := _at(run, at)) is not None
        },
        "started": run["started"],
        "ended": run["ended"],
    }
    for name in ("cell", "seed", "step"):
        place = getattr(meanings, name)
        value = None if place is None else _at(run, place)
        if value is not None:
            key = "steps" if name == "step" else name
            record[key] = str(value) if name == "cell" else _whole(value, name, place, run)
    return record


def _whole(value: Any, name: str, place: str, run: Mapping[str, Any]) -> int:
    number = _number(value)
    if number is None or not number.is_integer():
        where = f"{name}: {place} of run {run['run_id']}"
        raise UserError(f"{where} is {value!r}; expected a whole number")
    return int(number)


def _symptom(run: Mapping[str, Any]) -> str:
    return NO_VALUE if run["status"] == "FINISHED" else str(run["status"]).lower()


def _at(run: Mapping[str, Any], place: str) -> Any:
    kind, _, name = place.partition(".")
    return run[kind].get(name)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _plain(text: Any) -> Any:
    """A parameter as the number or truth value that it says; MLflow keeps all of them as text."""
    if not isinstance(text, str):
        return text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
