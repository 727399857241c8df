"""MLflow's routes, each judged: what only reads, what writes, and what is closed to everybody.

MLflow's own login has left whole routers open (CVE-2026-0545, CVE-2026-2652), so whoever stands
before its server opens what is named here and nothing else: a route that a later version brings is
closed until somebody has judged it. Both spellings of an address are one route, `/api/…` for
clients and `/ajax-api/…` for MLflow's pages.

`*` is one piece of an address, `**` all that follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Use = Literal["read", "write", "closed"]

_READ = """
    GET   /
    GET   /health
    GET   /version
    GET   /graphql
    POST  /graphql
    GET   /get-artifact
    GET   /model-versions/get-artifact
    GET   /static-files/**
    GET   2.0/mlflow-artifacts/artifacts
    GET   2.0/mlflow-artifacts/artifacts/**
    GET   2.0/mlflow-artifacts/presigned/**
    GET   2.0/mlflow/artifacts/list
    POST  2.0/mlflow/artifacts/presigned-download-url
    GET   2.0/mlflow/experiments/get
    GET   2.0/mlflow/experiments/get-by-name
    GET   2.0/mlflow/experiments/search
    POST  2.0/mlflow/experiments/search
    POST  2.0/mlflow/experiments/search-datasets
    GET   2.0/mlflow/logged-models/*
    GET   2.0/mlflow/logged-models/*/artifacts/directories
    GET   2.0/mlflow/logged-models/*/artifacts/files
    POST  2.0/mlflow/logged-models/search
    GET   2.0/mlflow/metrics/get-history
    GET   2.0/mlflow/metrics/get-history-bulk
    GET   2.0/mlflow/metrics/get-history-bulk-interval
    GET   2.0/mlflow/model-versions/get
    GET   2.0/mlflow/model-versions/get-download-uri
    GET   2.0/mlflow/model-versions/search
    GET   2.0/mlflow/registered-models/alias
    GET   2.0/mlflow/registered-models/get
    GET   2.0/mlflow/registered-models/get-latest-versions
    POST  2.0/mlflow/registered-models/get-latest-versions
    GET   2.0/mlflow/registered-models/search
    GET   2.0/mlflow/runs/get
    POST  2.0/mlflow/runs/search
    GET   3.0/mlflow/server-info
    GET   3.0/mlflow/ui-telemetry
"""
"""`/graphql` has one mutation, which says again what it is told. `ui-telemetry` tells the pages
that they may send nothing."""

_WRITE = """
    PUT     2.0/mlflow-artifacts/artifacts/**
    DELETE  2.0/mlflow-artifacts/artifacts/**
    POST    2.0/mlflow-artifacts/mpu/*/**
    POST    2.0/mlflow/artifacts/presigned-upload-url
    POST    2.0/mlflow/experiments/create
    POST    2.0/mlflow/experiments/delete
    POST    2.0/mlflow/experiments/delete-experiment-tag
    POST    2.0/mlflow/experiments/restore
    POST    2.0/mlflow/experiments/set-experiment-tag
    POST    2.0/mlflow/experiments/update
    POST    2.0/mlflow/logged-models
    PATCH   2.0/mlflow/logged-models/*
    DELETE  2.0/mlflow/logged-models/*
    POST    2.0/mlflow/logged-models/*/params
    PATCH   2.0/mlflow/logged-models/*/tags
    DELETE  2.0/mlflow/logged-models/*/tags/**
    POST    2.0/mlflow/model-versions/create
    DELETE  2.0/mlflow/model-versions/delete
    DELETE  2.0/mlflow/model-versions/delete-tag
    POST    2.0/mlflow/model-versions/set-tag
    POST    2.0/mlflow/model-versions/transition-stage
    PATCH   2.0/mlflow/model-versions/update
    POST    2.0/mlflow/registered-models/alias
    DELETE  2.0/mlflow/registered-models/alias
    POST    2.0/mlflow/registered-models/create
    DELETE  2.0/mlflow/registered-models/delete
    DELETE  2.0/mlflow/registered-models/delete-tag
    POST    2.0/mlflow/registered-models/rename
    POST    2.0/mlflow/registered-models/set-tag
    PATCH   2.0/mlflow/registered-models/update
    POST    2.0/mlflow/runs/create
    POST    2.0/mlflow/runs/delete
    POST    2.0/mlflow/runs/delete-tag
    POST    2.0/mlflow/runs/log-batch
    POST    2.0/mlflow/runs/log-inputs
    POST    2.0/mlflow/runs/log-metric
    POST    2.0/mlflow/runs/log-model
    POST    2.0/mlflow/runs/log-parameter
    POST    2.0/mlflow/runs/outputs
    POST    2.0/mlflow/runs/restore
    POST    2.0/mlflow/runs/set-tag
    POST    2.0/mlflow/runs/update
    POST    2.0/mlflow/upload-artifact
"""

CLOSED = """
    *  /build/**                                  a second way to the static files
    *  /gateway/**                                calls language models with the server's keys
    POST  2.0/mlflow/gateway-proxy                fetches what it is told to
    *  3.0/mlflow/gateway/**
    *  2.0/mlflow/runs/create-promptlab-run
    *  3.0/jobs/**                                run code on the server
    *  3.0/mlflow/jobs/**
    *  3.0/mlflow/prompt-optimization/**
    *  3.0/mlflow/scorer/**
    *  3.0/mlflow/genai/**
    *  3.0/mlflow/demo/**
    *  3.0/mlflow/assistant/**
    *  2.0/mlflow/webhooks/**                     have the server call any address
    *  /v1/traces                                 traces name the folder that is read for them
    *  /v1/metrics
    *  2.0/mlflow/traces/**
    *  3.0/mlflow/traces/**
    *  2.0/mlflow/unified-traces
    *  2.0/mlflow/get-trace-artifact
    *  3.0/mlflow/get-trace-artifact
    *  2.0/mlflow/get-online-trace-details
    *  3.0/mlflow/workspaces/**                   not what a GAN's training has
    *  3.0/mlflow/mcp-servers/**
    *  3.0/mlflow/datasets/**
    *  3.0/mlflow/issues/**
    *  3.0/mlflow/label-schemas/**
    *  3.0/mlflow/review-queues/**
    *  3.0/mlflow/scorers/**
    POST  3.0/mlflow/ui-telemetry                 nothing phones home
    *  2.0mlflow/experiments/search-datasets      a slip of MLflow's own: no slash
"""
"""Judged, and closed to everybody. Nothing is closed by standing here: what stands nowhere is
closed as well, but a test fails where a route of the installed MLflow does."""

NOTHING: dict[str, dict[str, list[str]]] = {"/ajax-api/2.0/mlflow/gateway-proxy": {"endpoints": []}}
"""What MLflow's pages GET on every visit and show an error for where they may not: what MLflow
itself says where there is no gateway, path → answer."""

_SPELLINGS = ("/api/", "/ajax-api/")
UPLOADS = "2.0/mlflow-artifacts/"
"""What the addresses begin with to which bodies of any size are sent."""


class Route(NamedTuple):
    """A method and the addresses that it goes to."""

    method: str
    address: re.Pattern[str]
    use: Use


def use_of(method: str, path: str) -> Use:
    """What a request does. A path with a piece that leads elsewhere (`..`) is closed."""
    if any(piece in (".", "..") for piece in path.split("/")) or "\\" in path or "//" in path:
        return "closed"
    asked = "GET" if method == "HEAD" else method
    for route in _ROUTES:
        if route.method == asked and route.address.fullmatch(path):
            return route.use
    return "closed"


def is_judged(method: str, path: str) -> bool:
    """Whether anybody has looked at a route of MLflow."""
    return (
        use_of(method, path) != "closed"
        or path in NOTHING
        or any(
            route.method in ("*", method) and route.address.fullmatch(path)
            for route in _routes(CLOSED, "closed")
        )
    )


def searches() -> tuple[str, ...]:
    """Addresses to which a POST only reads."""
    lines = _lines(_READ)
    return tuple(path for method, line in lines if method == "POST" for path in _spelt(line))


def uploads() -> tuple[str, ...]:
    """`UPLOADS` in both spellings."""
    return tuple(_spelt(UPLOADS))


def _lines(table: str) -> Iterator[tuple[str, str]]:
    for line in table.strip().splitlines():
        method, pattern, *_ = line.split()
        yield method, pattern


def _spelt(pattern: str) -> list[str]:
    """The addresses that a line stands for."""
    return [pattern] if pattern.startswith("/") else [way + pattern for way in _SPELLINGS]


def _routes(table: str, use: Use) -> Iterator[Route]:
    for method, pattern in _lines(table):
        for path in _spelt(pattern):
            plain = re.escape(path).replace(r"/\*\*", "(?:/.*)?").replace(r"\*", "[^/]+")
            yield Route(method, re.compile(plain), use)


_ROUTES = (*_routes(_READ, "read"), *_routes(_WRITE, "write"))
