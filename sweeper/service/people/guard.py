"""The guard: nothing is answered before it is known who asks, whatever is mounted behind it.

    Host is ours → Origin, if any, is ours → a body of bounded size, in bounded time
      → the path is public, or a token or cookie says who asks
      → a browser's writes carry its CSRF token, or come from a page of ours by the browser's word
      → the scope is enough for the method

Routes need no word of their own to be closed: only those of `PUBLIC` are open. What a route asks
beyond that (another's sweep, an admin's page), it asks itself, see `permission`.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweeper.errors import SweeperError
from sweeper.service.people.attempts import Attempts
from sweeper.service.people.bodies import bounded, replayed, whole
from sweeper.service.people.permission import check_scope
from sweeper.service.problem import Refusal, problem_response, refusal_of
from sweeper.service.settings import ServiceSettings
from sweeper.service.state import accounts
from sweeper.service.state.accounts import Caller
from sweeper.service.state.accounts import Scope as TokenScope
from sweeper.service.state.database import Database, DatabaseError
from sweeper.service.state.unwritten import Unwritten

COOKIE = "sweeper_session"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"

HEALTH = "/health"
PUBLIC = ("/login", HEALTH)
PUBLIC_BELOW = ("/static/",)
"""What anybody is answered: signing in, whether the server is up, and the pages' own files."""

READING = ("GET", "HEAD", "OPTIONS")

_FORM = "application/x-www-form-urlencoded"
_FORM_LIMIT = 1 << 20
_FORM_FIELDS = 1000

POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


@dataclass(frozen=True)
class Openings:
    """Where the guard lets more through than elsewhere, and why that is safe."""

    upload_below: tuple[str, ...] = ()
    """Below these a body may be of any size: artifacts on their way to MLflow."""
    searches: frozenset[str] = frozenset()
    """To these a POST only reads, so that a token to read is enough."""
    foreign: tuple[str, ...] = ()
    """Pages below these are other programs' own, which carry no CSRF token of ours: what they send
    must have an Origin, and it was seen that it is this server."""

    def __or__(self, other: Openings) -> Openings:
        return Openings(
            self.upload_below + other.upload_below,
            self.searches | other.searches,
            self.foreign + other.foreign,
        )


Told = Callable[[Request, Refusal], Awaitable[Response]]
"""How somebody is told of a refusal: browsers by a page."""


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServiceSettings,
        database: Database,
        lookups: Unwritten,
        told: Told,
        openings: Openings = Openings(),
    ) -> None:
        self._app = app
        self._settings = settings
        self._database = database
        self._lookups = lookups
        self._told = told
        self._openings = openings
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # nothing here speaks over a WebSocket
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, headers = scope["path"], Headers(scope=scope)
        send = _with_headers(send, path, self._settings.secure)
        any_size = path.startswith(self._openings.upload_below or "\0")
        limit = None if any_size else self._settings.body_limit
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if path != HEALTH:  # it is asked by address, and tells strangers nothing
                self._check_origin(headers)
            receive = bounded(receive, headers, limit)
            receive = await self._identify(scope, receive, headers)
            await self._app(scope, receive, watch)
        except (
            Refusal,
            SweeperError,
        ) as error:  # of what is raised in here; the app answers its own
            if started:
                raise
            refusal = error if isinstance(error, Refusal) else refusal_of(error)
            response = await self._refused(Request(scope), refusal)
            await response(scope, receive, send)

    async def _refused(self, request: Request, refusal: Refusal) -> Response:
        """The answer to a refusal: the way to sign in for a browser that opens a page."""
        wants_page, scope = "text/html" in request.headers.get("accept", ""), request.scope
        if refusal.status_code == 401 and wants_page and scope["method"] not in READING:
            return _to_sign_in(_page_of_form(request.headers))
        if refusal.status_code == 401 and wants_page:
            query = scope["query_string"].decode("latin-1")
            there = scope["path"] + (f"?{query}" if query else "")
            return _to_sign_in(there)
        if refusal.status_code == 421:  # no page of ours can be read under another host
            return problem_response(refusal, scope["path"])
        return await self._told(request, refusal)

    def _check_origin(self, headers: Headers) -> None:
        if not self._settings.answers_to(headers.get("host", "")):
            hosts = ", ".join(sorted(self._settings.hosts))
            raise Refusal(421, "wrong-host", "This server answers to another name.", hosts)
        if not all(map(self._settings.is_own_origin, headers.getlist("origin"))):
            raise Refusal(403, "wrong-origin", "Requests from other sites' pages are refused.")

    async def _identify(self, scope: Scope, receive: Receive, headers: Headers) -> Receive:
        """Find out who asks, and see that they may; the body to go on with."""
        path, method = scope["path"], scope["method"]
        state = scope.setdefault("state", {})
        client = scope["client"][0] if scope.get("client") else ""
        state["client"] = client
        if path in PUBLIC or path.startswith(PUBLIC_BELOW):
            if path == "/login":
                state["failed"] = lambda: self._attempts.failed(client)
            return receive
        caller = self._known(headers) or await run_in_threadpool(self._caller, headers)
        if caller is None:
            if headers.get("authorization") is not None:
                # Only who fails is held up: others have the same address, behind a proxy or a
                # tunnel. A cookie is no guess: a page that is left open sends it for ever.
                self._attempts.failed(client)
            raise Refusal(401, "no-token", "A valid token is needed: `Authorization: Bearer …`.")
        state["caller"] = caller = replace(caller, address=client)
        reading = method in READING or path in self._openings.searches
        if caller.csrf is not None and method not in READING:
            if path.startswith(self._openings.foreign or "\0"):
                _check_page(headers)
            else:
                receive = await _check_csrf(receive, headers, caller.csrf)
        check_scope(caller, TokenScope.READ if reading else TokenScope.SUBMIT)
        return receive

    def _known(self, headers: Headers) -> Caller | None:
        """Who asks, where that was looked up and nobody has written to the database since."""
        caller: Caller | None = self._lookups.known(_key(headers))
        if caller is None or caller.until < time.time() or not accounts.is_used(caller.token):
            return None
        return caller

    def _caller(self, headers: Headers) -> Caller | None:
        """Who asks, by token or by cookie, as the database has it now."""
        kind, words = _credential(headers)
        version = self._lookups.version()
        with self._database.reading() as session:
            caller = None
            if kind == "token":
                caller = accounts.caller_with_token(session, words)
            elif kind == "cookie":
                caller = accounts.caller_with_cookie(session, words)
        if caller is None:
            return None
        self._lookups.keep(version, _key(headers), caller)
        if not accounts.is_used(caller.token):
            # A full disk is no reason to let nobody in.
            with contextlib.suppress(DatabaseError), self._database.writing() as session:
                accounts.note_use(session, caller.token)
        return caller


def _page_of_form(headers: Headers) -> str:
    """Path and query of the page whose form was sent, by the browser's word; `/` without one."""
    try:
        page = urlsplit(headers.get("referer", ""))
    except ValueError:  # as of `http://[`
        return "/"
    return (page.path or "/") + (f"?{page.query}" if page.query else "")


def _to_sign_in(there: str) -> Response:
    return RedirectResponse(f"/login?next={quote(there, safe='')}", 303)


def _credential(headers: Headers) -> tuple[str, str]:
    """What says who asks, and of which kind it is: a token goes before a cookie."""
    kind, _, words = headers.get("authorization", "").partition(" ")
    if kind:
        return ("token", words.strip()) if kind.lower() == "bearer" else ("", "")
    cookie = _cookie(headers)
    return ("cookie", cookie) if cookie else ("", "")


def _key(headers: Headers) -> tuple[str, bytes]:
    """Under what it is kept who that is: what opens something lies about nowhere."""
    kind, words = _credential(headers)
    return kind, hashlib.sha256(words.encode()).digest()


def cookie_of(headers: Headers) -> str | None:
    """The words of the browser's session, if it sent any."""
    return _cookie(headers)


def _cookie(headers: Headers) -> str | None:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return None
    found = jar.get(COOKIE)
    return found.value if found else None


async def _check_csrf(receive: Receive, headers: Headers, expected: str) -> Receive:
    """See that a browser's write comes from a page of ours: its header or form field says so."""
    given = headers.get(CSRF_HEADER)
    if given is None and headers.get("content-type", "").startswith(_FORM):
        body = await whole(receive, _FORM_LIMIT)
        receive = replayed(body, receive)
        try:
            fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_FORM_FIELDS)
        except ValueError as error:
            title = f"A form may have {_FORM_FIELDS:,} fields at most."
            raise Refusal(413, "too-large", title) from error
        given = fields.get(CSRF_FIELD, [""])[0]
    if not hmac.compare_digest((given or "").encode(), expected.encode()):
        raise Refusal(
            403, "csrf", "The form is out of date or from another site: load the page again."
        )
    return receive


def _check_page(headers: Headers) -> None:
    """See that a browser says which page sends this: every one does with whatever may write."""
    if headers.get("origin") is None:
        raise Refusal(403, "csrf", "The request does not say from which page it comes.")


def _with_headers(send: Send, path: str, secure: bool) -> Send:
    """What browsers are told with every answer."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault("referrer-policy", "same-origin")
            if not path.startswith(("/mlflow", "/optuna")):  # their pages have inline scripts
                headers.setdefault("content-security-policy", POLICY)
            else:
                headers.setdefault("content-security-policy", "frame-ancestors 'self'")
            if not path.startswith(PUBLIC_BELOW):
                headers.setdefault("cache-control", "no-store")
            if secure:
                headers.setdefault("strict-transport-security", "max-age=31536000")
        await send(message)

    return told
