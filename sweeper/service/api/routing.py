"""What the routers share: who asks, which sweep, and what may go wrong."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor

from sweeper.service.actions import looking
from sweeper.service.app import CurrentService, Service
from sweeper.service.problem import Fault, Refusal
from sweeper.service.readings import Reading
from sweeper.service.state.sweeps import Entry
from sweeper.trial import Trial

API = "/api/v1"

Responses = dict[int | str, dict[str, Any]]
"""Responses of a route as OpenAPI tells of them."""


class _Part(Convertor[str]):
    """A piece of a path without a colon: what follows one is a verb, `…/NAME:stop`."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("part", _Part())

BEARER = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="swp_…",
    description=(
        "A token of the server, made by `sweeper token` or on the page. Its scope is `read`, "
        "`submit` (which reads too) or `admin` (which does everything)."
    ),
    auto_error=False,  # the guard has seen to it
)

SweepName = Annotated[
    str, Path(max_length=200, description="A sweep's name, or its id.", examples=["quickstart"])
]
TrialNumber = Annotated[int, Path(ge=0, lt=1 << 31, description="A trial's number.", examples=[7])]


async def clean(request: Request) -> None:
    """See that no parameter holds a character that no text has.

    Raises:
        Refusal: one does; status 422.
    """
    given = {**request.path_params, **request.query_params}
    if "\0" in "".join(f"{key}{value}" for key, value in given.items()):
        fault = Fault(where="path or query", what="holds the character U+0000")
        raise Refusal(422, "invalid", "The address is not one.", problems=[fault])


def router(
    tag: str,
    scope: str = "read",
    *,
    route_class: type[APIRoute] = APIRoute,
    responses: Responses | None = None,
) -> APIRouter:
    """A router whose routes need a token of this scope; the guard asks for the token, and for
    `submit` where the method writes."""
    return APIRouter(
        prefix=API,
        tags=[tag],
        dependencies=[Depends(clean), Security(BEARER, scopes=[scope])],
        route_class=route_class,
        responses=responses,
        generate_unique_id_function=lambda route: route.name,
    )


def problems(**kinds: str) -> Responses:
    """Responses that tell of problems, for OpenAPI: `problems(s409="…")`."""
    return {
        int(status.removeprefix("s")): {
            "description": words,
            "content": {"application/problem+json": {"schema": PROBLEM}},
        }
        for status, words in kinds.items()
    }


PROBLEM = {"$ref": "#/components/schemas/ProblemDetails"}

CONFLICT = problems(s409="Not now: its state, or something of the same name, is in the way.")


async def found(service: Service, name: str) -> tuple[Entry, Reading]:
    """A sweep, and what its study says; a thread is asked for it only where it is not known."""
    entry = looking.known_entry(service, name)
    reading = service.readings.known(entry.sweep.name) if entry is not None else None
    if entry is not None and reading is not None:
        return entry, reading
    return await run_in_threadpool(_looked_up, service, name)


def _looked_up(service: Service, name: str) -> tuple[Entry, Reading]:
    entry = looking.entry_named(service, name)
    return entry, looking.reading_of(service, entry)


async def named_entry(name: SweepName, service: CurrentService) -> Entry:
    """The sweep that a path names."""
    known = looking.known_entry(service, name)
    return known if known else await run_in_threadpool(looking.entry_named, service, name)


NamedEntry = Annotated[Entry, Depends(named_entry)]


async def named_reading(request: Request, name: SweepName, service: CurrentService) -> Reading:
    """What the study of the sweep that a path names says: what the route was chosen by, if any."""
    reading: Reading | None = getattr(request.state, "reading", None)
    return reading if reading is not None else (await found(service, name))[1]


NamedReading = Annotated[Reading, Depends(named_reading)]


async def named_trial(reading: NamedReading, number: TrialNumber) -> Trial:
    """The trial that a path names."""
    return looking.trial_in(reading, number)


NamedTrial = Annotated[Trial, Depends(named_trial)]
