"""What is fuzzed: each target takes any bytes, and lets nothing out but the problem that its caller answers with."""

import asyncio
import contextlib
from collections.abc import Callable

from service.arrays import rows_from_bytes, rows_from_json
from service.bodies import FORM, Body, BodyReader, Limits
from service.imaging import PictureError, pixels_from_picture
from service.lines import digits_from_picture
from service.pool import Pool
from service.problems import Problem

# Small, so that what is over a limit is met often, and what is below it is quick.
LIMITS = Limits(max_body_bytes=64 * 1024, max_image_pixels=250_000, max_instances=8)
BOUNDARY = "b"


def arrays(data: bytes) -> None:
    """A body of JSON; what is no multiple of 784 bytes is one of raw bytes as well."""
    with contextlib.suppress(Problem):
        rows = rows_from_json(data, LIMITS.max_instances)
        assert rows.min() >= 0
        assert rows.max() <= 1
    with contextlib.suppress(Problem):
        rows_from_bytes(data, LIMITS.max_instances)


def forms(data: bytes) -> None:
    """A body of pictures in a multipart form."""
    body = Body(FORM, data, f"{FORM}; boundary={BOUNDARY}".encode())

    async def read() -> None:
        async with Pool(limit=8).running() as pool:
            await BodyReader(LIMITS, pool).rows(body)

    with contextlib.suppress(Problem):
        asyncio.run(read())


def pictures(data: bytes) -> None:
    """A picture of one digit."""
    with contextlib.suppress(PictureError):
        row = pixels_from_picture(data, LIMITS.max_image_pixels)
        assert row.shape == (784,)
        assert row.min() >= 0
        assert row.max() <= 1


def lines(data: bytes) -> None:
    """A picture of several digits."""
    with contextlib.suppress(PictureError):
        for digit in digits_from_picture(data, LIMITS.max_image_pixels, LIMITS.max_instances):
            assert digit.row.shape == (784,)
            assert min(digit.box) >= 0


TARGETS: dict[str, Callable[[bytes], None]] = {target.__name__: target for target in (arrays, forms, pictures, lines)}
