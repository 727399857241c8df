"""Trials: list, look, curves, pictures; stop, retry, enqueue, fork."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, Path, Query, Response, status
from fastapi.responses import FileResponse

from sweeper.service.actions import orders, pictures, submitting
from sweeper.service.actions.submitting import Submission
from sweeper.service.api.caching import VersionedReading, versioned
from sweeper.service.api.paging import Cursor, Limit, cursor_after, page_of, read_cursor
from sweeper.service.api.routing import (
    CONFLICT,
    NamedEntry,
    NamedReading,
    NamedTrial,
    Responses,
    SweepName,
    TrialNumber,
    router,
)
from sweeper.service.api.shapes_sweeps import ForkAsked, OrderShape, SubmittedShape
from sweeper.service.api.shapes_trials import (
    CurveShape,
    CurvesShape,
    EnqueueAsked,
    RetryAsked,
    SamplesShape,
    StopAsked,
    TrialDetail,
    TrialPage,
    TrialShape,
)
from sweeper.service.api.sweeps import Key, submitted, yaml_file
from sweeper.service.app import CurrentService
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.problem import Refusal
from sweeper.service.readings import Reading
from sweeper.standings.values import is_number, sign
from sweeper.trial import Role, Trial, TrialState

told = versioned("trials")
trials = router("trials")
writing = router("trials", "submit")

Sort = Literal["number", "rank", "value", "reached"]
_TRIAL = "/sweeps/{name:part}/trials/{number:part}"

Metrics = Annotated[
    list[str],
    Query(max_length=50, description="Measures by name; by default what is optimised."),
]
PNG: Responses = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}


@told.get("/sweeps/{name:part}/trials")
def list_trials(
    reading: VersionedReading,
    state: Annotated[list[TrialState], Query(description="Only those in one of these.")] = [],  # noqa: B006
    role: Annotated[list[Role], Query(description="Only those with one of these.")] = [],  # noqa: B006
    sort: Annotated[
        Sort,
        Query(
            description="`rank` is the place in the standings, `value` the final value of the "
            "first objective, `reached` the best on the way; from the best on."
        ),
    ] = "number",
    descending: Annotated[bool, Query(description="From the last, or the worst, on.")] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> TrialPage:
    """List the trials of a sweep."""
    found = [
        trial
        for trial in reading.standings.trials
        if (not state or trial.state in state) and (not role or trial.role in role)
    ]
    order = f"{sort}{'-' if descending else ''}"
    after = read_cursor(cursor, order, (int, float, int))
    direction = -1 if descending else 1

    def key(trial: Trial) -> tuple[int, float, int]:
        value = _sorted_by(reading, trial, sort)
        shown = 0.0 if value is None else direction * value
        return int(value is None), shown, direction * trial.number

    page, last = page_of(found, key, after=after, limit=limit)
    return TrialPage(
        items=[TrialShape.seen(trial, reading) for trial in page],
        next=cursor_after(order, *last) if last else None,
        total=len(found),
    )


@told.get(_TRIAL)
def get_trial(trial: NamedTrial, reading: VersionedReading) -> TrialDetail:
    """Look at one trial."""
    return TrialDetail.seen(trial, reading)


@told.get("/sweeps/{name:part}/curves")
def get_curves(
    reading: VersionedReading,
    metric: Metrics = [],  # noqa: B006
    number: Annotated[
        list[int],
        Query(max_length=1000, description="Trials by number; by default all of the search."),
    ] = [],  # noqa: B006
) -> CurvesShape:
    """Take out measures over steps, of many trials at once."""
    chosen = (
        [reading.by_number[one] for one in dict.fromkeys(number) if one in reading.by_number]
        if number
        else reading.standings.search
    )
    return _curves(reading, chosen, metric)


@told.get(f"{_TRIAL}/curves")
def get_trial_curves(
    trial: NamedTrial,
    reading: VersionedReading,
    metric: Annotated[
        list[str], Query(max_length=50, description="Measures by name; by default every one.")
    ] = [],  # noqa: B006
) -> CurvesShape:
    """Take out the measures of one trial over its steps."""
    every = dict.fromkeys(name for one in trial.evaluations for name in one.metrics)
    return _curves(reading, [trial], metric or list(every))


@trials.get(f"{_TRIAL}/samples")
def list_samples(trial: NamedTrial) -> SamplesShape:
    """List the steps of which there are pictures of samples."""
    return SamplesShape(steps=[one.step for one in trial.evaluations if one.samples])


@trials.get(f"{_TRIAL}/samples/{{step}}", response_class=Response, responses=PNG)
def get_samples(
    trial: NamedTrial,
    reading: NamedReading,
    step: Annotated[int, Path(ge=0, lt=1 << 31, description="A step of `…/samples`.")],
) -> FileResponse:
    """Take out the picture of samples of one step, as PNG."""
    picture = pictures.samples_at(reading.folder, trial, step)
    if picture is None:
        raise Refusal(404, "no-samples", f"trial {trial.name} has no samples of step {step}")
    name = f"{reading.folder.name}-{trial.name}-{step:06d}.png"
    return FileResponse(
        picture,
        media_type="image/png",
        headers={"cache-control": "private, max-age=3600"},
        filename=name,
        content_disposition_type="inline",
    )


@trials.get(
    f"{_TRIAL}/file",
    response_class=Response,
    responses={200: {"content": {"application/yaml": {"schema": {"type": "object"}}}}},
)
def get_trial_file(entry: NamedEntry, number: TrialNumber, service: CurrentService) -> Response:
    """Take out the sweep's file with this trial's configuration for its base, as YAML."""
    name = entry.sweep.name
    return yaml_file(submitting.file_of(service, name, number), f"{name}-{number:05d}")


@writing.post(f"{_TRIAL}:stop", status_code=status.HTTP_202_ACCEPTED, responses=CONFLICT)
def stop_trial(
    name: SweepName,
    number: TrialNumber,
    service: CurrentService,
    caller: CurrentCaller,
    asked: StopAsked | None = None,
) -> OrderShape:
    """End a trial; the study is told as of one that was pruned, with the reason."""
    reason = asked.reason if asked else ""
    return OrderShape.of(orders.stop_trial(service, caller, name, number, reason))


@writing.post(f"{_TRIAL}:retry", status_code=status.HTTP_202_ACCEPTED, responses=CONFLICT)
def retry_trial(
    name: SweepName,
    number: TrialNumber,
    service: CurrentService,
    caller: CurrentCaller,
    asked: RetryAsked | None = None,
) -> OrderShape:
    """Try a failed trial again, under its number."""
    anew = asked.anew if asked else False
    return OrderShape.of(orders.retry_trial(service, caller, name, number, anew=anew))


@writing.post(
    "/sweeps/{name:part}/trials:enqueue", status_code=status.HTTP_202_ACCEPTED, responses=CONFLICT
)
def enqueue_trial(
    name: SweepName, asked: EnqueueAsked, service: CurrentService, caller: CurrentCaller
) -> OrderShape:
    """Have a sweep run a configuration of one's own, within its limits."""
    return OrderShape.of(orders.enqueue(service, caller, name, asked.values))


@writing.post(f"{_TRIAL}:fork", status_code=status.HTTP_201_CREATED, responses=CONFLICT)
def fork_trial(
    name: SweepName,
    number: TrialNumber,
    asked: ForkAsked,
    service: CurrentService,
    caller: CurrentCaller,
    response: Response,
    key: Key = None,
) -> SubmittedShape:
    """Submit a new sweep whose base is this trial's configuration."""
    given = Submission("", asked.set, asked.priority)
    done = submitting.fork(service, caller, name, given, name=asked.name, trial=number, key=key)
    return submitted(done, response)


@trials.get("/sweeps/{name:part}/orders")
def list_orders(name: SweepName, service: CurrentService) -> list[OrderShape]:
    """List what was asked of a sweep's trials, and how it went."""
    return [OrderShape.of(order) for order in orders.orders_of(service, name)[1]]


def install(app: FastAPI) -> None:
    """Add the routes."""
    app.include_router(told)
    app.include_router(trials)
    app.include_router(writing)


def _sorted_by(reading: Reading, trial: Trial, sort: Sort) -> float | None:
    """What a list is sorted by, the best first; None stands last."""
    standings = reading.standings
    if sort == "number":
        return 0.0
    if sort == "rank":
        return standings.ranks.get(trial.number)
    value = standings.final(trial) if sort == "value" else standings.best_on_the_way(trial)
    return sign(standings.goal) * value if value is not None and is_number(value) else None


def _curves(
    reading: Reading, trials: list[Trial] | tuple[Trial, ...], metrics: list[str]
) -> CurvesShape:
    standings = reading.standings
    curves = []
    for trial in trials:
        for metric in metrics or standings.metrics:
            if curve := trial.curve(metric, standings.protocol):
                steps, values = list(curve), list(curve.values())
                curves.append(
                    CurveShape(number=trial.number, metric=metric, steps=steps, values=values)
                )
    return CurvesShape(version=reading.version, curves=curves)
