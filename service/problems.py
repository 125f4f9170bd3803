"""Problems: every error answer, as application/problem+json (RFC 9457), 404 and 405 included.

A problem knows its status, its title and a sentence that says what to do; raising it anywhere below a
route answers the request. No internals leak: an unforeseen exception is a bare 500.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Pointer:
    """One place that is wrong: a JSON pointer into what was sent, and what is wrong there."""

    pointer: str
    detail: str


class Problem(Exception):
    """An error answer; subclasses fix the status and the title."""

    status: ClassVar[int] = 500
    reason: ClassVar[str] = "internal"
    """Names the kind of problem in `type` and in digits_rejected_total."""
    title: ClassVar[str] = "Internal server error"

    def __init__(
        self,
        detail: str,
        errors: list[Pointer] | None = None,
        retry_after_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []
        self.headers = dict(headers or {})
        if retry_after_seconds is not None:
            # Whole seconds, as HTTP asks, rounded to the nearest: rounding up would double a wait of a little over one.
            self.headers["Retry-After"] = str(max(1, round(retry_after_seconds)))


class MalformedBody(Problem):
    """400: the body is not what its media type says."""

    status, reason, title = 400, "malformed-body", "Malformed body"


class Unauthorized(Problem):
    """401: no API key, or none that is accepted."""

    status, reason, title = 401, "unauthorized", "Unauthorized"


class NotFound(Problem):
    """404: no such path or version."""

    status, reason, title = 404, "not-found", "Not found"


class MethodNotAllowed(Problem):
    """405: the path is right, the method is not."""

    status, reason, title = 405, "method-not-allowed", "Method not allowed"


class TooLarge(Problem):
    """413: a body, a picture or a batch is over its limit."""

    status, reason, title = 413, "too-large", "Too large"


class UnsupportedMediaType(Problem):
    """415: no such media type here."""

    status, reason, title = 415, "unsupported-media-type", "Unsupported media type"


class InvalidInput(Problem):
    """422: well-formed, but not something that can be predicted."""

    status, reason, title = 422, "invalid-input", "Invalid input"


class QueueFull(Problem):
    """429: too much is waiting already."""

    status, reason, title = 429, "queue-full", "Too many requests"


class HeadTooLong(Problem):
    """431: the request line or the headers are over their limit."""

    status, reason, title = 431, "head-too-long", "Request head too long"


class ClientGone(Problem):
    """499: the client closed the connection; nobody reads this answer, the metrics count it."""

    status, reason, title = 499, "client-gone", "Client closed the connection"


def client_gone() -> ClientGone:
    """The client closed the connection while it should have waited."""
    return ClientGone("The client closed the connection.")


class Internal(Problem):
    """500: a fault of the service."""

    status, reason, title = 500, "internal", "Internal server error"


def internal() -> Internal:
    """An unforeseen error; the log has the reason, the client does not get it."""
    return Internal("The service could not answer; its log has the reason under this request id.")


class NotReady(Problem):
    """503: no version serves."""

    status, reason, title = 503, "not-ready", "Not ready"


class DeadlinePassed(Problem):
    """504: the answer was not there in time."""

    status, reason, title = 504, "deadline-passed", "Deadline passed"


BY_STATUS = {
    problem.status: problem
    for problem in (
        *(MalformedBody, Unauthorized, NotFound, MethodNotAllowed, TooLarge, UnsupportedMediaType),
        *(InvalidInput, QueueFull, HeadTooLong, Internal, NotReady, DeadlinePassed),
    )
}


_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


class ProblemDocument(BaseModel):
    """An error answer (RFC 9457)."""

    type: str
    """Where the kind of problem is described."""
    title: str
    status: int
    detail: str
    """What went wrong and what to do."""
    instance: str
    """The path that was asked for."""
    request_id: str
    error: str
    """The detail again, for clients of other model servers."""
    errors: list[dict[str, str]] = []
    """`pointer` and `detail` of each place that is wrong."""


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of these problems."""
    return {
        status: {
            "description": BY_STATUS[status].title,
            "headers": {name: header_reference(name) for name in _HEADERS.get(status, ())},
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status in statuses
    }


def header_reference(name: str) -> dict[str, str]:
    """Where the OpenAPI document describes an answer's header."""
    return {"$ref": f"#/components/headers/{name}"}


def answer(problem: Problem, path: str, request_id: str) -> Response:
    """The response to a problem."""
    document: dict[str, Any] = {
        "type": f"/docs#{problem.reason}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        "request_id": request_id,
        "error": problem.detail,
    }
    if problem.errors:
        document["errors"] = [{"pointer": at.pointer, "detail": at.detail} for at in problem.errors]
    return Response(json.dumps(document), problem.status, problem.headers, MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of the app with a problem."""
    app.add_exception_handler(Problem, _handle)
    app.add_exception_handler(HTTPException, _handle)
    app.add_exception_handler(RequestValidationError, _handle)
    app.add_exception_handler(Exception, _handle)


def _handle(request: Request, error: Exception) -> Response:
    problem = _as_problem(request, error)
    # Not the problem itself: the connection keeps this until its next request, and would keep the traceback's objects.
    request.state.rejected = problem.reason
    return answer(problem, request.url.path, request.state.request_id)


def _as_problem(request: Request, error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case RequestValidationError():
            places = [
                Pointer("/" + "/".join(str(part) for part in place["loc"]), place["msg"]) for place in error.errors()
            ]
            return InvalidInput(f"{places[0].pointer}: {places[0].detail}.", places)
        case HTTPException(status_code=404):
            return NotFound(f"There is nothing at {request.url.path}; /docs lists what there is.")
        case HTTPException(status_code=405):
            allowed = (error.headers or {}).get("Allow", "")
            if allowed == "GET":  # routes know only GET; `service.head` answers HEAD
                allowed = "GET, HEAD"
            detail = f"{request.method} is not possible at {request.url.path}; use {allowed}."
            return MethodNotAllowed(detail, headers={"Allow": allowed})
        case HTTPException():
            kind = BY_STATUS.get(error.status_code, Internal)
            return kind(error.detail or HTTPStatus(error.status_code).phrase, headers=error.headers)
    return internal()
