"""Asks a running service to read pictures and untouched MNIST images, and notes its reason when it refuses."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import httpx
    from numpy.typing import NDArray

# While one picture is read the next ones are drawn.
_AT_ONCE = 3
_ROWS_AT_ONCE = 500  # fewer than a service takes by default


@dataclass(frozen=True)
class Answer:
    """The service's answer to one picture.

    Attributes:
        text: The digit, or the digits; a question mark where it refuses.
        reason: The first words of a refusal, up to the colon; empty where there is none.
        seen: uint8 [28, 28], what the model saw; None unless asked for.
    """

    text: str
    reason: str = ""
    seen: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Reader:
    """Asks the service."""

    client: httpx.Client

    def digit(self, picture: bytes) -> Answer:
        """The digit of one picture, with what the model saw."""
        response = self.client.post("/v1/predict?include=seen", files={"file": picture})
        if response.status_code != 200:
            return _refusal(response)
        prediction = response.json()["predictions"][0]
        png = base64.b64decode(prediction["seen"].partition(",")[2])
        return Answer(str(prediction["digit"]), seen=np.asarray(Image.open(BytesIO(png)).convert("L")))

    def text(self, picture: bytes) -> Answer:
        """All digits of one picture."""
        response = self.client.post("/v1/read", files={"file": picture})
        return Answer(str(response.json()["text"])) if response.status_code == 200 else _refusal(response)

    def untouched(self, images: NDArray[np.uint8]) -> list[str]:
        """The digits of images uint8 [n, 28, 28] that are sent as arrays: what the network itself reads."""
        digits: list[str] = []
        for first in range(0, len(images), _ROWS_AT_ONCE):
            body = images[first : first + _ROWS_AT_ONCE].tobytes()
            response = self.client.post(
                "/v1/predict", content=body, headers={"Content-Type": "application/octet-stream"}
            ).raise_for_status()
            digits += [str(prediction["digit"]) for prediction in response.json()["predictions"]]
        return digits


def answers(pictures: Iterable[bytes], read: Callable[[bytes], Answer]) -> Iterator[tuple[bytes, Answer]]:
    """Each picture with its answer, in order; a few are read at once."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda picture: (picture, read(picture)), pictures)


def _refusal(response: httpx.Response) -> Answer:
    if response.status_code != 422:
        return Answer("?", f"status {response.status_code}")
    return Answer("?", str(response.json()["detail"]).partition(":")[0])
