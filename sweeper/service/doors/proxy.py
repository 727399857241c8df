"""A reverse proxy to a server on loopback: streams both ways, and tells each side only what it
needs to know of the other.

    browser ── cookie, token, origin ──▏guard ▏── none of them ──▶ MLflow
            ◀── addresses below /mlflow ──────▏◀── addresses of its own ──
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from sweeper.service.problem import Refusal

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers of one connection, which the next one has of its own (RFC 9110, 7.6.1)."""

KEPT_BACK = frozenset({"authorization", "cookie", "expect", "host", "origin", "referer"})
"""What the server behind is not told: who asks, and from which page. The guard has looked."""

NOT_PASSED_ON = frozenset({"date", "server", "set-cookie", "strict-transport-security"})
"""What the client is not told: this server says it itself, or MLflow has no business to."""

TIMEOUT = httpx.Timeout(connect=5.0, read=120.0, write=60.0, pool=10.0)
"""Seconds for a connection, and between two pieces on one."""

CONNECTIONS = httpx.Limits(max_connections=64, max_keepalive_connections=16)


class ReverseProxy:
    """Passes requests on to `target`, as if it were found below `prefix`.

    `extra` are headers that the server behind wants of us.
    """

    def __init__(
        self, name: str, target: str, prefix: str, extra: Mapping[str, str] | None = None
    ) -> None:
        self._name = name
        self._target = target.rstrip("/")
        self._prefix = prefix
        self._client = httpx.AsyncClient(
            headers=extra,
            timeout=TIMEOUT,
            limits=CONNECTIONS,
            follow_redirects=False,
            trust_env=False,  # what is on loopback is not behind the machine's proxy
        )
        # Nothing is added to what a client says of itself.
        for header in ("accept", "accept-encoding", "user-agent"):
            del self._client.headers[header]

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def pass_on(self, request: Request, path: str, body: bytes | None = None) -> Response:
        """The server's answer to this request for `path`; `body` is given where it was read.

        Raises:
            Refusal: the server cannot be reached (502), or has not answered in time (504).
        """
        query = request.scope["query_string"].decode("latin-1")
        outgoing = self._client.build_request(
            request.method,
            self._target + quote(path, safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else ""),
            headers=_outgoing(request),
            content=_content(request) if body is None else body,
        )
        try:
            with self._told():
                answer = await self._client.send(outgoing, stream=True)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody hears it
        response = StreamingResponse(
            _pieces(answer), answer.status_code, background=BackgroundTask(answer.aclose)
        )
        response.raw_headers = self._incoming(answer)
        return response

    async def ask(self, path: str, query: dict[str, str]) -> Any:
        """What the server says to a GET of ours, as JSON; None where it has no such thing.

        Raises:
            Refusal: it cannot be reached, does not answer in time, or fails.
        """
        with self._told():
            answer = await self._client.get(self._target + quote(path, safe="/"), params=query)
        if answer.is_server_error:  # which says nothing of whether there is such a thing
            raise Refusal(502, "away", f"{self._name} has failed at this: try again.")
        return answer.json() if answer.is_success else None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise Refusal(504, "no-answer", f"{self._name} has not answered in time.") from error
        except httpx.TransportError as error:
            title = f"{self._name} cannot be reached at the moment: try again."
            raise Refusal(502, "away", title, headers={"retry-after": "5"}) from error

    def _incoming(self, answer: httpx.Response) -> list[tuple[bytes, bytes]]:
        dropped = HOP_BY_HOP | NOT_PASSED_ON | _named(answer.headers.get("connection", ""))
        headers = []
        for raw, value in answer.headers.raw:
            name = raw.lower()
            word = name.decode("latin-1")
            if word in dropped or word.startswith("access-control-"):
                continue
            if word in ("location", "content-location"):
                value = self._address(value.decode("latin-1")).encode("latin-1")
            headers.append((name, value))
        return headers

    def _address(self, location: str) -> str:
        """An address of the server behind, as the client finds it."""
        parts, own = urlsplit(location), urlsplit(self._target)
        if parts.netloc and (parts.scheme or own.scheme, parts.netloc) != (own.scheme, own.netloc):
            return location
        path = parts.path.removeprefix(own.path) if parts.netloc else parts.path
        if path.startswith("/") and not path.startswith(f"{self._prefix}/"):
            path = self._prefix + path
        return parts._replace(scheme="", netloc="", path=path).geturl()


def _outgoing(request: Request) -> list[tuple[str, str]]:
    dropped = HOP_BY_HOP | KEPT_BACK | _named(request.headers.get("connection", ""))
    return [
        (name, value)
        for name, value in request.headers.items()
        if name not in dropped and not name.startswith(("x-forwarded-", "x-csrf", "forwarded"))
    ]


def _content(request: Request) -> AsyncIterator[bytes] | None:
    """The body as it comes; None where there is none."""
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None
    return request.stream()


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


def _named(connection: str) -> frozenset[str]:
    """Headers that a Connection header says are of this connection only."""
    return frozenset(name.strip().lower() for name in connection.split(",") if name.strip())
