"""/mlflow: MLflow's pages and API, for people and for MLflow's own clients.

    MLFLOW_TRACKING_URI=https://sweeps.lab/mlflow  MLFLOW_TRACKING_TOKEN=swp_…

What a route does is judged in `sweeper.tracking.routes`; here it is seen to.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sweeper.service.doors.owners import Owners
from sweeper.service.doors.proxy import ReverseProxy
from sweeper.service.people.bodies import whole
from sweeper.service.problem import Refusal
from sweeper.service.settings import BODY_LIMIT
from sweeper.service.state import accounts
from sweeper.service.state.accounts import Caller
from sweeper.service.state.database import Database
from sweeper.tracking.routes import NOTHING, searches, uploads, use_of
from sweeper.tracking.server import authorization
from sweeper.tracking.writes import plainly, reaches_out, said_in, subjects

PREFIX = "/mlflow"

SEARCHES = frozenset(PREFIX + path for path in searches())
"""Where a POST only reads."""

UPLOADS = tuple(PREFIX + path for path in uploads())
"""Below these a body may be of any size."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval' blob:; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; frame-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""MLflow's pages load nothing from elsewhere, and send nothing there."""

SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"
"""What a run has logged may be a page: it is shown, but its scripts do not run as one of ours."""

_ARTIFACTS = ("artifact", "mlflow-artifacts/")
_STREAMED = uploads()


class TrackingDoor:
    """ASGI application below /mlflow: the way to one MLflow server."""

    def __init__(self, address: str, database: Database) -> None:
        self._proxy = ReverseProxy("MLflow", address, PREFIX, authorization())
        self._owners = Owners(self._proxy.ask, database)

    async def close(self) -> None:
        """Give the connections back."""
        await self._proxy.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises:
        Refusal: the route is closed, or writes and the caller may only read; MLflow is away.
        """
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(PREFIX)
        if request.method == "GET" and path in NOTHING:
            return JSONResponse(NOTHING[path])
        use = use_of(request.method, path)
        if use == "closed":
            raise Refusal(403, "closed", "This part of MLflow is closed here.")
        body = await self._weigh(request, path) if use == "write" else None
        response = await self._proxy.pass_on(request, path, body)
        headers = MutableHeaders(raw=response.raw_headers)
        headers["content-security-policy"] = (
            SANDBOX if any(word in path for word in _ARTIFACTS) else POLICY
        )
        if path.startswith("/static-files/") and response.status_code == 200:
            headers["cache-control"] = "private, max-age=86400"
        return response

    async def _weigh(self, request: Request, path: str) -> bytes | None:
        """See that a write may be made; its body, where that had to be read for it."""
        caller: Caller = request.state.caller
        if caller.scope < accounts.Scope.SUBMIT:
            title = f"The token may only {caller.scope.word}; this needs submit."
            raise Refusal(403, "scope", title)
        body = None if path.startswith(_STREAMED) else await whole(request.receive, BODY_LIMIT)
        said = said_in(body or b"")
        if told := reaches_out(path, said):
            raise Refusal(403, "closed", f"This part of MLflow is closed here: {told}.")
        query = plainly(request.query_params.multi_items())
        await self._owners.check(caller, subjects(path, query, said))
        return body
