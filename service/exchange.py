"""What surrounds every request: id, metrics, log line, safety headers, and an answer whatever happens.

Plain ASGI around the whole app, so that 404, 405 and an unforeseen exception are counted like the rest.
"""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import problems
from service.problems import ClientGone, MalformedBody, Problem
from service.telemetry.logs import Sampler
from service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from service.telemetry.tracing import RequestTrace, Tracing

Header = tuple[bytes, bytes]

REQUEST_ID = b"x-request-id"
# What a browser must not do with any answer: guess its type, tell others where it came from, show it in their frames.
_SAFETY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY_NAME = b"content-security-policy"
# An answer without a policy of its own is data: nothing in it may run, load or be framed.
_POLICY = (_POLICY_NAME, b"default-src 'none'; frame-ancestors 'none'")
_LINE = b"%b: %b\r\n"
_LAST_LINES = b"".join([*(_LINE % header for header in (*_SAFETY, _POLICY)), b"\r\n"])
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# Labels are bounded: clients can make up methods.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Machines request these every few seconds: not worth a line or a trace each.
_UNLOGGED = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
# A line takes 40 us, a fifth of a request: under load most of them would say the same.
_LINES_PER_SECOND = 100
# A fault that every request runs into has the same traceback each time.
_TRACEBACKS_PER_SECOND = 5

BODY_IS_THERE = "body_is_there"
"""The key that the connection adds to a request's state when all of the body has arrived."""

BROKEN_BODY = "broken_body"
"""The key that the connection adds to a request's state when the body breaks off in bytes that are not HTTP.

Its value is a function that makes the connection take an answer again; until then, the connection takes none.
"""

WHOLE = "digits.response"
"""The type of an ASGI message that is a whole answer: `status`, `headers` (without a policy) and `body`."""

IS_ALONE = "is_alone"
"""The key in a request's state that is true if this process was answering no other request when it began."""

CONNECTION = "connection"
"""The key under which a request's state holds its connection; missing if another server than ours runs the app."""

UNMATCHED = "unmatched"
"""The route label of a request that matches no route: paths are endless, labels must not be."""

access = logging.getLogger("digits.access")


class Connection(Protocol):
    """Where a request came from."""

    @property
    def is_lost(self) -> bool:
        """Whether the client can no longer be reached."""

    @property
    def is_alone(self) -> bool:
        """Whether the request that begins is the only one that this process is busy with."""

    def whole_writer(self, scope: Scope) -> Callable[[int, bytes], None] | None:
        """A function that writes a whole answer without uvicorn, which saves 15 us; None where uvicorn must do it.

        The function takes the answer's status, and its bytes after the status line.
        """


class ExchangeMiddleware:
    """Gives each request an id, counts and times it, logs and traces it, and answers for exceptions."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, draining: Callable[[], bool], tracing: "Tracing | None" = None
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._draining = draining
        # Ids are unique without asking the system for random bytes each time.
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        # One for each first digit of the status: the most frequent kind of line must not push out the others.
        self._lines = [Sampler(_LINES_PER_SECOND) for _ in range(6)]
        self._tracebacks = Sampler(_TRACEBACKS_PER_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._metrics, self._request_id(scope), self._draining)
        if self._tracing is not None and scope["path"] not in _UNLOGGED:
            exchange.trace = scope["state"]["trace"] = self._tracing.begin(scope)
        self._metrics.requests_in_progress.inc()
        try:
            await self._app(scope, receive, exchange.send)
        except Problem as problem:
            await exchange.refuse(problem)
        except Exception:  # noqa: BLE001 - whatever went wrong, the client gets an answer and the log the reason
            if self._tracebacks.admits():
                not_shown = self._tracebacks.left_out()
                access.exception("request %s failed%s", exchange.request_id, _more(not_shown))
            await exchange.refuse(problems.internal())
        finally:
            self._metrics.requests_in_progress.inc(-1)
        await exchange.refuse_broken_body()
        exchange.finish()
        if scope["path"] not in _UNLOGGED:
            lines = self._lines[exchange.status // 100]
            if lines.admits():
                exchange.log(lines.left_out())

    def _request_id(self, scope: Scope) -> str:
        """The caller's id, if it sent a usable one, else a new one."""
        for name, value in scope["headers"]:
            if name == REQUEST_ID and _REQUEST_ID.fullmatch(value):
                return str(value.decode())
        return f"{self._prefix}{next(self._numbers):016x}"


class _Exchange:
    __slots__ = (
        *("_connection", "_draining", "_metrics", "_scope", "_send", "_started"),
        *("request_id", "seconds", "status", "trace"),
    )

    def __init__(
        self, scope: Scope, send: Send, metrics: Metrics, request_id: str, draining: Callable[[], bool]
    ) -> None:
        self._scope = scope
        self._send = send
        self._metrics = metrics
        self._draining = draining
        self._started = time.perf_counter()
        self.seconds = 0.0
        self.status = 0
        self.request_id = request_id
        self.trace: RequestTrace | None = None
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        connection: Connection | None = state.pop(CONNECTION, None)  # it holds the state: no reference cycle
        self._connection = connection
        state[IS_ALONE] = connection is not None and connection.is_alone

    async def send(self, message: Message) -> None:
        if BROKEN_BODY in self._scope["state"]:
            return  # whatever the app answers to half a body, `refuse_broken_body` gives the true reason
        if message["type"] == WHOLE:
            await self._send_whole(message["status"], message["headers"], message["body"])
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._connection is not None and self._connection.is_lost:
                self.status, self._scope["state"]["rejected"] = ClientGone.status, ClientGone.reason
            headers = headers_of_every_answer(message["headers"], self.request_id)
            if self._draining() or self._leaves_body_unsent():
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
            # Counted before the client can see the answer, so that its next request to /metrics includes it.
            self._count()
        await self._send(message)

    def _leaves_body_unsent(self) -> bool:
        """Whether the client may now withhold its body; its next request would be read as body (RFC 9110, 10.1.1)."""
        if BODY_IS_THERE in self._scope["state"]:
            return False
        return any(name == b"expect" for name, _ in self._scope["headers"])

    async def _send_whole(self, status: int, headers: Iterable[Header], body: bytes) -> None:
        connection = self._connection
        write = None if connection is None or self._draining() else connection.whole_writer(self._scope)
        if write is None:
            await self.send({"type": "http.response.start", "status": status, "headers": headers})
            await self.send({"type": "http.response.body", "body": body})
            return
        self.status = status
        self._count()
        lines = [_LINE % header for header in (*headers, (REQUEST_ID, self.request_id.encode()))]
        write(status, b"".join((*lines, _LAST_LINES, body)))

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem, if nothing has been answered yet."""
        if not self.status:
            self._scope["state"]["rejected"] = problem.reason
            response = problems.answer(problem, self._scope["path"], self.request_id)
            whole = {"status": response.status_code, "headers": response.raw_headers, "body": response.body}
            await self.send({"type": WHOLE, **whole})

    async def refuse_broken_body(self) -> None:
        """Answer a request whose body broke off in bytes that are not HTTP."""
        take_an_answer = self._scope["state"].pop(BROKEN_BODY, None)
        if take_an_answer is not None:
            take_an_answer()
            await self.refuse(MalformedBody("The body breaks off in bytes that are not HTTP/1.1; send it whole."))

    def finish(self) -> None:
        """Note how long it took."""
        self.seconds = time.perf_counter() - self._started
        trace_id = ""
        if self.trace is not None:
            trace_id = self.trace.trace_id
            self.trace.end(self._method, self._fields())
        self._metrics.request_duration.observe_request(self.seconds, self.request_id, trace_id, self._route)

    def _count(self) -> None:
        self._metrics.requests.inc(self._method, self._route, str(self.status))
        reason = self._scope["state"].get("rejected")
        if reason is not None:
            self._metrics.rejected.inc(reason)

    def log(self, left_out: int) -> None:
        """Write the line of this exchange, and how many others have none."""
        fields = {**self._fields(), **({"left_out": left_out} if left_out else {})}
        line = "{method} {route} {status} in {duration_ms} ms, request {request_id}".format_map(fields)
        access.info(line + _more(left_out), extra=fields)

    def _fields(self) -> dict[str, str | int | float]:
        """What may be logged or traced of the exchange: nothing that the client sent except its id and method."""
        state = self._scope["state"]
        reason, answer = state.get("rejected"), state.get("access_fields")
        return {
            "request_id": self.request_id,
            "method": self._scope["method"],
            "route": self._route,
            "status": self.status,
            "duration_ms": round(self.seconds * 1000, 3),
            **({"reason": reason} if reason else {}),
            **({"trace_id": self.trace.trace_id} if self.trace else {}),
            **(answer.fields() if answer else {}),
        }

    @property
    def _method(self) -> str:
        """The method, or one label for all methods that clients make up."""
        method: str = self._scope["method"]
        return method if method in _METHODS else "other"

    @property
    def _route(self) -> str:
        """The route's template, never the path: paths are endless, labels must not be."""
        return getattr(self._scope.get("route"), "path", UNMATCHED)


def headers_of_every_answer(own: Iterable[Header], request_id: str) -> list[Header]:
    """An answer's own headers, and those that every answer has."""
    headers = [*own, (REQUEST_ID, request_id.encode()), *_SAFETY]
    if not any(name == _POLICY_NAME for name, _ in headers):
        headers.append(_POLICY)
    return headers


def _more(left_out: int) -> str:
    return f" ({left_out} more not shown)" if left_out else ""
