"""What a write to MLflow says: what it is about, and what nobody may have MLflow do.

MLflow takes `run_id` and `runId` for one name, and a body that was encoded twice; here they are
read as it reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sweeper.tracking.routes import UPLOADS

Said = Mapping[str, object]
"""Plain names (`runid`) → what is said under them."""

_OURS = ("", "file", "runs", "models", "mlflow-artifacts")
"""Schemes of where a model version may come from: MLflow sees that it is the run's own folder. From
any other it would fetch for whoever asks."""


class Subjects(NamedTuple):
    """Ids of what a write is about."""

    experiments: frozenset[str]
    runs: frozenset[str]
    models: frozenset[str]


def said_in(body: bytes) -> Said:
    """What a body says; nothing where MLflow cannot read it either."""
    try:
        read = json.loads(body or b"{}")
        if isinstance(read, str):  # as old clients send it
            read = json.loads(read)
    except (ValueError, RecursionError):
        return {}
    return plainly(read.items()) if isinstance(read, dict) else {}


def plainly(pairs: Iterable[tuple[object, object]]) -> Said:
    """Pairs of a name and a value under plain names; of several values of a name, all."""
    found: dict[str, list[object]] = {}
    for name, value in pairs:
        found.setdefault(str(name).replace("_", "").lower(), []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def subjects(path: str, query: Said, said: Said) -> Subjects:
    """What a write is about, by its address and by what it says."""
    _, _, model = path.partition("/2.0/mlflow/logged-models/")
    runs = (_texts(told, name) for told in (said, query) for name in _RUN_NAMES)
    return Subjects(
        experiments=frozenset(filter(None, [*_texts(said, "experimentid"), _place(path)])),
        runs=frozenset(run for several in runs for run in several),
        models=frozenset(filter(None, [*_texts(said, "modelid"), model.partition("/")[0]])),
    )


def reaches_out(path: str, said: Said) -> str | None:
    """Why a write is refused for what it says: it would have the server read, for everybody, what
    is not MLflow's. None where it is not.

    An experiment may have its artifacts anywhere (`file:///etc`), a model version may come from
    anywhere: MLflow's server reads both for whoever asks. Where an artifact goes it decodes once
    more and takes apart as a URL: of `%32/…`, `file:2/…` and a tab before it, it makes `2/…`.
    """
    place = _place(path)
    if place is not None and not (place.isascii() and place.isdigit()):
        return "an artifact goes into the folder of its experiment, which has a number"
    if path.endswith("/2.0/mlflow/experiments/create"):
        if said.get("artifactlocation"):
            return "an experiment keeps its artifacts where the server does: leave the location out"
    elif path.endswith("/2.0/mlflow/model-versions/create"):
        for source in _texts(said, "source"):
            scheme, colon, _ = source.partition(":")
            if colon and scheme.lower() not in _OURS:
                return "a model version comes from a run or a model here (runs:/, models:/)"
    return None


def _place(path: str) -> str | None:
    """The experiment that an artifact is written to; None where the address is of none."""
    _, artifacts, inside = path.partition(UPLOADS)
    pieces = inside.split("/")  # artifacts/EXPERIMENT/…, mpu/create/EXPERIMENT/…
    place = pieces[2:3] if pieces[0] == "mpu" else pieces[1:2]
    return "".join(place) if artifacts else None


_RUN_NAMES = ("runid", "runuuid", "sourcerunid")


def _texts(said: Said, name: str) -> list[str]:
    value = said.get(name)
    values = value if isinstance(value, list) else [value]
    return [str(one) for one in values if one not in (None, "")]
