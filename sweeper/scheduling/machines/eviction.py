"""Notices that a machine is about to be taken away: one interface for all who give them.

    SWEEPER_EVICTION=aws | gcp | azure | file:/PATH     in the driver's environment

Without the variable nobody is asked. With it, one process on each machine asks its own cloud every
few seconds, at the link-local address of its metadata server, which never leaves the machine's
host: no proxy, no other address, and no redirection is followed. `file:` waits for a file to be
there, for whatever else knows (Slurm's signal before a time limit: docker/slurm).

What is asked, as the clouds document it:

    aws     PUT /latest/api/token, then GET /latest/meta-data/spot/instance-action with that token:
            404, or {"action": "terminate", "time": "2017-09-18T08:22:00Z"} two minutes before
            (EC2 user guide, "Spot Instance interruption notices" and "Use IMDSv2")
    gcp     GET /computeMetadata/v1/instance/preempted with Metadata-Flavor: Google: FALSE or TRUE,
            thirty seconds before (Compute Engine, "Create and use preemptible VMs")
    azure   GET /metadata/scheduledevents?api-version=2020-07-01 with Metadata: true: the events of
            all machines of a scale set, so that one's own name is asked for too; Preempt comes
            thirty seconds before (Azure Virtual Machines, "Scheduled Events for Linux VMs")
"""

from __future__ import annotations

import http.client
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sweeper.errors import UserError
from trials.problems import nearest

VARIABLE = "SWEEPER_EVICTION"

METADATA = "169.254.169.254:80"
"""The metadata server of each of these clouds: a link-local address."""

ANSWER_IN = 2.0
"""Seconds for one answer; they come at once from where they are given."""

FIRST_EVENTS_IN = 150.0
"""Seconds for Azure's first answer about a machine's events: being asked switches them on there,
for which it may take two minutes."""

_MOST = 1 << 16
"""Bytes of an answer that are read."""


class Unheard(Exception):  # noqa: N818 - what happened
    """Who gives notices does not answer, or not as documented."""


class Notices(ABC):
    """Who gives notice of a machine's end."""

    @abstractmethod
    def look(self) -> str:
        """What is about to become of this machine, in words; empty while nothing is known.

        Raises:
            Unheard: nobody could be asked.
        """


@dataclass(frozen=True)
class File(Notices):
    """Whoever makes a file; its first line says why."""

    path: Path

    def look(self) -> str:
        try:
            said = self.path.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise Unheard(f"{self.path}: {error.strerror}") from error
        return said.splitlines()[0][:200] if said else f"{self.path} is there"


class _Cloud(Notices):
    def __init__(self, server: str = METADATA) -> None:
        self._server = server

    def _ask(
        self,
        path: str,
        headers: Mapping[str, str],
        method: str = "GET",
        answer_in: float = ANSWER_IN,
    ) -> tuple[int, str]:
        """Status and text of an answer."""
        connection = http.client.HTTPConnection(self._server, timeout=answer_in)
        try:
            connection.request(method, path, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST).decode("utf-8", "replace").strip()
        except (OSError, http.client.HTTPException) as error:
            told = str(error) or type(error).__name__
            raise Unheard(f"the metadata server at {self._server}: {told}") from error
        finally:
            connection.close()

    def _get(self, path: str, headers: Mapping[str, str], answer_in: float = ANSWER_IN) -> str:
        status, text = self._ask(path, headers, answer_in=answer_in)
        if status != http.client.OK:
            raise Unheard(f"the metadata server at {self._server}: status {status} of {path}")
        return text

    def _parsed(self, text: str) -> dict[str, object]:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise Unheard(f"the metadata server at {self._server}: no JSON") from error
        if not isinstance(found, dict):
            raise Unheard(f"the metadata server at {self._server}: no JSON object")
        return found


class Aws(_Cloud):
    """Spot instances of EC2."""

    _TOKEN = "/latest/api/token"
    _ACTION = "/latest/meta-data/spot/instance-action"
    _LASTS = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}

    def __init__(self, server: str = METADATA) -> None:
        super().__init__(server)
        self._token = ""

    def look(self) -> str:
        status, text = self._action()
        if status == http.client.UNAUTHORIZED:  # a token lasts for six hours
            self._token = ""
            status, text = self._action()
        if status == http.client.NOT_FOUND:
            return ""
        if status != http.client.OK:
            raise Unheard(f"the metadata server at {self._server}: status {status}")
        told = self._parsed(text)
        return f"EC2 will {told.get('action', 'interrupt')} it at {told.get('time', 'once')}"

    def _action(self) -> tuple[int, str]:
        if not self._token:
            status, self._token = self._ask(self._TOKEN, self._LASTS, "PUT")
            if status != http.client.OK:
                self._token = ""
                raise Unheard(f"the metadata server at {self._server}: no token ({status})")
        return self._ask(self._ACTION, {"X-aws-ec2-metadata-token": self._token})


class Gcp(_Cloud):
    """Spot and preemptible machines of Compute Engine."""

    def look(self) -> str:
        asked = "/computeMetadata/v1/instance/preempted"
        told = self._get(asked, {"Metadata-Flavor": "Google"})
        return "Compute Engine preempts it" if told.upper() == "TRUE" else ""


class Azure(_Cloud):
    """Virtual machines of Azure, spot or not."""

    _ENDING = ("Preempt", "Terminate", "Redeploy", "Reboot")
    """Events that end every process; a Freeze does not."""

    _EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
    _NAME = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"

    def __init__(self, server: str = METADATA) -> None:
        super().__init__(server)
        self._name = ""
        self._patience = FIRST_EVENTS_IN

    def look(self) -> str:
        ours = {"Metadata": "true"}
        self._name = self._name or self._get(self._NAME, ours)
        events = self._parsed(self._get(self._EVENTS, ours, self._patience)).get("Events")
        self._patience = ANSWER_IN
        for event in events if isinstance(events, list) else ():
            if isinstance(event, dict) and self._ends_this_machine(event):
                when = event.get("NotBefore") or "once"
                return f"Azure has a {event['EventType']} for it, not before {when}"
        return ""

    def _ends_this_machine(self, event: Mapping[str, object]) -> bool:
        concerned = event.get("Resources")
        return (
            event.get("EventType") in self._ENDING
            and isinstance(concerned, list)
            and self._name in concerned
        )


CLOUDS: Mapping[str, Callable[[], Notices]] = {"aws": Aws, "gcp": Gcp, "azure": Azure}


def notices_asked_for() -> Notices | None:
    """Whom the variable names; None where it names nobody.

    Raises:
        UserError: it is not understood.
    """
    given = os.environ.get(VARIABLE, "")
    kind, _, rest = given.partition(":")
    if not given:
        return None
    if kind == "file" and Path(rest).is_absolute():
        return File(Path(rest))
    if given in CLOUDS:
        return CLOUDS[given]()
    expected = (*CLOUDS, "file:/PATH")
    meant = nearest(given, expected)
    raise UserError(
        f"{VARIABLE} is {given!r}: expected one of {', '.join(expected)}"
        + (f": is {meant} meant?" if meant else "")
    )
