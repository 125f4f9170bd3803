"""POST /v1/predict: pictures or arrays in, digits out."""

import asyncio
import contextlib
import time
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from numpy.typing import NDArray
from starlette.types import ASGIApp, Receive, Scope, Send

from service.answers import PredictAnswer, model_json, prediction_json, rows_at_once
from service.bodies.array_body import ArrayBody
from service.bodies.media_types import BYTES, FORM, JSON, RawHeaders
from service.bodies.multipart import FIELDS
from service.bodies.reader import Announced, BodyReader
from service.exchange import BODY_IS_THERE, IS_ALONE, WHOLE
from service.imaging import MEDIA_TYPES
from service.inference import Inference
from service.prediction import (
    DOCUMENTED,
    NO_OTHER_QUERY,
    TIMEOUT_HEADER,
    AccessFields,
    AskedSeconds,
    AskedVersion,
    Headers,
    allowed_seconds,
    answer_headers,
    choose_version,
    deadline_passed,
    given_headers,
    unless_client_leaves,
    until_client_leaves,
)
from service.state import ServiceState, State
from service.versions.loading import LoadedVersion

if TYPE_CHECKING:
    from service.telemetry.tracing import RequestTrace

router = APIRouter(tags=["predict"])

_PATH = "/v1/predict"
_UNCOUNTED = contextlib.nullcontext()

_BINARY = {"type": "string", "format": "binary"}
_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {
            "schema": ArrayBody.model_json_schema(),
            "examples": {
                "one image": {"value": {"pixels": [0.0] * 784}},
                "a batch of bytes' range": {"value": {"instances": [[0] * 784], "max_value": 255}},
            },
        },
        BYTES: {"schema": _BINARY},
        **{media_type: {"schema": _BINARY} for media_type in MEDIA_TYPES},
        FORM: {
            "schema": {
                "type": "object",
                "properties": {name: {"type": "array", "items": _BINARY} for name in FIELDS},
                "anyOf": [{"required": [name]} for name in FIELDS],
            }
        },
    },
}


@router.post(
    _PATH,
    operation_id="predict",
    summary="Read digits",
    response_model=PredictAnswer,
    responses=DOCUMENTED,
    dependencies=[NO_OTHER_QUERY],
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def predict(
    request: Request,
    state: State,
    version: AskedVersion = None,
    include: Annotated[Literal["seen"] | None, Query(description="Add the 28x28 picture that the model saw.")] = None,
    x_request_timeout_seconds: AskedSeconds = None,
) -> Response:
    """Read the digit in each image.

    Send one picture as the body, pictures as a multipart form, raw bytes (784 for each image, 0 to 255),
    or JSON. Numbers lie in [0, 1], or in [0, 255] with `"max_value": 255`; 0 is background.
    """
    seconds = allowed_seconds(x_request_timeout_seconds, state.settings.request_timeout_seconds)
    given = given_headers(request.scope)
    asked = _Asked(request.scope, given, request.receive, seconds, version, include_seen=include == "seen")
    headers, content = await _answer(state, asked)
    response = Response(content)
    response.raw_headers = headers
    return response


_ROUTE = router.routes[-1]


class PredictShortcut:
    """Answers plain prediction requests without routing and parameter parsing, which are half of their cost.

    All others, and those with a query or a deadline of their own, go on to the route, which gives the same answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain `POST /v1/predict`; hand everything else on."""
        if scope["type"] != "http" or scope["path"] != _PATH or scope["method"] != "POST" or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        given = given_headers(scope)
        if TIMEOUT_HEADER in given:
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTE
        state: ServiceState = scope["state"]["service"]
        asked = _Asked(scope, given, receive, state.settings.request_timeout_seconds)
        headers, content = await _answer(state, asked)
        await send({"type": WHOLE, "status": HTTPStatus.OK, "headers": headers, "body": content})


class _Asked(NamedTuple):
    """One request for predictions."""

    scope: Scope
    headers: RawHeaders
    receive: Receive
    seconds: float
    version: int | None = None
    include_seen: bool = False


async def _answer(state: ServiceState, asked: _Asked) -> tuple[Headers, bytes]:
    """Read, predict and write the answer: its headers and its body."""
    deadline = time.monotonic() + asked.seconds
    chosen = choose_version(state.registry, asked.version)
    trace: RequestTrace | None = asked.scope["state"].get("trace")
    # Refuse before the body is read for nothing, and before anything is made that a refusal does not need.
    announced = state.reader.admit(asked.headers)
    state.batcher.check_room(state.reader.announced_rows(asked.headers))
    try:
        async with _time_limit(state.reader, asked):
            rows, decode_seconds = await _read_rows(state.reader, announced, asked.receive, deadline)
            if trace is not None:
                trace.add("decode", decode_seconds)
            with state.reader.keeping(rows, deadline) if asked.include_seen else _UNCOUNTED:
                inference = await state.batcher.infer(
                    chosen,
                    rows,
                    deadline,
                    lambda: until_client_leaves(asked.receive),
                    trace,
                    is_alone=asked.scope["state"][IS_ALONE],
                )
                count, seen = len(rows), rows if asked.include_seen else None
                del rows  # rows that the answer does not show are not kept while it is written
                content = await _content(asked, chosen, inference, seen)
    except TimeoutError:
        raise deadline_passed(asked.seconds) from None
    state.metrics.predicted(chosen.number, inference.probabilities, inference.is_digit)
    asked.scope["state"]["access_fields"] = AccessFields(
        count, chosen.number, decode_seconds, inference.queue_seconds, inference.run_seconds
    )
    return answer_headers(chosen, len(content), decode_seconds, inference), content


async def _content(
    asked: _Asked, chosen: LoadedVersion, inference: Inference, seen: NDArray[np.float32] | None
) -> bytes:
    """Write the answer's body; stop writing a long one when its client leaves."""
    model = model_json(chosen.manifest.name, chosen.number)
    request_id = asked.scope["state"]["request_id"]
    writing = prediction_json(inference.probabilities, inference.is_digit, model, request_id, seen)
    if len(inference.probabilities) <= rows_at_once(with_pictures=asked.include_seen):
        return await writing
    return await unless_client_leaves(asked.receive, writing)


def _time_limit(reader: BodyReader, asked: _Asked) -> AbstractAsyncContextManager[object]:
    """A timeout for requests that may wait for something besides the network, whose queue keeps deadlines itself."""
    is_here = BODY_IS_THERE in asked.scope["state"] and reader.needs_no_thread(asked.headers)
    if is_here and not asked.include_seen:
        return contextlib.nullcontext()  # most requests: a timer takes 5 us
    return asyncio.timeout(asked.seconds)


async def _read_rows(
    reader: BodyReader, announced: Announced, receive: Receive, deadline: float
) -> tuple[NDArray[np.float32], float]:
    """The body's rows, and the seconds that decoding took; the body is released before they wait for the network."""
    body = await reader.read(announced, receive, deadline)
    try:
        started = time.perf_counter()
        rows = reader.rows_at_once(body)
        if rows is None:
            rows = await unless_client_leaves(receive, reader.rows(body))
        return rows, time.perf_counter() - started
    finally:
        reader.release(body)
