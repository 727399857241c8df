"""A way to a server that can be made slow, cut off in the middle of a message, or closed."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from typing import Literal

Mood = Literal["fair", "slow", "cutting", "closed"]


class Proxy:
    """Passes bytes between a free port of loopback and `target`, as its `mood` allows."""

    def __init__(self, target: int, seed: int) -> None:
        self.mood: Mood = "fair"
        self._target = target
        self._chance = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept nothing more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.mood == "closed":
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                if self.mood == "slow":
                    time.sleep(self._chance.uniform(0.1, 1.0))
                if self.mood == "cutting" and self._chance.random() < 0.3:
                    sink.sendall(data[: len(data) // 2])
                    break
                if self.mood == "closed":
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
