"""Puts MNIST digits on paper: where they lie, with which pen, on which rulings, and what a camera makes of it.

Ink is float32 [height, width] in [0, 1], 1 is full ink. The kinds of picture are in `kinds`, `wild` and its imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from benchmarks.drawing import blurred, file_of, lamp, on_ground, placed, scaled, sharp, tilted

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmarks.drawing import Colour, Ink, Mnist

    Grey = NDArray[np.float32]

PAPER: Colour = (228.0, 222.0, 210.0)
BLUE_INK: Colour = (35.0, 45.0, 130.0)
BLACK_INK: Colour = (35.0, 35.0, 40.0)
RED_INK: Colour = (190.0, 40.0, 50.0)


def anywhere(digit: Mnist, width: int, height: int, share: float, random: Generator, *, pen: bool = False) -> Ink:
    """The digit somewhere on a canvas, its 28x28 image `share` of the canvas's shorter side."""
    side = round(share * min(width, height))
    ink = sharp(digit, side) if pen else scaled(digit, side)
    left, top = int(random.integers(0, width - side + 1)), int(random.integers(0, height - side + 1))
    return placed(ink, width, height, left, top)


def on_a_sheet(digit: Mnist, width: int, height: int, random: Generator) -> Ink:
    """The digit somewhere on a sheet, four to nine tenths of its height, tilted by up to 8 degrees."""
    side = round(random.uniform(0.4, 0.9) * height)
    ink = tilted(sharp(digit, side), random.uniform(-8, 8))
    left, top = int(random.integers(0, width - side + 1)), int(random.integers(0, height - side + 1))
    return placed(ink, width, height, left, top)


def written(page: Grey, ink: Ink, pen: float | Colour) -> Grey:
    """A pen's ink on a page that has lines or a colour already."""
    if page.ndim == 3:
        ink = ink[..., None]
    return np.asarray(page * (1 - ink) + np.asarray(pen, dtype=np.float32) * ink, dtype=np.float32)


def ballpoint(random: Generator) -> Colour:
    """The colour of a blue, a black or a red pen."""
    return (BLUE_INK, BLACK_INK, RED_INK)[int(random.integers(3))]


def photographed(ink: Ink, paper: Colour, pen: Colour, random: Generator) -> bytes:
    """Ink on paper, lit from one side, out of focus, noisy, as a JPEG."""
    page = on_ground(ink, paper, pen) * lamp((len(ink), ink.shape[1]), random.uniform(0, 0.4), random)[..., None]
    page = blurred(page, random.uniform(0.5, 1.5))
    page = page + random.uniform(2, 8) * normal(page.shape, random)
    return file_of(page, "JPEG", quality=int(random.integers(30, 91)))


def snapshot(page: Grey, random: Generator) -> bytes:
    """What a phone makes of it: out of focus, noisy, JPEG."""
    page = blurred(page, random.uniform(0.5, 2)) + random.uniform(2, 7) * normal(page.shape, random)
    return file_of(page, "JPEG", quality=int(random.integers(40, 91)))


def transparent(ink: Ink, level: float) -> bytes:
    """Ink of one grey on nothing, as a PNG."""
    return file_of(np.stack([np.full_like(ink, level)] * 3 + [255 * ink], axis=-1))


def box_of(ink: Ink) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the ink."""
    return Image.fromarray(ink > 0.5).getbbox() or (0, 0, 1, 1)


def normal(shape: tuple[int, ...], random: Generator) -> Grey:
    """Gaussian noise of standard deviation 1."""
    return random.standard_normal(shape, dtype=np.float32)


def lined(width: int, height: int, random: Generator) -> Ink:
    """Lines from edge to edge, 25 to 60 pixels apart, 1 or 2 pixels wide."""
    ink = np.zeros((height, width), dtype=np.float32)
    apart, thick = int(random.integers(25, 61)), int(random.integers(1, 3))
    for first in range(int(random.integers(apart)), height - thick, apart):
        ink[first : first + thick] = 1
    return ink


def squared(width: int, height: int, random: Generator) -> Ink:
    """Lines both ways, equally far apart."""
    apart, thick = int(random.integers(20, 51)), int(random.integers(1, 3))
    down, right = int(random.integers(apart)), int(random.integers(apart))
    ink = np.zeros((height, width), dtype=np.float32)
    for offset in range(thick):
        ink[down + offset :: apart] = 1
        ink[:, right + offset :: apart] = 1
    return ink


def framed(digit: Mnist, gap: float, random: Generator) -> Ink:
    """The digit in a box; `gap` is its distance, relative to its size, from one horizontal and one upright side."""
    page = placed(sharp(digit, int(random.integers(120, 200))), 360, 360, 80, 80)
    rows, columns = np.flatnonzero(page.max(axis=1) > 0.5), np.flatnonzero(page.max(axis=0) > 0.5)
    size = int(max(np.ptp(rows), np.ptp(columns))) + 1
    thick = int(random.integers(2, 5))
    spans = []
    for places in (rows, columns):
        first, last = int(places[0]), int(places[-1])
        length = round(max(last - first, random.uniform(0.75, 1.0) * size) + random.uniform(0.1, 0.3) * size)
        near = round(gap * size)
        at_start = random.uniform() < 0.5
        spans.append((first - near - thick, first - near + length) if at_start else (last + near - length, last + near))
    (top, bottom), (left, right) = spans
    for at in (top, bottom):
        page[at : at + thick, left : right + thick] = 1
    for at in (left, right):
        page[top : bottom + thick, at : at + thick] = 1
    return page
