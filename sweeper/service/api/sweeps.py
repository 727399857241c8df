"""Sweeps: submit, list, look, change, steer, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Header, Query, Request, Response, status
from starlette.concurrency import run_in_threadpool

from sweeper.service.actions import changing, deleting, submitting
from sweeper.service.actions.changing import Changes
from sweeper.service.actions.submitting import Submission, Submitted
from sweeper.service.api.bodies import FILE_BODY, MEDIA_REFUSED, YAML, FileText
from sweeper.service.api.paging import Cursor, Descending, Limit, cursor_after, read_cursor
from sweeper.service.api.routing import (
    CONFLICT,
    NamedEntry,
    SweepName,
    router,
)
from sweeper.service.api.shapes_sweeps import (
    ChangesAsked,
    ForkAsked,
    MoreAsked,
    SubmittedShape,
    SweepDetail,
    SweepPage,
    SweepShape,
)
from sweeper.service.app import CurrentService, Service
from sweeper.service.memo import Sent
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.state import listing
from sweeper.service.state.accounts import Caller
from sweeper.service.state.listing import Sort, Wish
from sweeper.service.state.tables import Priority, SweepState

sweeps = router("sweeps")
writing = router("sweeps", "submit")
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of your own: the same request sent again is answered as the first "
        "time, and does nothing. Kept for a week.",
    ),
]
Retried = Annotated[
    list[str],
    Query(max_length=50, description="Causes by which trials that failed are tried again."),
]
Overrides = Annotated[
    list[str],
    Query(
        alias="set",
        max_length=100,
        description="Single values laid over the file, as `limits.trials=5`.",
    ),
]
Accepted = Annotated[
    bool, Query(description="Go on where values would be measured by another protocol.")
]
Order = Annotated[Sort, Query(description="What the list is sorted by.")]


@writing.post(
    "/sweeps",
    status_code=status.HTTP_201_CREATED,
    openapi_extra=FILE_BODY,
    responses=CONFLICT | MEDIA_REFUSED,
)
def submit_sweep(
    text: FileText,
    service: CurrentService,
    caller: CurrentCaller,
    response: Response,
    key: Key = None,
    overrides: Overrides = [],  # noqa: B006 - FastAPI copies it
    priority: Priority = "normal",
    retry_failed: Retried = [],  # noqa: B006
    accept_protocol: Accepted = False,
) -> SubmittedShape:
    """Submit a sweep.

    The body is a sweep file, YAML or JSON. It is checked as a whole; every problem comes with its
    line. Names of sweeps are unique over the server.
    """
    given = Submission(
        text, overrides, priority, retry_failed=retry_failed, accept_protocol=accept_protocol
    )
    return submitted(submitting.submit(service, caller, given, key), response)


@sweeps.get("/sweeps", response_model=SweepPage)
async def list_sweeps(
    request: Request,
    service: CurrentService,
    caller: CurrentCaller,
    state: Annotated[list[SweepState], Query(description="Only those in one of these.")] = [],  # noqa: B006
    owner: Annotated[str, Query(max_length=100, description="Only this person's.")] = "",
    text: Annotated[
        str, Query(max_length=200, description="Words, each in name, owner or description.")
    ] = "",
    sort: Order = "created",
    descending: Descending = True,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List sweeps."""

    async def made() -> Sent:
        wish = Wish(state, owner, text)
        page = await run_in_threadpool(
            _page, service, caller, wish, sort, descending, cursor, limit
        )
        return Sent(page.model_dump_json().encode(), {"content-type": "application/json"})

    asked = (service.lookups.version(), caller.person.id, caller.is_admin, request.url.query)
    # Once for each state of the database, where that says so.
    sent = await (made() if asked[0] is None else service.answers.of(f"sweeps {asked}", made))
    return Response(sent.body, headers=dict(sent.headers))


def _page(
    service: Service,
    caller: Caller,
    wish: Wish,
    sort: Sort,
    descending: bool,
    cursor: str | None,
    limit: int,
) -> SweepPage:
    kind = float if sort in ("created", "since") else str
    key = read_cursor(cursor, sort, (kind, str))
    after = None if key is None else (key[0], key[1])
    with service.database.reading() as session:
        found = listing.listed(
            session, wish, sort=sort, descending=descending, after=after, limit=limit + 1
        )
    page, last = found[:limit], found[limit - 1] if len(found) > limit else None
    return SweepPage(
        items=[SweepShape.of(entry, caller) for entry in page],
        next=cursor_after(sort, listing.key_of(last, sort), last.sweep.id) if last else None,
    )


@sweeps.get("/sweeps/{name:part}")
async def get_sweep(entry: NamedEntry, caller: CurrentCaller) -> SweepDetail:
    """Look at one sweep, by name or id."""
    return SweepDetail.of(entry, caller)


@writing.patch("/sweeps/{name:part}", responses=CONFLICT)
def change_sweep(
    name: SweepName, asked: ChangesAsked, service: CurrentService, caller: CurrentCaller
) -> SweepDetail:
    """Change a sweep's limits, priority or description."""
    limits = asked.limits.given if asked.limits else None
    changes = Changes(limits, asked.priority, asked.description)
    return SweepDetail.of(changing.change(service, caller, name, changes), caller)


@writing.delete("/sweeps/{name:part}", status_code=status.HTTP_202_ACCEPTED)
def delete_sweep(name: SweepName, service: CurrentService, caller: CurrentCaller) -> None:
    """Delete a sweep with all that it has left.

    It is out of every list at once. Its folder, study and MLflow runs go as soon as no process is
    at it; until then its name is taken.
    """
    deleting.delete(service, caller, name)


@writing.post("/sweeps/{name:part}:pause", responses=CONFLICT)
def pause_sweep(name: SweepName, service: CurrentService, caller: CurrentCaller) -> SweepDetail:
    """Start no new trials; those that run go on."""
    return SweepDetail.of(changing.want(service, caller, name, "pause"), caller)


@writing.post("/sweeps/{name:part}:stop", responses=CONFLICT)
def stop_sweep(name: SweepName, service: CurrentService, caller: CurrentCaller) -> SweepDetail:
    """End a sweep when its running trials have ended."""
    return SweepDetail.of(changing.want(service, caller, name, "stop"), caller)


@writing.post("/sweeps/{name:part}:cancel", responses=CONFLICT)
def cancel_sweep(name: SweepName, service: CurrentService, caller: CurrentCaller) -> SweepDetail:
    """End a sweep now; running trials keep their checkpoints."""
    return SweepDetail.of(changing.want(service, caller, name, "cancel"), caller)


@writing.post("/sweeps/{name:part}:resume", responses=CONFLICT)
def resume_sweep(
    name: SweepName,
    service: CurrentService,
    caller: CurrentCaller,
    retry_failed: Retried = [],  # noqa: B006
    accept_protocol: Accepted = False,
) -> SweepDetail:
    """Go on with a sweep that was paused or has ended."""
    entry = changing.resume(
        service, caller, name, retry_failed=retry_failed, accept_protocol=accept_protocol
    )
    return SweepDetail.of(entry, caller)


@writing.post("/sweeps/{name:part}:extend", responses=CONFLICT)
def extend_sweep(
    name: SweepName, asked: MoreAsked, service: CurrentService, caller: CurrentCaller
) -> SweepDetail:
    """Raise limits of a sweep, and go on with it where they had ended it."""
    return SweepDetail.of(changing.extend(service, caller, name, asked.given), caller)


@writing.post("/sweeps/{name:part}:fork", status_code=status.HTTP_201_CREATED, responses=CONFLICT)
def fork_sweep(
    name: SweepName,
    asked: ForkAsked,
    service: CurrentService,
    caller: CurrentCaller,
    response: Response,
    key: Key = None,
) -> SubmittedShape:
    """Submit a new sweep that is made of this one's file."""
    given = Submission("", asked.set, asked.priority)
    done = submitting.fork(service, caller, name, given, name=asked.name, key=key)
    return submitted(done, response)


@sweeps.get(
    "/sweeps/{name:part}/file",
    response_class=Response,
    responses={200: {"content": {YAML: {"schema": {"type": "object"}}}}},
)
def get_sweep_file(entry: NamedEntry) -> Response:
    """Take a sweep's file out, as YAML."""
    return yaml_file(entry.sweep.source, entry.sweep.name)


def yaml_file(text: str, name: str) -> Response:
    """A sweep file as an answer."""
    headers = {"content-disposition": f'attachment; filename="{name}.yaml"'}
    return Response(text, media_type=YAML, headers=headers)


def submitted(done: Submitted, response: Response) -> SubmittedShape:
    """The answer to a submission, and its headers."""
    if done.again:
        response.headers["idempotency-replayed"] = "true"
    answer = SubmittedShape.model_validate(done.answer)
    response.headers["location"] = f"/api/v1/sweeps/{answer.name}"
    return answer


def install(app: FastAPI) -> None:
    """Add the routes."""
    app.include_router(sweeps)
    app.include_router(writing)
