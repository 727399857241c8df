"""One trial: how it trained, what it looks like, how it differs from the base, its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from sweeper.causes import cause
from sweeper.retention import told
from sweeper.service.actions import logs, pictures
from sweeper.service.actions.looking import entry_named, reading_of, trial_of
from sweeper.service.api.routing import SweepName, TrialNumber
from sweeper.service.app import CurrentService, Service
from sweeper.service.pages.configuration import compared
from sweeper.service.pages.mlflow import mlflow_of
from sweeper.service.pages.rendering import as_json, is_piece, page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.permission import CurrentCaller, may_change
from sweeper.service.problem import Refusal
from sweeper.service.readings import Reading
from sweeper.service.state import sweeps
from sweeper.service.state.sweeps import Entry
from sweeper.trial import Trial
from sweeper.wording import measure
from trials.metrics.measure import Measure

router = new_router()

LOG_LINES = 400
"""The end of a log that is shown."""

_PARTS = {"about": "trial/about.html", "film": "trial/film.html", "log": "trial/log.html"}


@router.get("/sweeps/{name}/trials/{number}")
def trial_page(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    name: SweepName,
    number: TrialNumber,
    part: str = "",
) -> Response:
    """The whole page, or with `part` a live piece of it."""
    entry = entry_named(service, name)
    trial = trial_of(service, entry, number)
    shown = _shown(service, entry, trial) | {"mine": may_change(caller, entry)}
    if part and part not in _PARTS:
        raise Refusal(404, "not-found", f"The page of a trial has no part {part!r}.")
    template = _PARTS[part] if part and is_piece(request) else "trial.html"
    return page(request, template, **shown)


@router.get("/sweeps/{name}/trials/{number}/chart")
def chart(service: CurrentService, name: SweepName, number: TrialNumber) -> Response:
    """Every metric of a trial by step."""
    entry = entry_named(service, name)
    trial = trial_of(service, entry, number)
    objectives = reading_of(service, entry).standings.metrics
    steps = [evaluation.step for evaluation in trial.evaluations]
    curves = {metric: trial.curve(metric) for metric in _metrics(trial, objectives)}
    return as_json(
        {
            "steps": steps,
            "metrics": [
                {"name": measure(metric), "values": [curve.get(step) for step in steps]}
                for metric, curve in curves.items()
                if curve
            ],
        }
    )


def _shown(service: Service, entry: Entry, trial: Trial) -> dict[str, Any]:
    reading = reading_of(service, entry)
    standings = reading.standings
    standing = next((one for one in standings.order if one.trial.number == trial.number), None)
    base = standings.base.config if standings.base else standings.sweep.base
    with service.database.reading() as session:
        orders = sweeps.orders_of(session, entry.sweep.id)
    return {
        "entry": entry,
        "trial": trial,
        "standings": standings,
        "metrics": _metrics(trial, standings.metrics),
        "rank": standing.rank if standing else None,
        "confirmed": standing.confirmed if standing else None,
        "cause": cause(trial.cause).words if trial.cause else "",
        "orders": [order for order in orders if order.number == trial.number],
        "let_go": told(reading.folder.trial(trial.number)),
        "pictures": [
            (one.step, standings.curve(trial).get(one.step))
            for one in trial.evaluations
            if pictures.samples_at(reading.folder, trial, one.step) is not None
        ],
        "rows": compared([trial.config, base]),
        "is_base": trial.role == "base",
        "log": _end_of_log(reading, trial),
        "neighbours": _neighbours(reading, trial),
        "mlflow": mlflow_of(service, entry.sweep.name).trial(trial.number),
    }


def _metrics(trial: Trial, objectives: Sequence[str]) -> list[str]:
    """What was measured: what is optimised, then the other measures, then whatever was logged."""
    seen = dict.fromkeys(name for one in trial.evaluations for name in one.metrics)
    first = dict.fromkeys((*objectives, *Measure.all()))
    return [*(name for name in first if name in seen), *(n for n in seen if n not in first)]


def _neighbours(reading: Reading, trial: Trial) -> tuple[int | None, int | None]:
    """The numbers before and after."""
    numbers = sorted(reading.by_number)
    at = numbers.index(trial.number)
    before = numbers[at - 1] if at else None
    return before, numbers[at + 1] if at + 1 < len(numbers) else None


def _end_of_log(reading: Reading, trial: Trial) -> str:
    """The end of what the trial has written; what its end kept of it where the file is gone."""
    log = logs.log_of(reading.folder, trial.number)
    return "\n".join(logs.tail(log, LOG_LINES).lines) or trial.log_tail
