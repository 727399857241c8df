"""A sweep file looked at before it is submitted: what is wrong with it, and what it would do."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeper.errors import Problem, SpecError
from sweeper.preview import overview_of, preview_of
from sweeper.service.actions.children import VerbFailed, run_verb
from sweeper.service.actions.drafts import FILE, read_draft, written
from sweeper.service.app import Service
from sweeper.sweepfile.model import Sweep
from trials.errors import DataError, ExtractorError


@dataclass(frozen=True)
class Checked:
    """What `sweeper validate` says of a file: `overview` is empty where there are problems."""

    problems: Sequence[Problem] = ()
    overview: dict[str, Any] = field(default_factory=dict)


def validate(service: Service, text: str) -> Checked:
    """Say what is wrong with a file, or how much it would run. Nothing is done."""
    try:
        return Checked(overview=_overview(service, read_draft(service, text)))
    except SpecError as error:
        return Checked(error.problems)


def preview(service: Service, text: str, *, count: int, probe: bool) -> dict[str, Any]:
    """The first configurations of a file and how many there will be; with `probe`, a forecast of
    the time that they take, from a short training in a process of its own.

    Raises:
        SpecError: the file is wrong.
        Refusal: the short training takes too long here.
    """
    sweep = read_draft(service, text)
    overview = _overview(service, sweep)
    forecast = _forecast(service, sweep) if probe else None
    return {**overview, **preview_of(sweep, count, service.settings.home), "forecast": forecast}


def _overview(service: Service, sweep: Sweep) -> dict[str, Any]:
    try:
        return overview_of(sweep, service.settings.home)
    except ExtractorError as error:
        problem = Problem("base.evaluation.extractor", str(error), file=FILE)
        raise SpecError([problem]) from error
    except DataError as error:
        raise SpecError([Problem("base.data", str(error), file=FILE)]) from error


def _forecast(service: Service, sweep: Sweep) -> dict[str, Any] | None:
    """What `sweeper preview` measures."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        file.write_text(written(sweep), encoding="utf-8")
        asked = ("preview", str(file), "--json", "--count", "1")
        try:
            said = run_verb(service.settings.home, *asked)
        except VerbFailed as error:
            told = f"a short training of it fails: {error}"
            raise SpecError([Problem("base", told, file=FILE)]) from error
    forecast: dict[str, Any] | None = json.loads(said)["forecast"]
    return forecast
