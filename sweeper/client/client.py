"""The client: one server, as one person."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from sweeper.client.cluster import Cluster
from sweeper.client.events import Events
from sweeper.client.files import Files
from sweeper.client.login import Login, checked_address, checked_token, login_for
from sweeper.client.notices import Notices
from sweeper.client.people import People
from sweeper.client.results import Results
from sweeper.client.sweeps import Sweeps
from sweeper.client.transport import Transport
from sweeper.client.trials import Trials


class Client:
    """A sweep service. Without an address it is the one of $SWEEPER_SERVER or of `sweeper login`;
    without a token, the token is $SWEEPER_TOKEN or that of the login.

    `timeout` is in seconds for one request, `patience` for one that is sent again because the
    server is away. Threads may share a client.

    Every method raises `UserError` (`UnknownSweep`, `SpecError`, `SpecConflict`) for what the
    server refuses, and `Unreachable` where it does not answer.
    """

    def __init__(
        self,
        address: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        patience: float = 120.0,
    ) -> None:
        """Raises:
        UserError: there is no such address, or no token for it.
        """
        if address is not None and token is not None:
            login = Login(checked_address(address), checked_token(token))
        else:
            login = login_for(address)
            login = login if token is None else Login(login.address, checked_token(token))
        self._transport = Transport(login, timeout=timeout, patience=patience)
        self.address = login.address
        self.sweeps = Sweeps(self._transport)
        self.trials = Trials(self._transport)
        self.results = Results(self._transport)
        self.files = Files(self._transport)
        self.cluster = Cluster(self._transport)
        self.people = People(self._transport)
        self.events = Events(self._transport)
        self.notices = Notices(self._transport)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
