"""A body of 100 MB is refused before it is there, wherever it is not streamed."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from sweeper.service.doors import OPENINGS, Doors
from tests.service.conftest import Lab
from tests.service.serving import served

NOWHERE = "http://127.0.0.1:9"
BODY, PIECE = 100 << 20, 64 << 10
LITTLE = 16 << 20
"""Bytes that may be on their way, or held, before an answer has come: a fraction of the body."""

PLACES = (
    ("/api/v1/sweeps", "application/yaml", (413,)),
    ("/api/v1/sweeps:validate", "application/json", (413,)),
    ("/new", "application/x-www-form-urlencoded", (400, 413)),
    ("/login", "application/x-www-form-urlencoded", (400, 413)),
    ("/mlflow/api/2.0/mlflow/runs/log-batch", "application/json", (413,)),
    ("/optuna/small/api/studies", "application/json", (405,)),
)
"""Where it is sent, as what, and the answers to one that does not say how long it is: the parser of
forms knows no field as long as that, and what changes nothing reads no body."""


def head(lab: Lab, address: str, path: str, kind: str, length: str) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        f"host: {urlsplit(address).netloc}",
        f"authorization: Bearer {lab.tokens['bo']}",
        f"content-type: {kind}",
        length,
    )
    return "\r\n".join((*lines, "", "")).encode()


def chunks() -> Iterator[bytes]:
    piece = f"{PIECE:x}\r\n".encode() + b"x" * PIECE + b"\r\n"
    yield from (piece for _ in range(BODY // PIECE))


def held() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def answer_to(connection: socket.socket, pieces: Iterator[bytes]) -> tuple[int, int, int]:
    """The status of the answer, how many bytes of the body it took to have it, and how much memory
    was held meanwhile."""
    sent, most = 0, held()
    for piece in pieces:
        if select.select([connection], [], [], 0)[0]:
            break
        connection.sendall(piece)
        sent, most = sent + len(piece), max(most, held())
    return int(connection.recv(4096).split()[1]), sent, max(most, held())


def test_a_body_of_100_mb_is_refused_before_it_is_there(lab: Lab) -> None:
    with served(lab.service, Doors(NOWHERE).install, openings=OPENINGS) as address:
        there = (urlsplit(address).hostname, urlsplit(address).port)
        assert httpx.get(f"{address}/health").status_code == 200
        before = held()
        for path, kind, refused in PLACES:
            with socket.create_connection(there, timeout=30) as told:
                told.sendall(head(lab, address, path, kind, f"content-length: {BODY}"))
                assert answer_to(told, iter(()))[0] == 413, path
            with socket.create_connection(there, timeout=30) as untold:
                untold.sendall(head(lab, address, path, kind, "transfer-encoding: chunked"))
                status, sent, memory = answer_to(untold, chunks())
                assert status in refused, (path, status)
                assert sent < LITTLE, path
                assert memory - before < 2 * LITTLE, path
