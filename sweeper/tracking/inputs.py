"""The data of a run as MLflow's dataset input, made of what the run says of itself anyway in its
tags: where they lie, and the protocol. So the outbox keeps nothing more for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sweeper.tracking.names import DATA_TAG, PROTOCOL_PREFIX

MAX_DIGEST = 36
"""Characters of a digest that MLflow takes; the whole hash stands in the profile."""


@dataclass(frozen=True)
class DataInput:
    """A dataset as MLflow describes one: `source` and `profile` are JSON."""

    name: str
    digest: str
    source_type: str
    source: str
    profile: str


def data_input(params: Mapping[str, str], tags: Mapping[str, str]) -> DataInput | None:
    """The data that a run with these parameters and tags was trained on and measured against.

    None where nothing has been measured yet.
    """
    protocol = {
        name.removeprefix(PROTOCOL_PREFIX): text
        for name, text in tags.items()
        if name.startswith(PROTOCOL_PREFIX)
    }
    name, digest = protocol.get("data"), protocol.get("data_hash")
    if not name or not digest:
        return None
    # A run of an earlier version says it among its parameters.
    path = tags.get(DATA_TAG) or params.get("data.path")
    told = {"images": "real_count", "hash": "data_hash", "intake": "intake"}
    profile = {title: protocol[field] for title, field in told.items() if protocol.get(field)}
    return DataInput(
        name=name,
        digest=digest[:MAX_DIGEST],
        # The words by which MLflow knows a path, and data that a program makes.
        source_type="local" if path else "code",
        source=json.dumps({"uri": path} if path else {"tags": {"mlflow.source.name": name}}),
        profile=json.dumps(profile),
    )
