"""Requests and answers: what is sent again, how long is waited, what an error answer raises."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from sweeper.client.login import Login
from sweeper.client.refusals import error_of
from sweeper.errors import Unreachable, UserError

API = "/api/v1"
KEY = "idempotency-key"

BUSY = (429, 502, 503, 504)
"""Answers after which the same request may find the server again."""
BUSY_TIMES = 4
"""How often it is sent again for such an answer; what does not answer at all may be starting."""

_OF_CONNECTIONS = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
)
"""Variables of the environment that say how a server is reached."""

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
"""Seconds before a request is sent again, doubled each time."""

Params = Mapping[str, Any]
Answer = TypeVar("Answer")
Model = TypeVar("Model", bound=BaseModel)


class Transport:
    """One server, as one person. Threads may share it.

    `timeout` is in seconds for one request, `patience` for all of a request that is sent again and
    again because the server is away.
    """

    def __init__(self, login: Login, *, timeout: float, patience: float) -> None:
        self.address = login.address
        self.patience = patience
        self._client = _opened(login, timeout)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, shape: type[Answer], **params: Any) -> Answer:
        """Ask for something, and read the answer as this type."""
        return self.read(self.send("GET", path, params=params, again=True), shape)

    def content(self, path: str, *, timeout: float | None = None, **params: Any) -> bytes:
        """Ask for a file."""
        return self.send("GET", path, params=params, again=True, **_limit(timeout)).content

    def pages(self, path: str, shape: type[Model], **params: Any) -> Iterator[Any]:
        """Every item of a list, whose pages have `items` and `next`."""
        cursor = None
        while True:
            page: Any = self.get(path, shape, **params, cursor=cursor)
            yield from page.items
            cursor = page.next
            if cursor is None:
                return

    def ask(
        self,
        method: str,
        path: str,
        shape: type[Answer],
        *,
        params: Params | None = None,
        body: Any = None,
        content: bytes | None = None,
        media_type: str | None = None,
        again: bool = False,
        once: bool = False,
        file: str = "",
        timeout: float | None = None,
    ) -> Answer:
        """Have something done, with this `body` as JSON. It is sent `again` where its answer is
        lost; with `once` it carries a key for that, so that it is done once; else only where it
        cannot have arrived. `file` is what problems call the sweep file in it.

        Raises:
            UserError: it holds what JSON cannot, or the server refuses it, and says why.
            Unreachable: the server does not answer, or has failed.
        """
        headers = {KEY: uuid.uuid4().hex} if once else {}
        if media_type or body is not None:
            headers["content-type"] = media_type or "application/json"
        answer = self.send(
            method,
            path,
            params=params or {},
            headers=headers,
            content=content if body is None else _written(body),
            again=again or once,
            file=file,
            **_limit(timeout),
        )
        return self.read(answer, shape)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params,
        again: bool,
        file: str = "",
        **content: Any,
    ) -> httpx.Response:
        """The answer to a request; where it is lost, to the same request sent `again`.

        Raises:
            UserError: the server refuses it, and says why.
            Unreachable: it does not answer, or has failed.
        """
        deadline, wait = time.monotonic() + self.patience, FIRST_WAIT
        times = BUSY_TIMES if again else 0
        while True:
            try:
                answer = self._client.request(method, path, params=given(params), **content)
            except httpx.HTTPError as error:
                never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if not (again or never_sent) or time.monotonic() + wait > deadline:
                    raise self.lost(error) from error
            else:
                if answer.is_success or answer.status_code == 304:
                    return answer
                wait = max(wait, _asked_wait(answer))
                late = time.monotonic() + wait > deadline
                if answer.status_code not in BUSY or times == 0 or late:
                    raise error_of(answer, self.address, file)
                times -= 1
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    @contextmanager
    def stream(
        self, path: str, *, params: Params, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """An answer that is read as it comes.

        Raises:
            UserError: the server refuses it, and says why.
            Unreachable: it does not answer, or not to the end.
        """
        try:
            with self._client.stream(
                "GET", path, params=given(params), headers=dict(headers or {})
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    raise error_of(answer, self.address)
                yield answer
        except httpx.HTTPError as error:
            raise self.lost(error) from error

    def read(self, answer: httpx.Response, shape: type[Answer]) -> Answer:
        """The answer in this shape.

        Raises:
            Unreachable: it is of another shape.
        """
        if shape is type(None):
            return None
        return self.parse(answer.content, shape)

    def parse(self, text: str | bytes, shape: type[Answer]) -> Answer:
        """JSON in this shape.

        Raises:
            Unreachable: it is of another shape.
        """
        try:
            return TypeAdapter(shape).validate_json(text)
        except ValidationError as error:
            raise self.strange() from error

    def strange(self) -> Unreachable:
        """What to say of an answer that is of another shape."""
        return Unreachable(
            f"{self.address} answers what this version does not understand: it may be of another "
            "version, or no sweep service"
        )

    def lost(self, error: httpx.HTTPError) -> Unreachable:
        """What to say where no answer came."""
        reason = str(error) or type(error).__name__
        return Unreachable(f"{self.address} does not answer: {reason}")


def _written(body: Any) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"this cannot be sent: {error}") from error


def _opened(login: Login, timeout: float) -> httpx.Client:
    """Connections to be made to a server; one on this machine is not behind the machine's proxy.

    Raises:
        UserError: the environment names a proxy or certificates that cannot be used.
    """
    try:
        return httpx.Client(
            base_url=login.address + API,
            headers={"authorization": f"Bearer {login.token}", "user-agent": "gan-sweeper"},
            timeout=timeout,
            transport=httpx.HTTPTransport() if login.is_local else None,
        )
    except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
        named = ", ".join(name for name in _OF_CONNECTIONS if _set(name))
        blame = f" (set in this environment: {named})" if named else ""
        reason = str(error) or type(error).__name__
        raise UserError(f"cannot ask {login.address}: {reason}{blame}") from error


def _set(name: str) -> bool:
    return bool(os.environ.get(name) or os.environ.get(name.lower()))


def given(params: Params) -> dict[str, Any]:
    """Those parameters that say something."""
    return {key: value for key, value in params.items() if value not in (None, "", [], ())}


def _limit(timeout: float | None) -> dict[str, Any]:
    return {} if timeout is None else {"timeout": timeout}


def _asked_wait(answer: httpx.Response) -> float:
    asked = answer.headers.get("retry-after", "")
    return float(asked) if asked.isascii() and asked.isdigit() else 0.0
