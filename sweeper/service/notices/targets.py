"""Which addresses may be reached from here: a person names one, and the server goes there.

An address of this machine, of its network or of a cloud's metadata would let a person reach, with
the server's hands, what only the server can. So an address is resolved and every result of that is
looked at: when it is saved, and again when something is sent, where the connection goes to a result
that was looked at, and to no other that the name may have by then.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

import httpx

from sweeper.errors import UserError

LONGEST = 2000
"""Characters of an address."""

_EMBEDDING = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that a gateway turns into the IPv4 address in their last 32 bits (NAT64)."""

_REFUSED = (
    *map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24")),  # metadata of clouds
    *map(ipaddress.ip_network, ("::/96", "fec0::/10")),  # forms that nobody uses any more
)
"""Networks that are not for everybody, though Python's `is_global` says so."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_url(target: str) -> httpx.URL:
    """An address of HTTP or HTTPS that could be sent to.

    Raises:
        UserError: it is none, or holds a user or password.
    """
    problem = ""
    try:
        url = httpx.URL(target)
    except (httpx.InvalidURL, UnicodeError):
        url, problem = httpx.URL(), "cannot be read"
    if len(target) > LONGEST:
        problem = f"has more than {LONGEST} characters"
    elif url.scheme not in ("http", "https") or not url.host:
        problem = problem or "is none of http:// or https://"
    elif url.userinfo:
        problem = "holds a user or password"
    if problem:
        raise UserError(f"the address {problem}; expected https://HOST/PATH")
    return url


def addresses_of(url: httpx.URL, *, internal: bool) -> list[str]:
    """The addresses to connect to, in the order in which to try them. `internal` allows all.

    Raises:
        UserError: the name has none, or one that is not to be reached from here.
    """
    host = url.raw_host.decode("ascii")
    try:
        found = socket.getaddrinfo(host, url.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UserError(f"{host} has no address") from error
    resolved = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in resolved:
        if not internal and not is_public(text):
            raise UserError(
                f"{host} is {text}, which is not for everybody: this server sends nothing to "
                "addresses of machines and networks of its own (--internal-targets allows it)"
            )
    return resolved


def is_public(text: str) -> bool:
    """Whether an IP address is one of the internet's, whatever it is wrapped in."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return all(_is_public(one) for one in _unwrapped(address))


def _is_public(address: Address) -> bool:
    refused = any(address in network for network in _REFUSED)
    return address.is_global and not address.is_multicast and not refused


def _unwrapped(address: Address) -> Iterator[Address]:
    """The address, or in its place those that it stands for."""
    inner: list[Address | None] = []
    if isinstance(address, ipaddress.IPv6Address):
        inner += [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _EMBEDDING:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    found = [one for one in inner if one is not None]
    yield from found or [address]
