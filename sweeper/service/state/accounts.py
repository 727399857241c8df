"""People, their tokens, and the browsers that they have signed in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy import ColumnElement, Select, delete, select, update
from sqlalchemy.orm import Session

from sweeper.errors import UserError
from sweeper.service.state.tables import BrowserSession, Person, Token
from trials.problems import nearest

PREFIX = "swp"
"""What every token begins with, so that scanners of repositories know one."""

SESSION_SECONDS = 12 * 3600
"""How long a browser stays signed in."""

MOST_TOKENS = 100
"""Tokens of one person that open something."""

MOST_BROWSERS = 20
"""Browsers that are signed in with one token; the one that was first is signed out."""

USED_EVERY = 60.0
"""Seconds between two notes of a token's use."""


class Scope(IntEnum):
    """What a token may do; each includes those before it."""

    READ = 1
    SUBMIT = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Scope:
        """The scope of this name.

        Raises:
            UserError: there is none.
        """
        words = [scope.word for scope in cls]
        if word not in words:
            close = nearest(word, words)
            hint = f"; did you mean {close!r}?" if close else ""
            raise UserError(f"{word!r} is not a token scope: expected {', '.join(words)}{hint}")
        return cls[word.upper()]


@dataclass(frozen=True)
class Caller:
    """Who sends a request, and with what. `csrf` is what a browser's forms must carry; None where a
    token came with the request itself. `address` is where the request comes from, `until` when the
    token or the browser's session ends by itself."""

    person: Person
    token: Token
    csrf: str | None = None
    address: str = ""
    until: float = math.inf

    @property
    def scope(self) -> Scope:
        return Scope.of(self.token.scope)

    @property
    def may_submit(self) -> bool:
        return self.scope >= Scope.SUBMIT

    @property
    def is_admin(self) -> bool:
        return self.scope is Scope.ADMIN


def person_named(session: Session, name: str) -> Person | None:
    """Somebody by name; None where nobody has it."""
    return session.scalar(select(Person).where(Person.name == name))


def people(session: Session) -> list[Person]:
    """Everybody, by name."""
    return list(session.scalars(select(Person).order_by(Person.name)))


def first_admin(session: Session) -> Person | None:
    """Who has had a token of an admin for longest; None before anybody has."""
    return session.scalar(
        select(Person)
        .join(Token, Token.person_id == Person.id)
        .where(Token.scope == Scope.ADMIN.word)
        .order_by(Token.created)
        .limit(1)
    )


def add_person(session: Session, name: str, *, weight: float = 1.0) -> Person:
    """Somebody new.

    Raises:
        UserError: the name is taken, or cannot be one.
    """
    if not name.strip() or len(name) > 100 or not name.isprintable() or _leads_astray(name):
        expected = "1 to 100 printable characters, none of them / or :, and not . or .. alone"
        raise UserError(f"{name!r} cannot be a person's name: {expected}")
    if person_named(session, name):
        raise UserError(f"there is a person named {name!r} already")
    person = Person(name=name, weight=weight, created=time.time())
    session.add(person)
    session.flush()
    return person


def add_token(
    session: Session, person: Person, name: str, scope: Scope, *, days: float | None = None
) -> tuple[Token, str]:
    """A new token, and the words that are shown to its owner this once.

    Raises:
        UserError: it can have no such length of life; or there are as many as anybody may have.
    """
    if days is not None and not 0 < days < 36500:
        raise UserError(
            f"{days:g} is not a number of days that a token can last: above 0, to 36,499"
        )
    if sum(map(_is_valid, tokens_of(session, person))) >= MOST_TOKENS:
        raise UserError(f"{person.name} has {MOST_TOKENS} tokens: revoke one first")
    identifier = base64.b32encode(secrets.token_bytes(5)).decode().lower()
    secret = secrets.token_urlsafe(32)
    now = time.time()
    token = Token(
        id=identifier,
        person_id=person.id,
        name=name,
        hash=_hash(secret),
        scope=scope.word,
        created=now,
        expires=None if days is None else now + 86400 * days,
    )
    session.add(token)
    session.flush()
    return token, f"{PREFIX}_{identifier}_{secret}"


def tokens_of(session: Session, person: Person | None = None) -> list[Token]:
    """The tokens of somebody, or all, newest first."""
    chosen = select(Token).order_by(Token.created.desc())
    return list(session.scalars(chosen.where(Token.person_id == person.id) if person else chosen))


def revoke(session: Session, identifier: str) -> Token:
    """A token opens nothing from now on, nor does any that was made with it, and so on, nor do the
    browsers signed in with them.

    Raises:
        UserError: there is none of this id.
    """
    token = session.get(Token, identifier)
    if token is None:
        raise UserError(f"there is no token {identifier!r}")
    going = [identifier]
    while going:
        # First these, which `holds` waits for, so that all that was made with them is seen.
        valid = update(Token).where(Token.id.in_(going), Token.revoked.is_(None))
        session.execute(valid.values(revoked=time.time()))
        session.execute(delete(BrowserSession).where(BrowserSession.token_id.in_(going)))
        going = list(session.scalars(select(Token.id).where(Token.made_with.in_(going))))
    return token


def caller_with_token(session: Session, words: str) -> Caller | None:
    """Who has this token; None where it opens nothing (any more)."""
    prefix, _, rest = words.partition("_")
    identifier, _, secret = rest.partition("_")
    known = prefix == PREFIX and identifier.isalnum()
    token = session.get(Token, identifier) if known else None
    # Hashed and compared also where there is none: the time of an answer tells nothing.
    same = hmac.compare_digest(_hash(secret), token.hash if token else _hash(PREFIX))
    if token is None or not same:
        return None
    return _caller(session, token, None, math.inf)


def valid_tokens(session: Session, identifiers: Collection[str]) -> set[str]:
    """Those of these tokens that still open something."""
    return set(session.scalars(select(Token.id).where(Token.id.in_(identifiers), _valid())))


def holds(session: Session, token: Token) -> bool:
    """Whether a token still opens something, which it then does until this session has written."""
    still = select(Token.id).where(Token.id == token.id, _valid())
    return session.scalar(still.with_for_update()) is not None


def let_in() -> Select[int]:
    """The ids of everybody who has a token that opens something."""
    return select(Token.person_id).where(_valid())


def sign_in(session: Session, caller: Caller) -> str:
    """Sign a browser in: the words of its cookie."""
    now, words = time.time(), secrets.token_urlsafe(32)
    session.execute(delete(BrowserSession).where(BrowserSession.expires < now))
    mine = select(BrowserSession).where(BrowserSession.token_id == caller.token.id)
    newest_first = session.scalars(mine.order_by(BrowserSession.created.desc())).all()
    for browser in newest_first[MOST_BROWSERS - 1 :]:
        session.delete(browser)
    session.add(
        BrowserSession(
            hash=_hash(words),
            token_id=caller.token.id,
            csrf=secrets.token_urlsafe(32),
            created=now,
            expires=min(now + SESSION_SECONDS, caller.token.expires or float("inf")),
        )
    )
    return words


def sign_out(session: Session, words: str) -> None:
    """The cookie opens nothing from now on."""
    session.execute(delete(BrowserSession).where(BrowserSession.hash == _hash(words)))


def caller_with_cookie(session: Session, words: str) -> Caller | None:
    """Who has signed in with this cookie; None where it opens nothing (any more)."""
    browser = session.get(BrowserSession, _hash(words))
    if browser is None or browser.expires < time.time():
        return None
    token = session.get(Token, browser.token_id)
    return _caller(session, token, browser.csrf, browser.expires) if token else None


def is_used(token: Token) -> bool:
    """Whether it was noted lately that the token is in use."""
    return token.used is not None and time.time() - token.used < USED_EVERY


def note_use(session: Session, token: Token) -> None:
    """Note when a token was last used."""
    kept = session.get(Token, token.id)
    if kept is not None:
        kept.used = time.time()


def _caller(session: Session, token: Token, csrf: str | None, until: float) -> Caller | None:
    if not _is_valid(token):
        return None
    person = session.get(Person, token.person_id)
    until = until if token.expires is None else min(until, token.expires)
    return Caller(person, token, csrf, until=until) if person else None


def _is_valid(token: Token) -> bool:
    return not token.revoked and (token.expires is None or token.expires >= time.time())


def _valid() -> ColumnElement[bool]:
    """`_is_valid`, for the database to say."""
    return Token.revoked.is_(None) & (Token.expires.is_(None) | (Token.expires >= time.time()))


def _leads_astray(name: str) -> bool:
    """Whether an address with this name in it is another one, `/people/..`."""
    return bool({"/", ":"} & set(name)) or name in (".", "..")


def _hash(secret: str) -> str:
    # A token has 256 random bits: a slow hash would protect nothing more.
    return hashlib.sha256(secret.encode()).hexdigest()
