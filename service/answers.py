"""Answers: the JSON of a prediction and of the model's versions, as documented in the OpenAPI document.

The pydantic models document the JSON; a prediction's bytes are written directly, because a validated object for each
of its ten numbers would cost more than the network.
"""

import asyncio
import base64
import functools
import json
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from service import imaging
from service.imaging.lines import FoundDigit
from service.prediction_text import each_prediction, predictions_text
from service.versions.manifest import Manifest
from service.versions.statuses import State, VersionStatus

# Rows that are written in one turn of the event loop, in 0.5 to 0.8 ms.
_AT_ONCE, _PICTURES_AT_ONCE = 1024, 4


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Prediction(_Answer):
    """What one image shows."""

    digit: int
    """The most probable digit."""
    confidence: float
    """Its probability."""
    probabilities: list[float]
    """The probabilities of the digits 0 to 9; they sum to 1."""
    is_digit: bool | None = None
    """Whether the image looks like a digit at all; left out by versions that do not tell."""
    seen: str | None = None
    """With `include=seen`: the 28x28 picture that the model saw, as a PNG data URL."""


class ModelVersion(_Answer):
    """Which version of the model answered."""

    name: str
    version: int


class PredictAnswer(_Answer):
    """One prediction for each image, in the order of the input."""

    predictions: list[Prediction]
    model: ModelVersion
    request_id: str


class ReadDigit(_Answer):
    """One digit of a picture that shows several."""

    digit: int
    """The most probable digit."""
    confidence: float
    """Its probability."""
    box: tuple[int, int, int, int]
    """Left, top, width and height in pixels of the picture as sent, upright."""
    is_digit: bool | None = None
    """Whether it looks like a digit at all; left out by versions that do not tell."""


class ReadAnswer(_Answer):
    """The digits of one picture in reading order."""

    text: str
    """The digits; a newline between lines of text."""
    digits: list[ReadDigit]
    model: ModelVersion
    request_id: str


class VersionAnswer(_Answer):
    """A version in the model store."""

    version: int
    state: State
    """serving; loaded (can be asked for with `?version=`); loading; quarantined; stored (not loaded)."""
    reason: str | None = None
    """Why it is quarantined, or was put off until a better moment."""


class VersionDetailAnswer(VersionAnswer):
    """A version and its manifest, if that can be read."""

    manifest: Manifest | None = None


class ModelAnswer(_Answer):
    """A model and its versions, newest first."""

    name: str
    serving: int | None
    """The version that answers requests that don't ask for one."""
    trouble: str | None
    """What is wrong with the model store or its policy, while the version that serves goes on."""
    versions: list[VersionAnswer]


class ModelsAnswer(_Answer):
    """The models of this service: always one."""

    models: list[ModelAnswer]


class HealthAnswer(_Answer):
    """Whether the service can answer predictions."""

    status: str
    """`ready`, `waiting` (for a version) or `draining`."""
    reason: str | None = None
    """Why it is not ready."""
    model: ModelVersion | None = None
    """The version that serves."""
    loaded_at: datetime | None = None
    trouble: str | None = None
    """What is wrong with the model store or its policy, while the version that serves goes on."""


def rows_at_once(*, with_pictures: bool) -> int:
    """How many predictions are written before other requests have their turn."""
    return _PICTURES_AT_ONCE if with_pictures else _AT_ONCE


async def prediction_json(
    probabilities: NDArray[np.float32],
    is_digit: list[bool] | None,
    model: bytes,
    request_id: str,
    seen: NDArray[np.float32] | None = None,
) -> bytes:
    """Write a `PredictAnswer`; other requests have their turn between the parts of a long one.

    Args:
        probabilities: float32 [n, 10].
        is_digit: For each row, if the version tells it.
        model: The JSON of the version that answered, see `model_json`.
        request_id: The request's id; letters, digits and `._-` only.
        seen: The rows, float32 [n, 784], if their pictures are to be included.
    """
    rows = rows_at_once(with_pictures=seen is not None)
    parts = []
    for start in range(0, len(probabilities), rows):
        if start:
            await asyncio.sleep(0)
        part = slice(start, start + rows)
        told = None if is_digit is None else is_digit[part]
        parts.append(
            predictions_text(probabilities[part], told)
            if seen is None
            else _with_pictures(probabilities[part], told, seen[part])
        )
    return b'{"predictions":[%b],"model":%b,"request_id":"%b"}' % (
        b",".join(parts),
        model,
        request_id.encode(),
    )


def _with_pictures(probabilities: NDArray[np.float32], is_digit: list[bool] | None, seen: NDArray[np.float32]) -> bytes:
    """Some rows' predictions and what the model saw, with commas between them."""
    pictures = [_data_url(imaging.picture_from_pixels(row)) for row in seen]
    return ",".join(
        f'{prediction[:-1]},"seen":"{picture}"}}'
        for prediction, picture in zip(each_prediction(probabilities, is_digit), pictures, strict=True)
    ).encode()


@functools.cache
def model_json(name: str, version: int) -> bytes:
    """Write a `ModelVersion`; the same few are written over and over."""
    return json.dumps({"name": name, "version": version}, separators=(",", ":")).encode()


def read_json(
    found: list[FoundDigit],
    probabilities: NDArray[np.float32],
    is_digit: list[bool] | None,
    model: ModelVersion,
    request_id: str,
) -> bytes:
    """Write a `ReadAnswer`.

    Args:
        found: Where the digits are.
        probabilities: float32 [n, 10], a row for each of them.
        is_digit: For each row, if the version tells it.
        model: The version that answered.
        request_id: The request's id.
    """
    told: list[bool] | list[None] = is_digit or [None] * len(found)
    digits = [
        ReadDigit(digit=int(row.argmax()), confidence=round(float(row.max()), 6), box=place.box, is_digit=tells)
        for place, row, tells in zip(found, probabilities, told, strict=True)
    ]
    text = ""
    for index, digit in enumerate(digits):
        text += "\n" * (index > 0 and found[index].line != found[index - 1].line) + str(digit.digit)
    answer = ReadAnswer(text=text, digits=digits, model=model, request_id=request_id)
    return answer.model_dump_json(exclude_none=True).encode()


def version_answer(status: VersionStatus) -> VersionAnswer:
    """A version's state as an answer."""
    return VersionAnswer(version=status.number, state=status.state, reason=status.reason)


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
