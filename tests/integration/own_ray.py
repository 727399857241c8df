"""A Ray of the tests' own process, as a program has one that uses Ray itself."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import ray
from ray._private.authentication_test_utils import reset_auth_token_state

from sweeper.scheduling.cluster.connecting import ENVIRONMENT, OBJECT_STORE


@contextlib.contextmanager
def own_ray(**has: Any) -> Iterator[None]:
    """One of two cores, which has what is given besides, for as long as the block is."""
    kept = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    reset_auth_token_state()  # of a cluster that asks for a token, which this process has joined
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE,
        **has,
    )
    yield
    ray.shutdown()
    os.environ.clear()
    os.environ.update(kept)
