"""Signing in with a token, once, and out again."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from sweeper.service.app import CurrentService
from sweeper.service.pages.rendering import page
from sweeper.service.pages.routing import router as new_router
from sweeper.service.people.guard import COOKIE, cookie_of
from sweeper.service.people.permission import CurrentCaller
from sweeper.service.state import accounts, audit

router = new_router()


@router.get("/login")
def ask(request: Request, service: CurrentService, next: str = "/") -> Response:
    """Ask for a token; a browser that is signed in goes on to where it was led from."""
    words = cookie_of(request.headers)
    # Beside a header, which the guard goes by, a cookie lets nobody in: that would be a circle.
    if words is not None and "authorization" not in request.headers:
        with service.database.reading() as session:
            caller = accounts.caller_with_cookie(session, words)
        if caller is not None:
            return RedirectResponse(own_path(next), 303)
    return page(request, "login.html", next=own_path(next), problem="")


@router.post("/login")
def sign_in(
    request: Request,
    service: CurrentService,
    token: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Sign the browser in: from now on its cookie says who asks."""
    with service.database.writing() as session:
        caller = accounts.caller_with_token(session, token.strip())
        words = accounts.sign_in(session, caller) if caller else ""
        if caller:
            audit.note(session, replace(caller, address=request.state.client), "sign in")
    if caller is None:
        request.state.failed()
        problem = "This token is not valid: it was mistyped, has expired or was revoked."
        return page(request, "login.html", status=401, next=own_path(next), problem=problem)
    answer = RedirectResponse(own_path(next), 303)
    answer.set_cookie(
        COOKIE,
        words,
        max_age=accounts.SESSION_SECONDS,
        httponly=True,
        # A link in a notice leads in, also from a page of mail elsewhere. What another site's page
        # would have written is refused by its Origin and for want of the CSRF token; reading
        # changes nothing.
        samesite="lax",
        secure=service.settings.secure,
    )
    return answer


@router.post("/logout")
def sign_out(request: Request, service: CurrentService, caller: CurrentCaller) -> Response:
    """Sign the browser out: its cookie opens nothing from now on."""
    words = cookie_of(request.headers)
    with service.database.writing() as session:
        if words is not None:
            accounts.sign_out(session, words)
        audit.note(session, caller, "sign out")
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


def own_path(address: str) -> str:
    """The path of an address on this server; `/` for any other: nobody is led elsewhere.

    A browser reads a backslash as a slash and ignores control characters, so that `/\\evil.example`
    would be another server.
    """
    if not address.isprintable() or "\\" in address:
        return "/"
    try:
        parts = urlsplit(address)
    except ValueError:  # as of `//[`
        return "/"
    if parts.scheme or parts.netloc or not parts.path.startswith("/"):
        return "/"
    if parts.path.startswith("//") or parts.path == "/login":
        return "/"
    return parts.path + (f"?{parts.query}" if parts.query else "")
