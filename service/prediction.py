"""Shared by the routes that run the network: choosing a version, noticing that clients leave, answers' headers."""

import asyncio
import math
from collections.abc import Coroutine
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import Depends, Header, Query, Request
from starlette.types import Receive, Scope

from service.bodies.array_body import invalid, pointer_to
from service.bodies.media_types import RawHeaders
from service.inference import Inference
from service.problems import (
    DeadlinePassed,
    MalformedBody,
    NotFound,
    NotReady,
    client_gone,
    documented,
    header_reference,
)
from service.state import PLAIN_NUMBER
from service.versions.loading import LoadedVersion
from service.versions.registry import Registry

Answer = TypeVar("Answer")
Headers = list[tuple[bytes, bytes]]
AskedVersion = Annotated[
    int | None, PLAIN_NUMBER, Query(ge=1, description="Ask this version instead of the serving one.")
]
AskedSeconds = Annotated[
    float | None, Header(gt=0, allow_inf_nan=False, description="A shorter deadline than the service's.")
]

TIMEOUT_HEADER = b"x-request-timeout-seconds"
# These may come only once; others, such as Accept or Cookie, may come several times.
_ONCE = (b"content-type", b"content-encoding", b"transfer-encoding", TIMEOUT_HEADER)

# Loading a version takes 5 to 7 seconds: trying sooner is of no use.
_RETRY_READY_SECONDS = 5


def given_headers(scope: Scope) -> RawHeaders:
    """The request's headers by name.

    Raises:
        MalformedBody: A header that may come once came twice: each reader of the request might use a different one.
    """
    sent: Headers = scope["headers"]
    given = dict(sent)
    if len(given) != len(sent):
        names = [name for name, _ in sent]
        for name in _ONCE:
            if names.count(name) > 1:
                raise MalformedBody(f"The header {name.decode()} comes more than once; send it once.")
    return given


def _check_query(request: Request) -> None:
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise invalid(pointer_to("query", name), f"is unknown here; use {' or '.join(known)}")
        if name in seen:
            raise invalid(pointer_to("query", name), "comes more than once; send it once")
        seen.add(name)


NO_OTHER_QUERY = Depends(_check_query)
"""Refuses query parameters that a route does not have: a typo such as `?versoin=2` would get another version."""


def choose_version(registry: Registry, number: int | None) -> LoadedVersion:
    """The version that answers; held from here on, whatever the registry does meanwhile."""
    if number is None:
        if registry.serving is None:
            raise NotReady(registry.waiting_for(), retry_after_seconds=_RETRY_READY_SECONDS)
        return registry.serving
    loaded = registry.loaded(number)
    if loaded is None:
        raise NotFound(f"Version {number} is not loaded; /v1/models lists the versions and their states.")
    return loaded


def allowed_seconds(asked: float | None, longest: float) -> float:
    """How long a request may take: the service's own limit, or less if the caller is in a hurry."""
    return min(asked or math.inf, longest)


def deadline_passed(seconds: float) -> DeadlinePassed:
    """The problem of an answer that was not there in time."""
    return DeadlinePassed(f"The answer was not there within {seconds:g} s; send less or allow more time.")


async def until_client_leaves(receive: Receive) -> None:
    """Wait until the client has closed the connection: after the body, `receive` can give nothing else."""
    await receive()


async def unless_client_leaves(receive: Receive, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Await the work, but drop it when the client closes the connection."""
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(until_client_leaves(receive))
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise client_gone()
        return answering.result()
    finally:
        answering.cancel()
        leaving.cancel()
        del answering  # its exception holds this frame, and those above with the body: leave no reference cycle


class AccessFields(NamedTuple):
    """An answer's fields in the access line; rounded only if the line is written, and under load most are not.

    Numbers only, because a connection keeps the state of its last request.
    """

    rows: int
    version: int
    decode_seconds: float
    queue_seconds: float
    run_seconds: float

    def fields(self) -> dict[str, int | float]:
        """The fields as the access line shows them."""
        return {
            "rows": self.rows,
            "version": self.version,
            "decode_ms": round(self.decode_seconds * 1000, 3),
            "queue_ms": round(self.queue_seconds * 1000, 3),
            "infer_ms": round(self.run_seconds * 1000, 3),
        }


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {"headers": {name: header_reference(name) for name in ("X-Model-Version", "Server-Timing")}},
    **documented(400, 404, 413, 415, 422, 429, 500, 503, 504),
}
"""The OpenAPI `responses` of predictions."""


def answer_headers(version: LoadedVersion, length: int, decode_seconds: float, inference: Inference) -> Headers:
    """The headers of an answer of `length` bytes: which version gave it, and how long its parts took."""
    timing = b"decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f" % (
        decode_seconds * 1000,
        inference.queue_seconds * 1000,
        inference.run_seconds * 1000,
    )
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % length),
        (b"x-model-version", b"%d" % version.number),
        (b"server-timing", timing),
    ]
