"""How the service listens: HTTP with bounds on what a client may keep it waiting for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sweeper.errors import UserError
from sweeper.secrets import redacted
from sweeper.service.settings import ServiceSettings

HEAD_SECONDS = 15.0
"""For a client to say what it wants, from when it begins to."""

KEEP_ALIVE = 30
"""Seconds that a connection may wait for its next request."""

CONNECTIONS = 1000
"""At once; the next ones are told to come back."""

HEAD_BYTES = 64 << 10

BEHIND = 5
"""By how much this process stands behind the trainings of its machine (`nice`)."""

GRACE = 20
"""Seconds for requests to be answered when the service ends."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 for clients that finish what they say: one that sends its headers a byte a minute
    loses its connection, of which there are only so many."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does so only where the socket says that it is TCP's, and one made without saying
        # it does not: the body would wait for the client to confirm the head, 40 ms.
        with contextlib.suppress(OSError):  # the client has gone
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_asking():
            self._stop_waiting()
        elif self._patience is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_asking(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if not self._is_asking():
            self.transport.close()


class Listener(uvicorn.Server):
    """uvicorn, which says when it listens (`up`), and at first that it is about to end (`ending`):
    answers without an end then find one."""

    def __init__(
        self, config: uvicorn.Config, ending: threading.Event, up: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ending = ending
        self._up = up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._ending.is_set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ending.set()
        super().handle_exit(sig, frame)


def listener(
    app: ASGIApp,
    settings: ServiceSettings,
    ending: threading.Event,
    up: Callable[[], None] = lambda: None,
) -> Listener:
    """What answers at the address of the settings; `run(sockets=[bound(settings)])` serves."""
    proxies = ",".join(settings.proxies)
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        log_config=None,
        access_log=False,  # addresses of requests hold what people look for
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies or None,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=HEAD_BYTES,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    return Listener(config, ending, up)


def bound(settings: ServiceSettings) -> socket.socket:
    """A socket at the service's address; nobody is answered there before it listens.

    Raises:
        UserError: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((settings.host, settings.port))
    except OSError as error:
        made.close()
        raise UserError(
            f"cannot listen at port {settings.port} of {settings.host}: {error.strerror or error}; "
            "--port and --host name another"
        ) from error
    return made


def give_way() -> None:
    """Let trainings on this machine go first: each of their steps is paid for, and a reader can
    wait a moment. It concerns this thread and whatever it starts from now on."""
    with contextlib.suppress(OSError):
        now = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, min(now + BEHIND, 19))


class Redacting(logging.Formatter):
    """Log lines in which no secret stands."""

    def format(self, record: logging.LogRecord) -> str:
        return _TOKEN.sub(r"\1***", redacted(super().format(record)))


_TOKEN = re.compile(r"\b(swp_[a-z2-7]+_)[\w-]+")


def log_to_terminal() -> None:
    """Have what is worth a line said on the error stream."""
    handler = logging.StreamHandler()
    handler.setFormatter(Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sweeper").setLevel(logging.INFO)


class Signals:
    """What has asked this process to end: Ctrl-C, SIGTERM, or a terminal that was closed. Call it
    in the main thread; one that is ignored (nohup) stays so."""

    def __init__(self) -> None:
        self.ending = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.ending.set()
