"""Measures what cleaning a picture up costs beside Pillow's own decoding; in this process, so without HTTP."""

from __future__ import annotations

import time
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from service.imaging import pixels_from_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAX_IMAGE_PIXELS = 25_000_000
_ROUNDS, _ROUNDS_OF_LARGE = 200, 15
_LARGE = 1_000_000  # bytes as decoded


def costs() -> Iterator[tuple[str, float, float]]:
    """For each size and format its name, the milliseconds of decoding, and those of everything."""
    for name, size in (("0.3 megapixel", (640, 480)), ("12 megapixels", (4000, 3000))):
        for file_format in ("JPEG", "PNG"):
            picture = _photo(size, file_format)
            rounds = _ROUNDS if size[0] * size[1] < _LARGE else _ROUNDS_OF_LARGE
            yield f"{name} {file_format}", *_milliseconds(picture, rounds)


def _photo(size: tuple[int, int], file_format: str) -> bytes:
    image = Image.new("RGB", size, (230, 225, 215))
    side = min(size)
    points = [(side * x, side * y) for x, y in ((0.3, 0.2), (0.7, 0.2), (0.45, 0.8))]
    ImageDraw.Draw(image).line(points, fill=(40, 50, 130), width=side // 20, joint="curve")
    file = BytesIO()
    image.save(file, format=file_format)
    return file.getvalue()


def _milliseconds(picture: bytes, rounds: int) -> tuple[float, float]:
    """Medians of one core's time, of decoding and of everything by turns: a busy neighbour slows both."""
    decoding, everything = [], []
    for _ in range(rounds):
        decoding.append(_seconds(lambda: _decode(picture)))
        everything.append(_seconds(lambda: pixels_from_picture(picture, _MAX_IMAGE_PIXELS)))
    return 1000 * float(np.median(decoding)), 1000 * float(np.median(everything))


def _seconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


def _decode(picture: bytes) -> None:
    with Image.open(BytesIO(picture)) as image:
        image.draft(None, (512, 512))  # as the service does: most of a large JPEG is never decoded
        image.load()
