"""Where a user is signed in: the address of a server and a token, in the user's own config folder.

    $XDG_CONFIG_HOME/sweeper/login.json, else ~/.config/sweeper/login.json     0600, its folder 0700

Imports no httpx: a verb that asks no server finds out here that it need not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from sweeper.errors import UserError
from sweeper.home import writing
from sweeper.secrets import without_user
from trials.files import atomic_write

SERVER_VARIABLE = "SWEEPER_SERVER"
TOKEN_VARIABLE = "SWEEPER_TOKEN"

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Login:
    """A server, and what opens it."""

    address: str
    token: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return urlsplit(self.address).hostname in _LOOPBACK

    @property
    def is_exposed(self) -> bool:
        """Whether the token goes over a network without encryption."""
        return urlsplit(self.address).scheme == "http" and not self.is_local


def login_file(environment: Mapping[str, str] | None = None) -> Path:
    """Where the login is kept.

    Raises:
        UserError: the user has no folder, by the environment or to the system.
    """
    given = os.environ if environment is None else environment
    config = given.get("XDG_CONFIG_HOME", "")
    folder = Path(config) if os.path.isabs(config) else Path(given.get("HOME") or "~") / ".config"
    try:
        return folder.expanduser() / "sweeper" / "login.json"
    except RuntimeError as error:
        raise UserError("a login has no place: set $XDG_CONFIG_HOME, or $HOME") from error


def read_login() -> Login | None:
    """The login that is kept, if there is one.

    Raises:
        UserError: its file is damaged, or another's.
    """
    try:
        file = login_file()
    except UserError:
        return None
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return Login(checked_address(kept["address"]), str(kept["token"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise UserError(f"the login in {file} cannot be read: {error.strerror}") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UserError) as error:
        raise UserError(f"{file} is damaged: `sweeper login URL` writes it anew") from error


def write_login(login: Login) -> Path:
    """Keep a login in place of an earlier one; its file, which only its owner can read."""
    file = login_file()
    with writing(file.parent):
        before = os.umask(0o077)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            kept = {"address": login.address, "token": login.token}
            atomic_write(file, json.dumps(kept, indent=2) + "\n")
        finally:
            os.umask(before)
    return file


def remove_login() -> bool:
    """Forget the login; whether there was one."""
    file = login_file()
    with writing(file.parent):
        if not file.exists():
            return False
        file.unlink()
        return True


def login_for(address: str | None = None) -> Login:
    """The login for a server, by default for $SWEEPER_SERVER or the one that is kept. The token is
    $SWEEPER_TOKEN, else the one that is kept for that server.

    Raises:
        UserError: no server is named, or there is no token for it.
    """
    named = address or os.environ.get(SERVER_VARIABLE)
    kept = read_login()
    if not named and kept is None:
        raise UserError(f"no server is named: `sweeper login URL`, --server, ${SERVER_VARIABLE}")
    chosen = checked_address(named) if named else kept.address if kept else ""
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token and kept is not None and kept.address == chosen:
        token = kept.token
    if not token:
        raise UserError(
            f"there is no token for {chosen}: `sweeper login {chosen}` keeps one, or it can stand "
            f"in ${TOKEN_VARIABLE}"
        )
    return Login(chosen, checked_token(token))


def checked_address(address: str) -> str:
    """The address of a server in its one spelling.

    Raises:
        UserError: it is none, or holds a user or password.
    """
    try:
        parts = urlsplit(address.strip())
        _ = parts.port
        _check_host(parts.netloc, parts.hostname or "")
    except ValueError:
        parts = urlsplit("")
    extra = parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme not in ("http", "https") or not parts.hostname or extra:
        shown = without_user(address)
        raise UserError(
            f"{shown!r} is not a server's address; expected https://HOST or http://…:8470"
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _check_host(netloc: str, host: str) -> None:
    if "[" in netloc or host.replace(".", "").isdigit():
        ip_address(host)
    elif len(host.split()) > 1:
        raise ValueError("it has blanks")
    else:
        host.encode("idna").decode("idna")


def checked_token(token: str) -> str:
    """A token as people paste it, without the blanks around it.

    Raises:
        UserError: it could never be one.
    """
    plain = token.strip()
    if not plain or not plain.isascii() or not plain.isprintable() or " " in plain:
        raise UserError("that is not a token: one looks like swp_…, and has no blanks inside")
    return plain
