"""Measures what the clean-up costs in addition to Pillow's decoding, in this process and so without HTTP."""

from __future__ import annotations

import time
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.kinds import dark_on_light, photo, ruled_paper, shadow, squared_paper
from benchmarks.shadows import phone_photo, phone_shadow
from service.imaging import pixels_from_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_MAX_IMAGE_PIXELS = 25_000_000
_ROUNDS, _ROUNDS_OF_LARGE = 200, 15
_LARGE = 1_000_000  # pixels
# Kinds that need more work than a plain drawing: lines to take out, uneven light, shadows.
_KINDS = (dark_on_light, photo, ruled_paper, squared_paper, shadow, phone_photo, phone_shadow)
_PICTURES_OF_A_KIND = 20


def costs() -> Iterator[tuple[str, float, float]]:
    """For each size and format, and each kind: its name, the milliseconds of decoding, and those of everything."""
    for name, size in (("0.3 megapixel", (640, 480)), ("12 megapixels", (4000, 3000))):
        for file_format in ("JPEG", "PNG"):
            picture = _photo(size, file_format)
            rounds = _ROUNDS if size[0] * size[1] < _LARGE else _ROUNDS_OF_LARGE
            yield f"{name} {file_format}", *_milliseconds([picture], rounds)
    for draw in _KINDS:
        pictures = [draw(_digit(), np.random.default_rng([13, place])) for place in range(_PICTURES_OF_A_KIND)]
        yield draw.__name__, *_milliseconds(pictures, _ROUNDS // _PICTURES_OF_A_KIND)


def _digit() -> NDArray[np.uint8]:
    """A 7 of MNIST's size and stroke."""
    image = Image.new("L", (280, 280))
    _draw_7(image, 255, width=25)
    return np.asarray(image.resize((28, 28), Image.Resampling.BOX))


def _draw_7(image: Image.Image, colour: int | tuple[int, int, int], width: int) -> None:
    side = min(image.size)
    points = [(side * x, side * y) for x, y in ((0.3, 0.2), (0.7, 0.2), (0.45, 0.8))]
    ImageDraw.Draw(image).line(points, fill=colour, width=width, joint="curve")


def _photo(size: tuple[int, int], file_format: str) -> bytes:
    image = Image.new("RGB", size, (230, 225, 215))
    _draw_7(image, (40, 50, 130), width=min(size) // 20)
    file = BytesIO()
    image.save(file, format=file_format)
    return file.getvalue()


def _milliseconds(pictures: list[bytes], rounds: int) -> tuple[float, float]:
    """Median CPU times of decoding and of everything, measured by turns so that a busy neighbour slows both."""
    decoding, everything = [], []
    for picture in rounds * pictures:
        decoding.append(_seconds(_decode, picture))
        everything.append(_seconds(_cleaned_up, picture))
    return 1000 * float(np.median(decoding)), 1000 * float(np.median(everything))


def _seconds(work: Callable[[bytes], object], picture: bytes) -> float:
    started = time.thread_time()
    work(picture)
    return time.thread_time() - started


def _cleaned_up(picture: bytes) -> NDArray[np.float32]:
    return pixels_from_picture(picture, _MAX_IMAGE_PIXELS)


def _decode(picture: bytes) -> None:
    with Image.open(BytesIO(picture)) as image:
        image.draft(None, (512, 512))  # as the service does: most of a large JPEG is never decoded
        image.load()
