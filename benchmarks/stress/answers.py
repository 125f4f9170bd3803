"""Right answers: what is said to whose image, by the network of the version that an answer names.

Versions have the released network or its mirror image (`benchmarks.stress.mirror`) in turn, and each client asks about
an image of its own: rows that swap owners are seen, and so is a version that answers in another one's name.
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
    """A request, and what the released network says to it: probabilities float32 [rows, 10]."""

    request: Request
    probabilities: NDArray[np.float32]
    _right: dict[bool, bytes] = field(default_factory=dict, compare=False, repr=False)
    """Of each network the bytes that were right last: to parse a megabyte again and again takes time."""

    def version_of(self, body: bytes, published: Published) -> int | None:
        """The version that gave this answer; None if it is none of that version's, or of one that nobody published."""
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
    """As many questions about an image each: of the hard ones, which come last; the answers to easy ones are alike."""
    rows = zip(golden.pixels[-count:], golden.probabilities[-count:, None], strict=True)
    return tuple(Question(builders[at % len(builders)](row), said) for at, (row, said) in enumerate(rows))


def bulk_question(
    golden: GoldenImages, rows: int, builder: Callable[[NDArray[np.float32]], Request] = octets
) -> Question:
    """One about many rows: the golden images again and again."""
    at = np.arange(rows) % len(golden.pixels)
    return Question(builder(golden.pixels[at]), golden.probabilities[at])


def asked(port: int, request: Request) -> Question:
    """One whose answer is not known before: what it is answered with now is taken for right."""
    predictions = json.loads(send(port, request).body)["predictions"]
    return Question(request, np.array([prediction["probabilities"] for prediction in predictions], np.float32))
