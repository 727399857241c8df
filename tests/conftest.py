"""Settings of all tests: one thread, so that results and times do not depend on the machine.

And what several suites share: a PostgreSQL server, started when the first test asks for it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.postgres import Unavailable, empty_place, server

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("DO_NOT_TRACK", "true")

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def fetched_weights(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test asks another machine: Inception's weights seem to have been fetched already. Checks
    look for the file; no test loads it."""
    folder = tmp_path_factory.mktemp("torch") / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "weights-inception-2015-12-05-6726825d.pth").touch()
    os.environ["TORCH_HOME"] = str(folder.parents[1])


@pytest.fixture(scope="session", autouse=True)
def statistics_of_real_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a training without a cache would extract from its data is extracted once a session: the
    keys hold all that it depends on, and most trainings of tests look at the same digits."""
    from trials.metrics import cache, real  # imports torch, which reads OMP_NUM_THREADS

    shared = tmp_path_factory.mktemp("statistics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real, "cached", lambda folder, *what: cache.cached(folder or shared, *what))
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server's own database. Skips where there can be no server."""
    lock = tmp_path_factory.getbasetemp().parent / "postgres.lock"
    try:
        with server(lock) as made:
            yield made.address
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def empty_database(postgres: str) -> str:
    """Address of an empty place on the server."""
    return empty_place(postgres)
