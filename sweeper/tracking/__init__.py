"""MLflow lives here: a durable outbox, the process that empties it, and what reads MLflow back.

The driver says what happens to an `Outbox`, which is a file and takes a fraction of a millisecond.
A writer process beside it makes MLflow show the same, however often MLflow, the writer or the
driver itself goes away in between. Importing this package does not import mlflow.
"""

from __future__ import annotations

from sweeper.tracking.address import tracking_uri
from sweeper.tracking.handle import WriterHandle, start_writer, sync
from sweeper.tracking.left import Failure, Left, waiting
from sweeper.tracking.names import SWEEP
from sweeper.tracking.outbox import Outbox

__all__ = [
    "SWEEP",
    "Failure",
    "Left",
    "Outbox",
    "WriterHandle",
    "start_writer",
    "sync",
    "tracking_uri",
    "waiting",
]
