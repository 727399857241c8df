"""What a run has to say, in pieces that MLflow takes as one request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sweeper.tracking.backlog import MetricRow

MAX_METRICS = 800
MAX_PARAMS = 100
MAX_CHARACTERS = 100_000
"""MLflow takes at most 1,000 entities at once, 100 of them params and 100 tags, and 1 MB as JSON,
which spells some characters with six."""


class Param(NamedTuple):
    """A parameter of a run, which never changes."""

    key: str
    value: str


class Tag(NamedTuple):
    """A tag of a run."""

    key: str
    value: str


Item = Param | Tag | MetricRow


def batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """`items` in order, in pieces that MLflow takes as one request."""
    most = {Param: MAX_PARAMS, Tag: MAX_PARAMS, MetricRow: MAX_METRICS}
    batch: list[Item] = []
    counts: Counter[type[Item]] = Counter()
    size = 0
    for item in items:
        kind = type(item)
        length = len(item.key) + (50 if isinstance(item, MetricRow) else len(item.value))
        if batch and (size + length > MAX_CHARACTERS or counts[kind] == most[kind]):
            yield batch
            batch, counts, size = [], Counter(), 0
        batch.append(item)
        counts[kind] += 1
        size += length
    if batch:
        yield batch
