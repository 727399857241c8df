"""The two ends of a sweep's record in MLflow: the outbox that the driver writes, and the process
that sends on what is in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from sweeper.foreign_parts import ForeignParts
from sweeper.home import Home, SweepFolder
from sweeper.tracking.elsewhere import keep_to
from sweeper.tracking.handle import WriterHandle, start_writer
from sweeper.tracking.moved import follow_home
from sweeper.tracking.outbox import Outbox


@dataclass
class Wires:
    """Both ends, for as long as the driver has them."""

    outbox: Outbox
    writer: WriterHandle
    moved: str
    """What MLflow was told of a home that has moved; empty where it has not."""


@contextlib.contextmanager
def recording(uri: str, home: Home, folder: SweepFolder, foreign: ForeignParts) -> Iterator[Wires]:
    """Open the record at `uri` for the length of the block.

    Raises:
        RecordedElsewhere: the sweep's record so far is in another MLflow.
        TrackingError: the outbox is damaged, or MLflow's address cannot be used.
    """
    moved = follow_home(uri, home.mlartifacts)
    keep_to(folder.outbox, uri, home.mlartifacts, folder.name + home.flag)
    with (
        Outbox(folder.outbox) as outbox,
        start_writer(outbox, uri, home.mlartifacts, foreign.parts) as writer,
    ):
        yield Wires(outbox, writer, moved)
