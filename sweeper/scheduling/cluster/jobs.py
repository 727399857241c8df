"""Ray jobs: processes that a cluster keeps running when whoever asked for them has gone.

A job has an id of the caller's own, so that asking twice, as after an answer that was lost, runs it
once. What Ray says of a job's state is a hint (ray#62766, kuberay#3903): nothing here tells it.

A job's environment can be read by whoever may use the cluster: it is no place for secrets.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
from ray.exceptions import RayError
from ray.job_submission import JobSubmissionClient

from sweeper.errors import SweeperError
from sweeper.scheduling.cluster.head import JOBS_VARIABLE
from sweeper.scheduling.cluster.starting import AUTHENTICATION

TIMEOUT = 30.0
"""Seconds for one answer."""

OWNER = "sweeper_home"
"""Where a job says whose it is."""

_LOG_LINES = 200


class JobsUnreachable(SweeperError):  # noqa: N818 - what happened
    """Ray does not answer about its jobs, or refuses to."""


class Jobs:
    """The jobs of one cluster. May be used from several threads."""

    def __init__(self, address: str, token: Path | None = None) -> None:
        """`address` is that of its server for jobs, `http://HOST:8265`; `token` the file of what it
        asks for, where it does.

        Raises:
            JobsUnreachable: it does not answer.
        """
        self.address = address.rstrip("/")
        with self._translated(), _found_at(self.address):
            self._client = _Client(self.address, headers=_headers(token))

    def submit(
        self, command: Sequence[str], submission_id: str, env: Mapping[str, str], owner: str = ""
    ) -> bool:
        """Have the cluster run a command, on its head, for this owner. False if this id was
        submitted before.

        Raises:
            JobsUnreachable: it is not known whether it will be run; to ask again is safe.
        """
        with self._translated():
            try:
                self._client.submit_job(
                    entrypoint=shlex.join(command),
                    submission_id=submission_id,
                    runtime_env={"env_vars": dict(env)},
                    metadata={OWNER: owner},
                )
            except RuntimeError:
                if self._known(submission_id):
                    return False
                raise
        return True

    def exists(self, submission_id: str) -> bool:
        """Whether the cluster knows of such a job; one that has lost its head does not.

        Raises:
            JobsUnreachable: it does not answer.
        """
        with self._translated():
            return self._known(submission_id)

    def stop(self, submission_id: str) -> None:
        """Have the job's process get SIGTERM, and SIGKILL some seconds later; nothing where there
        is none.

        Raises:
            JobsUnreachable: it does not answer.
        """
        with self._translated():
            try:
                self._client.stop_job(submission_id)
            except RuntimeError:
                if self._known(submission_id):
                    raise

    def log(self, submission_id: str, lines: int = _LOG_LINES) -> str:
        """The end of what the job has said; empty of one that is not known.

        Raises:
            JobsUnreachable: it does not answer.
        """
        with self._translated():
            try:
                said = self._client.get_job_logs(submission_id)
            except RuntimeError:
                if self._known(submission_id):
                    raise
                return ""
        return "".join(said.splitlines(keepends=True)[-lines:])

    def ask(self, path: str) -> Any:
        """What the server answers to a GET, as JSON; None where it knows of no such thing.

        Raises:
            JobsUnreachable: it does not answer.
        """
        with self._translated():
            answer = self._client._do_request("GET", path)
            return answer.json() if answer.status_code == 200 else None

    def _known(self, submission_id: str) -> bool:
        answer = self._client._do_request("GET", f"/api/jobs/{submission_id}")
        if answer.status_code not in (200, 404):
            raise RuntimeError(f"status {answer.status_code}")
        return bool(answer.status_code == 200)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, OSError, requests.RequestException, RayError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            told = f"Ray's job server at {self.address} refused: {said[0][:300]}"
            raise JobsUnreachable(told + _hint(self.address, error)) from error


def _hint(address: str, error: Exception) -> str:
    """What lies behind a server that cannot be reached, or wants a token, where that is known."""
    away = isinstance(error, ConnectionError | requests.ConnectionError)
    if away and not address.startswith("http://127.0.0.1:"):
        return (
            ": `ray start --head` answers only on its own machine unless it is given "
            f"--dashboard-host; there, {JOBS_VARIABLE} may be http://127.0.0.1:8265"
        )
    if "authentication token" in str(error).lower() and not os.environ.get(AUTHENTICATION):
        return f": set {AUTHENTICATION}=token to send it"
    return ""


class _Client(JobSubmissionClient):  # type: ignore[misc]
    """Ray's client, which would wait for ever where a server hangs."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        return super()._do_request(method, endpoint, **{"timeout": TIMEOUT, **options})


def _headers(token: Path | None) -> dict[str, str] | None:
    if token is None:
        return None
    return {"Authorization": f"Bearer {token.read_text(encoding='utf-8').strip()}"}


@contextlib.contextmanager
def _found_at(address: str) -> Iterator[None]:
    """Inside, Ray's client goes to this address: its environment would have the last word."""
    kept = os.environ.get(JOBS_VARIABLE)
    os.environ[JOBS_VARIABLE] = address
    try:
        yield
    finally:
        if kept is None:
            del os.environ[JOBS_VARIABLE]
        else:
            os.environ[JOBS_VARIABLE] = kept
