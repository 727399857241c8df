"""A service that listens on a port of its own, for what no client in the process can show."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from sweeper.service.app import Install, Service, application
from sweeper.service.listening import listener
from sweeper.service.people.guard import Openings

CLOSED = Openings()


@contextlib.contextmanager
def served(service: Service, *install: Install, openings: Openings = CLOSED) -> Iterator[str]:
    """Serve on loopback for the length of the block; its address."""
    with contextlib.closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        service.settings = replace(service.settings, port=bound.getsockname()[1])
        app = application(service, install, openings)
        server = listener(app, service.settings, service.ending)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield service.settings.address
        finally:
            service.ending.set()
            thread.join(20)
