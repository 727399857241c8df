"""What a server is to be started with, looked at first: all that is wrong with it at once."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from sweeper.errors import UserError
from sweeper.secrets import secrets_in, without_user
from sweeper.service.settings import ServiceSettings
from trials.problems import Problem
from trials.urls import EXTRAS

_WAYS_OUT = (
    "--certificate and --key; or --public https://NAME and --proxy ADDRESS of the proxy that has "
    "them; or --insecure, where everybody on the network may read everybody's token"
)


def checked(settings: ServiceSettings, *, insecure: bool = False) -> ServiceSettings:
    """The settings, once nothing is wrong with them.

    Raises:
        UserError: with everything that is.
    """
    problems = [
        *_public(settings),
        *_transport(settings, insecure),
        *_certificate(settings),
        *_proxies(settings),
        *_places(settings),
    ]
    if problems:
        raise UserError("the service cannot be started so:", problems)
    return settings


def _public(settings: ServiceSettings) -> Iterator[Problem]:
    if settings.public is None:
        if settings.host in ("0.0.0.0", "::"):
            what = f"{settings.host} is every address of this machine, and none that people use"
            yield Problem("--public", what, "the address that they do, https://sweeps.lab")
        return
    try:
        parts = urlsplit(settings.public)
        usable = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    else:
        usable = usable and parts.scheme in ("http", "https") and "@" not in parts.netloc
        usable = usable and parts.path in ("", "/") and not parts.query and not parts.fragment
    if not usable:
        what = f"{without_user(settings.public)} is not a server address"
        yield Problem("--public", what, "https://NAME or https://NAME:PORT, without a path")


def _transport(settings: ServiceSettings, insecure: bool) -> Iterator[Problem]:
    if settings.certificate is None and settings.secure and not settings.proxies:
        what = "https ends before this server, at a proxy that is not named"
        yield Problem("--proxy", what, "its address, so that it is believed who asks, and no other")
    if not (settings.secure or insecure or _is_loopback(settings.host)):
        what = f"tokens for {settings.host} would cross the network for everybody to read"
        yield Problem("--host", what, _WAYS_OUT)


def _certificate(settings: ServiceSettings) -> Iterator[Problem]:
    if (settings.certificate is None) != (settings.key is None):
        lacking = "--key" if settings.key is None else "--certificate"
        yield Problem(lacking, "only one of the two is given", "both --certificate and --key")
    elif settings.certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                settings.certificate, settings.key, password=""
            )
        except (OSError, ValueError) as error:
            told = getattr(error, "strerror", None) or str(error)
            what = f"{settings.certificate} and {settings.key} are of no use: {told}"
            yield Problem("--certificate", what, "a certificate and its key as PEM files")


def _proxies(settings: ServiceSettings) -> Iterator[Problem]:
    for proxy in settings.proxies:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            what = f"{proxy!r} is not an address"
            yield Problem("--proxy", what, "an address or network, 10.0.0.5 or 10.0.0.0/28")


def _places(settings: ServiceSettings) -> Iterator[Problem]:
    for root in settings.roots:
        if not root.is_dir():
            yield Problem("--root", f"{root} is not a folder", "one that the workers see too")
    for store in settings.stores:
        parts = urlsplit(store)
        if parts.scheme not in EXTRAS or not parts.netloc or secrets_in(store):
            what = f"{without_user(store)} is not the address of a store"
            known = ", ".join(f"{scheme}://" for scheme in EXTRAS)
            yield Problem("--store", what, f"one of {known} with a bucket, and without a secret")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def absolute(folder: Path) -> Path:
    """A folder as it is compared with what sweep files name."""
    return folder.expanduser().resolve()
