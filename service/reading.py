"""From the body of /v1/read to the rows of its digits, or to the problem that says what is wrong with it.

Finding the digits is `service.lines`' business, reading bodies `service.bodies`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service import lines
from service.bodies import FORM, BodyReader, RawHeaders
from service.imaging import MEDIA_TYPES, PictureError, PictureTooLarge
from service.problems import InvalidInput, Pointer, TooLarge, UnsupportedMediaType

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from starlette.types import Receive

    from service.lines import FoundDigit

# A wide digit of which the network is less sure is refused as two that touch.
_SURE = 0.6


async def one_picture(headers: RawHeaders, receive: Receive, reader: BodyReader) -> bytes:
    """Read the body, which is one picture or a form with one.

    Raises:
        UnsupportedMediaType: The body is an array; judged from the header.
        Problem: 400, 413, 415 or 422, as for /v1/predict.
    """
    sent = headers.get(b"content-type", b"").split(b";")[0].strip().lower().decode("latin-1")
    if sent not in (*MEDIA_TYPES, FORM):
        shown = f"{sent[:100]!r} is not read here" if sent else "Content-Type is missing"
        raise UnsupportedMediaType(f"{shown}; send one of {', '.join((*MEDIA_TYPES, FORM))}.")
    body = await reader.read(headers, receive)
    try:
        pictures = await reader.pictures(body)
    finally:
        reader.release(body)
    if len(pictures) > 1:
        detail = f"The form holds {len(pictures)} pictures; send one at a time."
        raise InvalidInput(detail, [Pointer(pictures[1][0], "is one too many")])
    return pictures[0][1]


async def found_digits(picture: bytes, reader: BodyReader) -> tuple[list[FoundDigit], NDArray[np.float32]]:
    """Find the digits in the pool; gives them with their rows float32 [n, 784], n >= 1, in reading order.

    Raises:
        TooLarge: The picture has too many pixels, or shows too many digits.
        InvalidInput: It does not decode, shows nothing, or its digits touch.
        QueueFull: Too many pictures wait already.
    """
    limits = reader.limits
    try:
        found = await reader.pool.run(
            lambda: lines.digits_from_picture(picture, limits.max_image_pixels, limits.max_instances)
        )
    except (PictureTooLarge, lines.TooManyDigits) as error:
        raise TooLarge(str(error)) from error
    except PictureError as error:
        raise InvalidInput(str(error)) from error
    return found, np.stack([digit.row for digit in found])


def check_touching(digits: list[FoundDigit], probabilities: NDArray[np.float32]) -> None:
    """Refuse a digit that is wide and that the network, by its probabilities float32 [n, 10], does not know."""
    for place, (digit, confidence) in enumerate(zip(digits, probabilities.max(axis=1), strict=True)):
        if digit.is_wide and confidence < _SURE:
            raise InvalidInput(str(lines.TouchingDigits(place)))
