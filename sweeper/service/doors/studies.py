"""/optuna/NAME: Optuna's dashboard on the study of one sweep, to be looked at."""

from __future__ import annotations

from typing import cast

from a2wsgi import WSGIMiddleware
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sweeper.errors import UnknownSweep
from sweeper.home import Home
from sweeper.search.dashboard import Dashboard, Dashboards, page, script
from sweeper.service.problem import Refusal

PREFIX = "/optuna"

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'"
)
"""Its parallel coordinates are drawn by a script that makes scripts."""

ANSWERED = ("/api/", "/csv/")
"""What of the dashboard's server is open, to GET alone."""

_DASHBOARD = "sweeper.dashboard"
_THREADS = 4


class StudiesDoor:
    """ASGI application below /optuna."""

    def __init__(self, home: Home) -> None:
        self._dashboards = Dashboards(home)
        self._wsgi = cast(ASGIApp, WSGIMiddleware(_answer, workers=_THREADS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises:
        Refusal: the request would write, or there is nothing at this address.
        SweeperError: the sweep has no study, or it cannot be read.
        """
        _, name, rest = f"{scope['path'].removeprefix(PREFIX)}/".split("/", 2)
        if scope["method"] not in ("GET", "HEAD"):
            title = "Optuna's dashboard is to be looked at here: it changes nothing."
            raise Refusal(405, "read-only", title, headers={"allow": "GET, HEAD"})
        if not name:
            await RedirectResponse("/", 303)(scope, receive, send)
            return
        try:
            dashboard = await run_in_threadpool(self._dashboards.of, name)
        except UnknownSweep as error:  # which says where the home is
            raise UnknownSweep(f"there is no sweep {name!r} that has a study") from error
        root, inside = f"{PREFIX}/{name}", f"/{rest}".rstrip("/")
        if inside == "/static/bundle.js":
            response = await run_in_threadpool(_script, Request(scope))
        elif inside == "":
            response = RedirectResponse(f"{root}/dashboard/studies/{dashboard.study}", 303)
        elif inside == "/dashboard" or inside.startswith("/dashboard/"):
            text = await run_in_threadpool(page, root)
            response = HTMLResponse(text, headers={"content-security-policy": POLICY})
        elif inside.startswith(ANSWERED):
            inner = {**scope, "root_path": root, "path": root + inside, _DASHBOARD: dashboard}
            await self._wsgi(inner, receive, send)
            return
        else:
            raise Refusal(404, "not-found", "The dashboard has nothing at this address.")
        await response(scope, receive, send)


def _answer(environ, start_response):  # type: ignore[no-untyped-def]
    dashboard: Dashboard = environ["asgi.scope"][_DASHBOARD]
    return dashboard.app(environ, start_response)


def _script(request: Request) -> Response:
    made = script()
    packed = "gzip" in request.headers.get("accept-encoding", "")
    headers = {
        "cache-control": "private, max-age=31536000, immutable",
        "vary": "accept-encoding",
        **({"content-encoding": "gzip"} if packed else {}),
    }
    return Response(
        made.packed if packed else made.plain, media_type="text/javascript", headers=headers
    )
