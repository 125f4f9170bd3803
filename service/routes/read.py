"""POST /v1/read: a picture of several digits in, the text out."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from service.answers import ModelVersion, ReadAnswer, read_json
from service.bodies.media_types import FORM
from service.bodies.multipart import FIELDS
from service.imaging import MEDIA_TYPES
from service.imaging.lines import FoundDigit
from service.inference import Inference
from service.parting import may_be_two, parted, rows_of
from service.prediction import (
    DOCUMENTED,
    NO_OTHER_QUERY,
    AccessFields,
    AskedSeconds,
    AskedVersion,
    allowed_seconds,
    answer_headers,
    choose_version,
    deadline_passed,
    given_headers,
    until_client_leaves,
)
from service.reading import check_touching, cut_digits, read_digits
from service.state import ServiceState, State
from service.versions.loading import LoadedVersion

if TYPE_CHECKING:
    from service.telemetry.tracing import RequestTrace

router = APIRouter(tags=["predict"])

_BINARY = {"type": "string", "format": "binary"}
_REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        **{media_type: {"schema": _BINARY} for media_type in MEDIA_TYPES},
        FORM: {
            "schema": {
                "type": "object",
                "properties": dict.fromkeys(FIELDS, _BINARY),
                "oneOf": [{"required": [name]} for name in FIELDS],
            }
        },
    },
}


@router.post(
    "/v1/read",
    operation_id="read",
    summary="Read a line of digits",
    response_model=ReadAnswer,
    responses=DOCUMENTED,
    dependencies=[NO_OTHER_QUERY],
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def read(
    request: Request,
    state: State,
    version: AskedVersion = None,
    x_request_timeout_seconds: AskedSeconds = None,
) -> Response:
    """Read all digits on one picture, line by line, left to right.

    Send one picture as the body, or as the part `file` of a multipart form. Leave gaps between the digits: most pairs
    that touch are read, others are refused, and some are misread. Dots, commas, dashes and colons between digits are
    left out; other signs, such as brackets, slashes and percent signs, are read as digits or refused.
    """
    seconds = allowed_seconds(x_request_timeout_seconds, state.settings.request_timeout_seconds)
    deadline = time.monotonic() + seconds
    chosen = choose_version(state.registry, version)
    try:
        async with asyncio.timeout(seconds):
            return await _answer(request, state, chosen, deadline)
    except TimeoutError:
        raise deadline_passed(seconds) from None


async def _answer(request: Request, state: ServiceState, version: LoadedVersion, deadline: float) -> Response:
    receive = request.receive
    given = given_headers(request.scope)
    digits, rows, decode_seconds = await read_digits(given, receive, state.reader, deadline)
    trace: RequestTrace | None = request.scope["state"].get("trace")
    if trace is not None:
        trace.add("decode", decode_seconds)
    infer = functools.partial(
        state.batcher.infer, version, deadline=deadline, leaves=lambda: until_client_leaves(receive), trace=trace
    )
    digits, inference, cut_seconds = await _part_touching(digits, await infer(rows), infer, request, state)
    decode_seconds += cut_seconds
    check_touching(digits, inference)
    state.metrics.predicted(version.number, inference.probabilities, inference.is_digit)
    request.state.access_fields = AccessFields(
        len(digits), version.number, decode_seconds, inference.queue_seconds, inference.run_seconds
    )
    model = ModelVersion(name=version.manifest.name, version=version.number)
    content = read_json(digits, inference.probabilities, inference.is_digit, model, request.state.request_id)
    response = Response(content)
    response.raw_headers = answer_headers(version, len(content), decode_seconds, inference)
    return response


async def _part_touching(
    digits: list[FoundDigit],
    inference: Inference,
    infer: Callable[[NDArray[np.float32]], Awaitable[Inference]],
    request: Request,
    state: ServiceState,
) -> tuple[list[FoundDigit], Inference, float]:
    """Part digits that touch, where the network is sure of it; the last value is how many seconds cutting took."""
    suspects = may_be_two(digits, inference, state.reader.limits.max_instances - len(digits))
    if not suspects:
        return digits, inference, 0.0
    cuts, cut_seconds = await cut_digits([digits[place] for place in suspects], request.receive, state.reader)
    trace: RequestTrace | None = request.scope["state"].get("trace")
    if trace is not None:
        trace.add("decode", cut_seconds)
    if any(cuts):
        halves = await infer(rows_of(cuts))
        digits, inference = parted(digits, inference, dict(zip(suspects, cuts, strict=True)), halves)
    return digits, inference, cut_seconds
