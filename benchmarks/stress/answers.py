"""Right answers: what the network of the version that an answer names says about the client's own image.

Versions have the released network or its mirror image (`benchmarks.stress.mirror`) in turn, and each client asks about
its own image. So rows swapped between clients are noticed, and so is a version that answers in another one's name.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.requests import Request, json_image, octet_image, octets, send
from service.versions.golden import GOLDEN_TOLERANCE, GoldenImages

Published = Mapping[int, bool]
"""The versions that were published, and whether they have the mirrored network."""

RELEASED_ONLY: Published = {1: False}


@dataclass(frozen=True)
class Question:
    """A request, and the released network's answer to it: probabilities float32 [rows, 10]."""

    request: Request
    probabilities: NDArray[np.float32]
    _right: dict[bool, bytes] = field(default_factory=dict, compare=False, repr=False)
    """Each network's last right answer as bytes: parsing a megabyte again and again would take time."""

    def version_of(self, body: bytes, published: Published) -> int | None:
        """The version that an answer names; None if that was never published, or the answer is not its network's."""
        predictions, _, model = body.partition(b'"model":')
        try:
            version: int = json.loads(b'{"model":' + model)["model"]["version"]
            is_mirrored = published[version]
            if self._right.get(is_mirrored) != predictions:
                if not self._is_right(json.loads(predictions + b'"model":0}')["predictions"], is_mirrored=is_mirrored):
                    return None
                self._right[is_mirrored] = predictions
        except (ValueError, KeyError, TypeError):
            return None
        return version

    def _is_right(self, predictions: Sequence[Mapping[str, object]], *, is_mirrored: bool) -> bool:
        expected = self.probabilities[:, ::-1] if is_mirrored else self.probabilities
        found = np.array([prediction["probabilities"] for prediction in predictions], np.float32)
        digits = [prediction["digit"] for prediction in predictions]
        return (
            found.shape == expected.shape
            and float(np.abs(found - expected).max()) <= GOLDEN_TOLERANCE
            and digits == found.argmax(axis=1).tolist()
        )


def own_questions(
    golden: GoldenImages,
    count: int,
    builders: Sequence[Callable[[NDArray[np.float32]], Request]] = (json_image, octet_image),
) -> tuple[Question, ...]:
    """`count` questions, each about one of the hard images, which come last: the answers to easy ones are alike."""
    rows = zip(golden.pixels[-count:], golden.probabilities[-count:, None], strict=True)
    return tuple(Question(builders[at % len(builders)](row), said) for at, (row, said) in enumerate(rows))


def bulk_question(
    golden: GoldenImages, rows: int, builder: Callable[[NDArray[np.float32]], Request] = octets
) -> Question:
    """A question about many rows: the golden images, repeated."""
    at = np.arange(rows) % len(golden.pixels)
    return Question(builder(golden.pixels[at]), golden.probabilities[at])


def asked(port: int, request: Request) -> Question:
    """A question whose right answer is not known: the service's present answer is taken to be right."""
    predictions = json.loads(send(port, request).body)["predictions"]
    return Question(request, np.array([prediction["probabilities"] for prediction in predictions], np.float32))
