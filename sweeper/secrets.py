"""Secrets in addresses and in other people's messages: where they stand, and a text without them.

    scheme://USER:PASSWORD@host/path;key=VALUE?key=VALUE&key=VALUE#key=VALUE
             └ a token? ┘        └ a password, a token or a signature, by the name of its key ┘

An address has two readers who take it apart differently, urllib for a server and SQLAlchemy for a
database, whose passwords may hold `/`, `?` and `#`. What either of them takes for a secret is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

HIDDEN = "***"

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]+")

_SERVER_SCHEMES = frozenset({"http", "https", "file", "databricks"})
"""Of these a user without a password is none, unless it is a token."""

_SQLALCHEMY_USER = re.compile(r"[^:/]*(?::[^@]*)?@")
_URLLIB_USER = re.compile(r"[^/?#]*@")
_PORT = re.compile(r"[^:/?#@]*:[0-9]*[/?#]")
"""What begins so is the host of a server, and an `@` after it belongs to a path."""

_PAIR = re.compile(r"[?&;#]([^?&;#=]*)=(?=([^&]*))")
"""A key and all that any reader may take for its value: the next pair may begin inside."""
_INNER_PAIR = re.compile(r"(?:^|[;&\s{])([^=;&\s{]+)=[^;&\s]")

_SECRET_PART = re.compile(
    r"pass?w|passphrase|token|secret|apikey|accesskey|privatekey|signature|credential"
    r"|authorization"
)
_SECRET_WHOLE = frozenset({"pwd", "pass", "pw", "key", "sig", "sas", "auth", "jwt", "bearer"})
_SECRET_FILES = frozenset({"passfile", "sslkey", "tokenfile", "passwordfile", "secretfile"})
"""Names of files, in which a secret is where it should be."""

_PREFIXES = r"(?:gh[opsu]_|github_pat_|glpat-|dapi|hf_|sk-|xox[a-z]-|AKIA|ASIA|eyJ)"
_TOKEN_PREFIX = re.compile(_PREFIXES + r"[\w.-]{6,}")
_TOKEN_LENGTH = 16
_BARE_TOKEN = re.compile(r"(?<![\w.-])" + _PREFIXES + r"(?=[\w-]*[0-9])[\w-]{14,}")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")

_LOOSE = re.compile(
    r"(?P<before>\b[\w.-]*(?:pass?w|passphrase|pwd|token|secret|api_?key|signature)[\w.-]*"
    r"(?:\s*=\s*|[\"']\s*:\s*)[\"']?)(?P<secret>[^\s\"'&;,)\]}]+)",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<before>\b(?:Bearer|Basic)\s+)(?P<secret>[A-Za-z0-9._~+/=-]{6,})", re.IGNORECASE
)


@dataclass(frozen=True)
class Secret:
    """A secret in a text: where it stands, and what it is in words, such as `a password`."""

    start: int
    end: int
    what: str


OURS_ALONE = frozenset({"SWEEPER_SMTP_PASSWORD", "SWEEPER_TOKEN"})
"""Environment variables whose secrets are this process's: nothing that it starts needs them."""


def for_children(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without the secrets that are this process's alone: what is started with it
    runs other people's code, and shows its environment to whoever may use the cluster."""
    return {name: value for name, value in environment.items() if name not in OURS_ALONE}


def secrets_in(text: str) -> list[Secret]:
    """The secrets of every address in a text, or of the one that the text is, in their order."""
    found = {
        (secret.start, secret.end): secret
        for match in _ADDRESS.finditer(text)
        for secret in _secrets_of(match.group(), match.start())
    }
    if _ADDRESS.match(text):
        # The text may be one address: what ends one in a sentence can be part of its password.
        found |= {(secret.start, secret.end): secret for secret in _secrets_of(text, 0)}
    return _apart(sorted(found.values(), key=lambda secret: (secret.start, -secret.end)))


def redacted(text: str) -> str:
    """`text` with `***` in place of every secret that can be told from what stands around it.

    Beside the secrets of addresses those are the values of `password=…`, `"token": …` and their
    like, and of headers, which other people's error messages quote.
    """
    made, end = [], 0
    for secret in secrets_in(text):
        made += [text[end : secret.start], HIDDEN]
        end = secret.end
    whole = "".join([*made, text[end:]])
    for pattern in (_LOOSE, _HEADER):
        whole = pattern.sub(rf"\g<before>{HIDDEN}", whole)
    return whole


def redacted_command(words: Sequence[str]) -> list[str]:
    """A command line without its secrets: those of its words, and the value of `--password`."""
    shown: list[str] = []
    asks = False
    for word in words:
        key, equals, value = word.partition("=")
        if asks and not word.startswith("-"):
            shown.append(HIDDEN)
        elif value and _is_secret(key):
            shown.append(f"{key}={HIDDEN}")
        else:
            shown.append(redacted(word))
        asks = word.startswith("-") and not equals and _is_secret(word)
    return shown


def looks_secret(text: str, *, code: bool) -> bool:
    """Whether a text seems to hold a secret: in an address, a token of a known kind, a key, or the
    value of a `password`. In `code` that value stands in quotes: `token = read()` holds none."""
    if secrets_in(text) or any(
        pattern.search(text) for pattern in (_BARE_TOKEN, _PRIVATE_KEY, _HEADER)
    ):
        return True
    return any(not code or match["before"][-1] in "\"'" for match in _LOOSE.finditer(text))


def without_user(address: str) -> str:
    """`address` without its user, and with `***` in place of every secret."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return redacted(address)
    return redacted(f"{scheme}://{rest[_length_of_user(scheme, rest) :]}")


def _secrets_of(address: str, offset: int) -> Iterator[Secret]:
    """The secrets of one address that stands at `offset` of a text."""
    scheme, _, rest = address.partition("://")
    start = len(address) - len(rest)
    length = _length_of_user(scheme, rest)
    if length:
        user, colon, password = rest[: length - 1].partition(":")
        if scheme.lower() in _SERVER_SCHEMES and _is_token(user):
            yield Secret(offset + start, offset + start + len(user), "a token in place of a user")
        if password:
            at = offset + start + len(user) + len(colon)
            yield Secret(at, at + len(password), "a password")
    for pair in _PAIR.finditer(rest, length):
        key, value = unquote_plus(pair[1]), pair[2]
        if value and (_is_secret(key) or _holds_secret(value.partition(";")[0])):
            at = offset + start + pair.start(2)
            yield Secret(at, at + len(value), f"a secret, `{key}`,")
    _, mark, fragment = rest[length:].rpartition("#")
    if mark and "=" not in fragment and scheme.lower() in _SERVER_SCHEMES and _is_token(fragment):
        end = offset + len(address)
        yield Secret(end - len(fragment), end, "a token")


def _length_of_user(scheme: str, rest: str) -> int:
    """Characters of the user, its password and the `@` after them, by whoever sees more of them."""
    readers = [_URLLIB_USER]
    if scheme.lower() not in _SERVER_SCHEMES or not _PORT.match(rest):
        readers.append(_SQLALCHEMY_USER)
    return max(len(match[0]) if (match := reader.match(rest)) else 0 for reader in readers)


def _is_secret(key: str) -> bool:
    """Whether a key of this name holds a secret: `sslpassword`, `X-Amz-Signature`, `sig`."""
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    if plain in _SECRET_FILES:
        return False
    return plain in _SECRET_WHOLE or _SECRET_PART.search(plain) is not None


def _holds_secret(value: str) -> bool:
    """Whether a value is itself a list of settings with a secret among them (`odbc_connect`)."""
    plain = value
    for _ in range(3):  # encoded once more on each way through another address
        if any(_is_secret(match[1]) for match in _INNER_PAIR.finditer(plain)):
            return True
        plain = unquote_plus(plain)
    return False


def _is_token(user: str) -> bool:
    """Whether a user's name looks as if it had been drawn at random."""
    plain = unquote_plus(user)
    if _TOKEN_PREFIX.fullmatch(plain):
        return True
    return len(plain) >= _TOKEN_LENGTH and any(map(str.isdigit, plain)) and "@" not in plain


def _apart(secrets: list[Secret]) -> list[Secret]:
    """Those of the secrets, sorted by where they begin, that do not lie in one before them."""
    kept: list[Secret] = []
    for secret in secrets:
        if kept and secret.start < kept[-1].end:
            last = kept[-1]
            kept[-1] = Secret(last.start, max(last.end, secret.end), last.what)
        else:
            kept.append(secret)
    return kept
