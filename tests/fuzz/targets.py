"""The fuzzed functions: a target takes any bytes, and tolerates no exception but the one that its caller answers."""

import asyncio
import contextlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from service.bodies.array_body import PIXELS
from service.bodies.arrays import rows_from_bytes, rows_from_json
from service.bodies.media_types import FORM
from service.bodies.reader import Body, BodyReader, Limits
from service.imaging import PictureError, pixels_from_picture
from service.imaging.joints import Part, cuts_of
from service.imaging.lines import FoundDigit, digits_from_picture
from service.pool import Pool
from service.problems import Problem

# Small, so that inputs are often over a limit, and those below it are quick.
LIMITS = Limits(max_body_bytes=64 * 1024, max_image_pixels=250_000, max_instances=8)
BOUNDARY = "b"


def arrays(data: bytes) -> None:
    """A body of JSON, and the same bytes as a body of raw pixels, even if they are no multiple of 784."""
    with contextlib.suppress(Problem):
        _check(rows_from_json(data, LIMITS.max_instances))
    with contextlib.suppress(Problem):
        rows_from_bytes(data, LIMITS.max_instances)


def forms(data: bytes) -> None:
    """A body of pictures in a multipart form."""
    body = Body(FORM, data, f"{FORM}; boundary={BOUNDARY}".encode())

    async def read() -> None:
        async with Pool(limit=8).running() as pool:
            _check(await BodyReader(LIMITS, pool, pool).rows(body))

    with contextlib.suppress(Problem):
        asyncio.run(read())


def pictures(data: bytes) -> None:
    """A picture of one digit."""
    with contextlib.suppress(PictureError):
        _check(pixels_from_picture(data, LIMITS.max_image_pixels))


def lines(data: bytes) -> None:
    """A picture of several digits."""
    with contextlib.suppress(PictureError):
        for digit in digits_from_picture(data, LIMITS.max_image_pixels, LIMITS.max_instances):
            _check(digit.row)
            assert min(digit.box) >= 0
            for half in (half for halves in _cuts(digit) for half in halves):
                _check(half.row)


def _cuts(digit: FoundDigit) -> list[tuple[Part, Part]]:
    return [] if digit.ink is None else cuts_of(digit.ink)


def _check(rows: NDArray[np.float32]) -> None:
    """Assert that rows are whole and in [0, 1]; NaN fails."""
    assert rows.shape[-1] == PIXELS
    assert rows.min() >= 0
    assert rows.max() <= 1


TARGETS: dict[str, Callable[[bytes], None]] = {target.__name__: target for target in (arrays, forms, pictures, lines)}
