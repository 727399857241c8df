"""Server-sent events, read from a connection that may break off at any point."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.client.transport import FIRST_WAIT, LONGEST_WAIT, Transport
from sweeper.errors import Unreachable

MEDIA_TYPE = "text/event-stream"


@dataclass(frozen=True)
class Sent:
    """One event of a stream. `data` is None where there is only an id, to go on from."""

    id: str
    data: str | None
    event: str = "message"


def resumed(
    http: Transport, path: str, params: Mapping[str, Any], last: str | None = None
) -> Iterator[Sent]:
    """The events of a stream, without end: where the connection breaks off, it goes on after the
    id that was seen last.

    Raises:
        Unreachable: the server does not answer for as long as the client is patient.
        UserError: it refuses.
    """
    heard, wait = time.monotonic(), FIRST_WAIT
    while True:
        headers = {"accept": MEDIA_TYPE} | ({} if last is None else {"last-event-id": last})
        try:
            with http.stream(path, params=params, headers=headers) as answer:
                for sent in parsed(answer.iter_bytes()):
                    last, heard, wait = sent.id or last, time.monotonic(), FIRST_WAIT
                    yield sent
        except Unreachable:
            if time.monotonic() - heard + wait > http.patience:
                raise
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


def parsed(pieces: Iterator[bytes]) -> Iterator[Sent]:
    """The events in the bytes of a stream; one that is cut off is none. (Not by `splitlines`: data
    may hold what Unicode calls an end of a line.)"""
    identifier, event, data, rest = "", "message", list[str](), b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in (one.removesuffix(b"\r").decode(errors="replace") for one in lines):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "id":
                identifier = value
            elif field == "event":
                event = value
            elif not line and (data or identifier):
                yield Sent(identifier, "\n".join(data) if data else None, event)
                identifier, event, data = "", "message", []
