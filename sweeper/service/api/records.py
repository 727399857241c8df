"""The records of a study, as every room of the program knows trials: for clients that work out of
them what the server would, such as the terminal's own verbs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import StreamingResponse

from sweeper.service.api.caching import NOT_MODIFIED, VersionedReading, check_tag
from sweeper.service.api.routing import Responses, router
from sweeper.service.api.shape import plain
from sweeper.service.api.shapes_records import RecordsHead
from sweeper.service.readings import Reading
from sweeper.trial import Evaluation, Trial

MEDIA_TYPE = "application/x-ndjson"

records = router("trials")

_CONTENT: Responses = {
    200: {
        "description": "A line of what the study knows of the sweep, then a line each trial.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}


@records.get(
    "/sweeps/{name:part}/records",
    response_class=StreamingResponse,
    responses={**NOT_MODIFIED, **_CONTENT},
)
def get_records(
    request: Request,
    reading: VersionedReading,
    number: Annotated[list[int], Query(max_length=10_000, description="Only these trials.")] = [],  # noqa: B006
    above: Annotated[
        int | None, Query(ge=-1, lt=1 << 31, description="Trials above this number, too.")
    ] = None,
    whole: Annotated[
        bool,
        Query(
            description="With every evaluation; else only the last of each is whole, and of "
            "those before it is told when they were."
        ),
    ] = True,
) -> StreamingResponse:
    """Take out the study's records, as JSON lines."""
    headers = check_tag(request, reading.version)
    chosen = reading.standings.trials
    if number or above is not None:
        wanted, least = set(number), float("inf") if above is None else above
        chosen = tuple(one for one in chosen if one.number in wanted or one.number > least)
    lines = _lines(reading, chosen, whole)
    return StreamingResponse(lines, media_type=MEDIA_TYPE, headers=headers)


def _lines(reading: Reading, trials: tuple[Trial, ...], whole: bool) -> Iterator[str]:
    standings = reading.standings
    head = RecordsHead(
        spec=standings.sweep.to_dict(),
        planned=standings.planned,
        protocol=dict(standings.protocol),
        foreign=[asdict(entry) for entry in reading.foreign],
        folder=str(reading.folder.path),
        version=reading.version,
    )
    yield head.model_dump_json() + "\n"
    for trial in trials:
        yield json.dumps(plain((trial if whole else _brief(trial)).as_dict())) + "\n"


def _brief(trial: Trial) -> Trial:
    """The trial with all of its last evaluation, and of those before only when they were: its pace
    is to be seen, and what its values may be compared with."""
    when = (Evaluation(one.step, one.time, {}) for one in trial.evaluations[:-1])
    return replace(trial, evaluations=(*when, *trial.evaluations[-1:]))


def install(app: FastAPI) -> None:
    """Add the route."""
    app.include_router(records)
