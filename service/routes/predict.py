"""POST /v1/predict: pictures or arrays in, digits out."""

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Header, Query, Request, Response

from service.answers import ModelVersion, PredictAnswer, prediction_json
from service.arrays import ArrayBody
from service.batching import Inference
from service.bodies import BYTES, FORM, JSON
from service.imaging import MEDIA_TYPES
from service.loading import LoadedVersion
from service.problems import (
    ClientGone,
    DeadlinePassed,
    NotFound,
    NotReady,
    documented,
)
from service.registry import Registry
from service.state import State

router = APIRouter(tags=["predict"])

Answer = TypeVar("Answer")

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
                "required": ["file"],
                "properties": {"file": {"type": "array", "items": _BINARY}},
            }
        },
    },
}


@router.post(
    "/v1/predict",
    operation_id="predict",
    summary="Read digits",
    response_model=PredictAnswer,
    responses=documented(400, 404, 413, 415, 422, 429, 500, 503, 504),
    openapi_extra={"requestBody": _REQUEST_BODY},
)
async def predict(
    request: Request,
    state: State,
    version: Annotated[int | None, Query(ge=1, description="Ask this version instead of the serving one.")] = None,
    include: Annotated[Literal["seen"] | None, Query(description="Add the 28x28 picture that the model saw.")] = None,
    x_request_timeout_seconds: Annotated[
        float | None,
        Header(gt=0, allow_inf_nan=False, description="A shorter deadline than the service's."),
    ] = None,
) -> Response:
    """Read the digit in each image.

    Send one picture as the body, pictures as a multipart form, raw bytes (784 for each image, 0 to 255),
    or JSON. Numbers lie in [0, 1], or in [0, 255] with `"max_value": 255`; 0 is background.
    """
    allowed = state.settings.request_timeout_seconds
    seconds = min(x_request_timeout_seconds or math.inf, allowed)
    deadline = time.monotonic() + seconds
    try:
        async with asyncio.timeout(seconds):
            chosen = _choose(state.registry, version)
            body = await state.reader.read(request)
            started = time.perf_counter()
            rows = await state.reader.rows(body)
            decode_seconds = time.perf_counter() - started
            inference = await _unless_client_leaves(request, state.batcher.infer(chosen, rows, deadline))
    except TimeoutError:
        detail = f"The answer was not there within {seconds:g} seconds; send less or allow more time."
        raise DeadlinePassed(detail) from None
    state.metrics.predicted(chosen.number, inference.probabilities)
    request.state.log_fields = {"rows": len(rows), "version": chosen.number}
    model = ModelVersion(name=chosen.manifest.name, version=chosen.number)
    seen = rows if include == "seen" else None
    content = prediction_json(inference.probabilities, model, request.state.request_id, seen)
    return Response(content, media_type=JSON, headers=_headers(chosen, decode_seconds, inference))


def _choose(registry: Registry, number: int | None) -> LoadedVersion:
    """The version that answers; held from here on, whatever the registry does meanwhile."""
    if number is None:
        if registry.serving is None:
            raise NotReady(registry.waiting_for(), retry_after_seconds=_RETRY_READY_SECONDS)
        return registry.serving
    loaded = registry.loaded(number)
    if loaded is None:
        raise NotFound(f"Version {number} is not loaded; /v1/models lists the versions and their states.")
    return loaded


# Loading a version takes 5 to 7 seconds: trying sooner is of no use.
_RETRY_READY_SECONDS = 5


async def _unless_client_leaves(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """Await the work, but drop it when the client closes the connection.

    After the body the next message of the connection can only be its end.
    """
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            msg = "The client closed the connection."
            raise ClientGone(msg)
        return answering.result()
    finally:
        answering.cancel()
        leaving.cancel()


def _headers(version: LoadedVersion, decode_seconds: float, inference: Inference) -> dict[str, str]:
    parts = {
        "decode": decode_seconds,
        "queue": inference.queue_seconds,
        "infer": inference.run_seconds,
    }
    timing = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in parts.items())
    return {"X-Model-Version": str(version.number), "Server-Timing": timing}
