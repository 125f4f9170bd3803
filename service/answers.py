"""Answers: the JSON of a prediction and of the model's versions, as documented in the OpenAPI document.

The models describe; a prediction's bytes are written directly, because a validated object for each
of its ten numbers would cost more than the network.
"""

import base64
import json
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from service import imaging
from service.manifest import Manifest
from service.registry import State, VersionStatus

# Six digits: one in a million is finer than any two processors agree on.
_DECIMALS = 6


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


class VersionAnswer(_Answer):
    """A version in the model store."""

    version: int
    state: State
    """serving; loaded (can be asked for with `?version=`); loading; quarantined; stored (not loaded)."""
    reason: str | None = None
    """Why it is quarantined."""


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


def prediction_json(
    probabilities: NDArray[np.float32],
    model: ModelVersion,
    request_id: str,
    seen: NDArray[np.float32] | None = None,
) -> bytes:
    """Write a `PredictAnswer`.

    Args:
        probabilities: float32 [n, 10].
        model: The version that answered.
        request_id: Of the request.
        seen: The rows, float32 [n, 784], if their pictures are to be included.
    """
    digits = probabilities.argmax(axis=1).tolist()
    rounded = np.round(probabilities.astype(np.float64), _DECIMALS).tolist()
    predictions: list[dict[str, Any]] = [
        {"digit": digit, "confidence": row[digit], "probabilities": row}
        for digit, row in zip(digits, rounded, strict=True)
    ]
    if seen is not None:
        for prediction, row in zip(predictions, seen, strict=True):
            prediction["seen"] = _data_url(imaging.picture_from_pixels(row))
    answer = {
        "predictions": predictions,
        "model": {"name": model.name, "version": model.version},
        "request_id": request_id,
    }
    return json.dumps(answer, separators=(",", ":")).encode()


def version_answer(status: VersionStatus) -> VersionAnswer:
    """A version's state as an answer."""
    return VersionAnswer(version=status.number, state=status.state, reason=status.reason)


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
