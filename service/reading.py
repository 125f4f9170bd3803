"""Turns the body of /v1/read into the rows of its digits, or into the problem that says what is wrong with it.

`service.imaging.lines` finds the digits, `service.bodies.reader` reads the body.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from service.bodies.media_types import FORM, RawHeaders
from service.imaging import MEDIA_TYPES, PictureError, PictureTooLarge, lines
from service.parting import cuts_of_each
from service.prediction import unless_client_leaves
from service.problems import InvalidInput, Pointer, TooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from starlette.types import Receive

    from service.bodies.reader import Body, BodyReader
    from service.imaging.lines import FoundDigit
    from service.inference import Inference
    from service.parting import Cuts

_READ = (*MEDIA_TYPES, FORM)

# A digit of a greater aspect ratio (width by height) is refused as two that touch if its confidence (first line) or its
# score of being a digit is less; the last line is for digits no wider than most. With the network they were chosen for,
# of 1,800 strings of training digits with two that touch 1,404 were refused; of 1,800 without, 10 that were read right.
_WIDE, _SURE = 1.2, 0.6
_RATHER_WIDE, _RATHER_ONE = 0.8, 0.4
_NOT_THIN, _HARDLY_ONE = 0.5, 0.2


async def read_digits(
    headers: RawHeaders, receive: Receive, reader: BodyReader, deadline: float
) -> tuple[list[FoundDigit], NDArray[np.float32], float]:
    """Read the body and find its digits, in reading order, with their rows float32 [n, 784], n >= 1.

    The third value is how many seconds finding them took; the body is held until then.
    `deadline` is in seconds of `time.monotonic`.

    Raises:
        UnsupportedMediaType: The body is an array; judged from the header.
        ClientGone: The connection closed before the end.
        Problem: 400, 413, 415, 422 or 429, as for /v1/predict.
        TooLarge: The picture shows too many digits.
        InvalidInput: Its digits touch.
    """
    body = await reader.read(reader.admit(headers, _READ), receive, deadline)
    try:
        started = time.perf_counter()
        digits = await unless_client_leaves(receive, _found_digits(body, reader))
        return digits, np.stack([digit.row for digit in digits]), time.perf_counter() - started
    finally:
        reader.release(body)


async def _one_picture(body: Body, reader: BodyReader) -> tuple[str, bytes]:
    """The picture, and the JSON pointer to it."""
    pictures = await reader.pictures(body)
    if len(pictures) > 1:
        detail = f"The form holds {len(pictures)} pictures; send one at a time."
        raise InvalidInput(detail, [Pointer(pictures[1][0], "is one too many")])
    return pictures[0]


async def _found_digits(body: Body, reader: BodyReader) -> list[FoundDigit]:
    (pointer, picture), limits = await _one_picture(body, reader), reader.limits
    try:
        return await reader.pool.run(
            lambda: lines.digits_from_picture(picture, limits.max_image_pixels, limits.max_instances), body.held
        )
    except (PictureTooLarge, lines.TooManyDigits) as error:
        raise TooLarge(str(error), [Pointer(pointer, str(error))]) from error
    except PictureError as error:
        raise InvalidInput(str(error), [Pointer(pointer, str(error))]) from error


async def cut_digits(digits: list[FoundDigit], receive: Receive, reader: BodyReader) -> tuple[list[Cuts], float]:
    """Cut each digit, in a thread, wherever it may be two. The second value is how many seconds that took.

    Raises:
        ClientGone: The connection closed meanwhile.
    """
    started = time.perf_counter()
    most_rows = reader.limits.max_instances
    # Admitted with its picture: a refusal here would waste most of the work.
    cutting = reader.pool.run(lambda: cuts_of_each(digits, most_rows), is_admitted=True)
    return await unless_client_leaves(receive, cutting), time.perf_counter() - started


def check_touching(digits: list[FoundDigit], inference: Inference) -> None:
    """Refuse a wide digit that the network is not sure of, or does not take for a digit.

    Raises:
        InvalidInput: There is such a digit; says which one.
    """
    confidences = inference.probabilities.max(axis=1).tolist()
    scores = inference.scores or [1.0] * len(digits)  # an older version does not tell
    for place, (digit, confidence, score) in enumerate(zip(digits, confidences, scores, strict=True)):
        width = digit.width_by_height
        is_none = (width > _RATHER_WIDE and score < _RATHER_ONE) or (width > _NOT_THIN and score < _HARDLY_ONE)
        if is_none or (width > _WIDE and confidence < _SURE):
            raise InvalidInput(str(lines.TouchingDigits(place)))
