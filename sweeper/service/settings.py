"""What a server is started with: everything that its parts need to know of where they run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sweeper.errors import UserError
from sweeper.home import Home
from sweeper.secrets import secrets_in, without_user

DATABASE_VARIABLE = "SWEEPER_DATABASE"
"""Environment variable with the URL of the service's database, in place of a file in the home."""

LOOPBACK = "127.0.0.1"
USUAL_PORT = 8470

_OWN_PORTS = {"http": ":80", "https": ":443"}
"""The ports that browsers and other clients leave out, by scheme."""

BODY_LIMIT = 2 << 20
"""Bytes of a request's body; a sweep file has a few thousand."""


@dataclass(frozen=True)
class ServiceSettings:
    """One server.

    `database` is an SQLAlchemy URL. `public` is the address that people use where a proxy stands
    before the server, `https://sweeps.lab`; `proxies` are the addresses of proxies whose word on
    the client's address is believed. `certificate` and `key` are PEM files. Sweeps may read data
    and weights only below `roots`, and from addresses that begin with one of `stores`.
    """

    home: Home
    database: str
    host: str = LOOPBACK
    port: int = USUAL_PORT
    public: str | None = None
    proxies: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    roots: tuple[Path, ...] = ()
    stores: tuple[str, ...] = ()
    body_limit: int = BODY_LIMIT
    internal_targets: bool = False
    """Whether notices may be sent to loopback and link-local addresses."""

    @property
    def secure(self) -> bool:
        """Whether browsers reach the server by HTTPS."""
        public = (self.public or "").lower()
        return self.certificate is not None or public.startswith("https://")

    @property
    def address(self) -> str:
        """Where people find the server."""
        if self.public:
            return self.public.rstrip("/")
        scheme = "https" if self.secure else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def origins(self) -> frozenset[str]:
        """Origins that the server's own pages have, as browsers write them."""
        own = {self.address}
        if self.public is None and self.host.lower() in (LOOPBACK, "localhost", "::1"):
            scheme = "https" if self.secure else "http"
            own |= {f"{scheme}://{name}:{self.port}" for name in (LOOPBACK, "localhost", "[::1]")}
        return frozenset(map(_as_browsers_write_it, own))

    @property
    def hosts(self) -> frozenset[str]:
        """What the Host header may name. Another one names another server, and a page that has had
        its name pointed here (DNS rebinding) sends one."""
        return frozenset(urlsplit(origin).netloc for origin in self.origins)

    def is_own_origin(self, origin: str) -> bool:
        """Whether a page of this origin is one of the server's own."""
        return _as_browsers_write_it(origin) in self.origins

    def answers_to(self, host: str) -> bool:
        """Whether the server answers to this value of the Host header."""
        return self.is_own_origin(f"{urlsplit(self.address).scheme}://{host}")


def _as_browsers_write_it(origin: str) -> str:
    """An origin in lower case, and without a port that its scheme has anyway."""
    scheme, _, netloc = origin.lower().partition("://")
    return f"{scheme}://{netloc.removesuffix(_OWN_PORTS.get(scheme, ''))}"


def database_url(home: Home, environment: Mapping[str, str] | None = None) -> str:
    """The database at $SWEEPER_DATABASE, else a file in the home.

    Raises:
        UserError: the address holds a password, which process lists and logs would show, or the
            home's path means something else in an address.
    """
    given = (os.environ if environment is None else environment).get(DATABASE_VARIABLE, "")
    if not given and not {"%", "?"}.isdisjoint(str(home.path)):
        raise UserError(
            f"the service cannot keep its database in {home.path}: '%' and '?' mean something else "
            f"in an address; choose another --home, or name a PostgreSQL in {DATABASE_VARIABLE}"
        )
    if not given:
        return f"sqlite:///{home.path}/service.db"
    for secret in secrets_in(given):
        raise UserError(
            f"{DATABASE_VARIABLE}, {without_user(given)}, holds {secret.what} which logs and "
            "process lists would show: put it into PGPASSFILE or PGPASSWORD"
        )
    return given
