"""Drawn pictures of digits for the tests of the clean-up, and a measure of how far apart two rows are."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from service.imaging import pixels_from_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 4_000_000
PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")

# Strokes in a unit square, as (x, y) points.
SEVEN = (((0.2, 0.1), (0.8, 0.1), (0.4, 0.9)),)
FOUR = (((0.6, 0.9), (0.6, 0.1), (0.15, 0.6), (0.85, 0.6)),)
FIVE_IN_TWO = (
    ((0.3, 0.15), (0.28, 0.45), (0.6, 0.45), (0.75, 0.65), (0.6, 0.88), (0.25, 0.85)),
    ((0.4, 0.1), (0.75, 0.1)),
)
EIGHT = (
    ((0.5, 0.5), (0.7, 0.25), (0.5, 0.05), (0.3, 0.25), (0.5, 0.5), (0.8, 0.75), (0.5, 1.0), (0.2, 0.75), (0.5, 0.5)),
)
NINE = (((0.75, 0.3), (0.5, 0.5), (0.2, 0.3), (0.5, 0.1), (0.75, 0.3), (0.7, 1.0)),)
DIGITS = (SEVEN, FOUR, FIVE_IN_TWO)


def drawn(
    strokes: tuple[tuple[tuple[float, float], ...], ...] = SEVEN,
    canvas: tuple[int, int] = (200, 200),
    box: tuple[int, int, int] = (40, 40, 120),
    pen: int = 10,
) -> Image.Image:
    """White strokes on black, mode L; `box` is left, top and side of their square."""
    image = Image.new("L", canvas, 0)
    draw = ImageDraw.Draw(image)
    left, top, side = box
    for stroke in strokes:
        points = [(left + x * side, top + y * side) for x, y in stroke]
        draw.line(points, fill=255, width=pen, joint="curve")
        for x, y in points:
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    return image


def inverted(image: Image.Image) -> Image.Image:
    """Swap dark and light."""
    return image.point(lambda level: 255 - level)


def encoded(image: Image.Image, pillow_format: str = "PNG", **options: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    image.save(file, format=pillow_format, **options)
    return file.getvalue()


def cleaned(picture: Image.Image | bytes) -> NDArray[np.float32]:
    """The row that the service makes of a picture, float32 [784]."""
    data = picture if isinstance(picture, bytes) else encoded(picture)
    return pixels_from_picture(data, MAX_PIXELS)


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Sum of absolute differences divided by the mean ink: 0 for equal rows, 2 for strokes that do not overlap.

    The smallest over the nine shifts by at most a pixel, because centring rounds to whole pixels.
    """
    still, moving = np.pad(one.reshape(28, 28), 1), np.pad(other.reshape(28, 28), 1)
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    smallest = min(np.abs(still - np.roll(moving, shift, (0, 1))).sum() for shift in shifts)
    return float(smallest / ((one.sum() + other.sum()) / 2))
