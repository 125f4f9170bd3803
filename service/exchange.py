"""What surrounds every request: its id, its metrics, its log line, and an answer whatever happens.

Plain ASGI around the whole app, so that 404, 405 and an unforeseen exception are counted like the rest.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import problems
from service.metrics import Metrics

REQUEST_ID = "X-Request-ID"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# Labels are bounded: clients can make up methods.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Asked for every few seconds by machines: not worth a line each.
_UNLOGGED = ("/health", "/metrics")

access = logging.getLogger("digits.access")


class ExchangeMiddleware:
    """Gives each request an id, counts and times it, logs it, and answers for exceptions."""

    def __init__(self, app: ASGIApp, metrics: Metrics, draining: Callable[[], bool]) -> None:
        self._app = app
        self._metrics = metrics
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._metrics, self._draining())
        with self._metrics.requests_in_progress.track_inprogress():
            try:
                await self._app(scope, receive, exchange.send)
            except Exception:  # noqa: BLE001 - whatever went wrong, the client gets an answer and the log the reason
                access.exception("request %s failed", exchange.request_id)
                await exchange.fail(receive)
        exchange.finish()


class _Exchange:
    def __init__(self, scope: Scope, send: Send, metrics: Metrics, draining: bool) -> None:  # noqa: FBT001 - private
        self._scope = scope
        self._send = send
        self._metrics = metrics
        self._draining = draining
        self._started = time.perf_counter()
        self._status = 0
        self.request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = [*message["headers"], (REQUEST_ID.lower().encode(), self.request_id.encode())]
            if self._draining:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
            # Counted before the client can see it: whoever asks /metrics next finds it there.
            self._count()
        await self._send(message)

    async def fail(self, receive: Receive) -> None:
        """Answer 500, if nothing has been answered yet."""
        if not self._status:
            problem = problems.Internal("The service could not answer; its log has the reason under this request id.")
            self._scope["state"]["problem"] = problem
            response = problems.answer(problem, self._scope["path"], self.request_id)
            await response(self._scope, receive, self.send)

    def finish(self) -> None:
        seconds = time.perf_counter() - self._started
        self._metrics.request_duration.labels(self._route).observe(seconds)
        if not self._scope["path"].startswith(_UNLOGGED):
            self._log(seconds)

    def _count(self) -> None:
        method = self._scope["method"]
        self._metrics.requests.labels(method if method in _METHODS else "other", self._route, str(self._status)).inc()
        problem = self._scope["state"].get("problem")
        if problem is not None:
            self._metrics.rejected.labels(problem.reason).inc()

    def _log(self, seconds: float) -> None:
        problem = self._scope["state"].get("problem")
        fields = {
            "request_id": self.request_id,
            "method": self._scope["method"],
            "route": self._route,
            "status": self._status,
            "duration_ms": round(seconds * 1000, 3),
            **({"reason": problem.reason} if problem else {}),
            **self._scope["state"].get("log_fields", {}),
        }
        line = "{method} {route} {status} in {duration_ms} ms, request {request_id}".format_map(fields)
        access.info(line, extra=fields)

    @property
    def _route(self) -> str:
        """The route's template, never the path: paths are endless, labels must not be."""
        return getattr(self._scope.get("route"), "path", "unmatched")


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex
