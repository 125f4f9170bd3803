"""Draws several MNIST digits in a row, on grounds such as `kinds` has for a single digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.drawing import blurred, file_of, lamp, on_ground, sharp, tilted
from benchmarks.sheets import lined, squared, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmarks.drawing import Ink

    Draw = Callable[[Ink, Generator], bytes]


def on_white(ink: Ink, _: Generator) -> bytes:
    """Black on white."""
    return file_of(on_ground(ink, 255, 0))


def on_black(ink: Ink, _: Generator) -> bytes:
    """White on black."""
    return file_of(on_ground(ink, 0, 255))


def noisy(ink: Ink, random: Generator) -> bytes:
    """Gaussian noise of 8 % of the range."""
    return file_of(on_ground(ink, 255, 20) + 20.4 * random.standard_normal(ink.shape, dtype=np.float32))


def photographed(ink: Ink, random: Generator) -> bytes:
    """Pen on paper, lit from one side, a little out of focus, noisy, JPEG."""
    light = lamp((len(ink), ink.shape[1]), random.uniform(0, 0.4), random)[..., None]
    page = blurred(on_ground(ink, (228, 222, 210), (35, 45, 130)) * light, random.uniform(0.5, 1.5))
    page = page + random.uniform(2, 8) * random.standard_normal(page.shape, dtype=np.float32)
    return file_of(page, "JPEG", quality=int(random.integers(30, 91)))


def on_ruled_paper(ink: Ink, random: Generator) -> bytes:
    """Pen on lined paper, the lines lighter than the ink."""
    page = np.full(ink.shape, 245, dtype=np.float32)
    apart = int(random.integers(30, 61))
    page[int(random.integers(apart)) :: apart] = 175
    return file_of(page * (1 - ink) + 35 * ink)


def on_nothing(ink: Ink, _: Generator) -> bytes:
    """Black ink, transparent paper."""
    return file_of(np.stack([np.zeros_like(ink)] * 3 + [255 * ink], axis=-1))


def on_tilted_ruled_paper(ink: Ink, random: Generator) -> bytes:
    """Pen on lined paper, held askew by one to five degrees; the lines may be nearly as dark as the ink."""
    return _askew(ink, lined, random)


def on_tilted_squared_paper(ink: Ink, random: Generator) -> bytes:
    """The same on squared paper."""
    return _askew(ink, squared, random)


_FULL = 0.9  # of full ink

STRING_KINDS: tuple[Draw, ...] = (on_white, on_black, noisy, photographed, on_ruled_paper, on_nothing)
"""The grounds of the acceptance table."""

TILTED_KINDS: tuple[Draw, ...] = (on_tilted_ruled_paper, on_tilted_squared_paper)
"""Harder grounds."""


def string_picture(
    draw: Draw, images: NDArray[np.uint8], labels: NDArray[np.uint8], random: Generator
) -> tuple[bytes, str]:
    """A picture of two to six of the images in a row, and the digits that it shows."""
    chosen = random.integers(0, len(images), int(random.integers(2, 7)))
    return draw(_row_of(images[chosen], random), random), "".join(str(labels[index]) for index in chosen)


def touching_picture(
    draw: Draw, images: NDArray[np.uint8], labels: NDArray[np.uint8], random: Generator
) -> tuple[bytes, str]:
    """The same, but two of the digits touch or overlap."""
    chosen = random.integers(0, len(images), int(random.integers(2, 7)))
    page = _row_of(images[chosen], random, touching=int(random.integers(1, len(chosen))))
    return draw(page, random), "".join(str(labels[index]) for index in chosen)


def _askew(ink: Ink, rule: Callable[[int, int, Generator], Ink], random: Generator) -> bytes:
    """The ink on ruled paper, both turned by the same angle."""
    degrees = float(random.uniform(1, 5) * random.choice((-1, 1)))
    ink = np.pad(ink, len(ink) // 6)
    height, width = ink.shape
    spare = width // 4  # so that turning leaves no corner without lines
    lines = tilted(rule(width + 2 * spare, height + 2 * spare, random), degrees)[spare:-spare, spare:-spare]
    return file_of(written(on_ground(lines, 245, random.uniform(60, 175)), tilted(ink, degrees), 35))


def _row_of(images: NDArray[np.uint8], random: Generator, touching: int = 0) -> Ink:
    """The digits side by side, of about equal size, not quite on a line, a gap of 6 pixels or more between them.

    If `touching` is not 0, the digit at that index touches the one before it.
    """
    side = int(random.integers(70, 130))
    page = np.zeros((2 * side, (len(images) + 2) * side), dtype=np.float32)
    at = int(random.integers(side // 4, side))
    for place, image in enumerate(images):
        ink = sharp(image, round(side * random.uniform(0.85, 1.15)))
        columns = np.flatnonzero(ink.max(axis=0) > 0)
        ink = ink[:, columns[0] : columns[-1] + 1]
        top = side // 2 + int(random.integers(-side // 10, side // 10 + 1))
        if place == touching and touching:
            at = _touching_place(page, ink, top)
        rest = page[top : top + len(ink), at : at + ink.shape[1]]
        np.maximum(rest, ink, out=rest)
        at += ink.shape[1] + int(random.integers(6, 6 + side // 3))
    return page


def _touching_place(page: Ink, ink: Ink, top: int) -> int:
    """The rightmost column at which the digit's full ink overlaps the full ink on the page by 2 pixels."""
    rows = page[top : top + len(ink)] > _FULL
    written = np.where(rows.any(axis=1), page.shape[1] - 1 - rows[:, ::-1].argmax(axis=1), -page.shape[1])
    inked = ink > _FULL
    first = np.where(inked.any(axis=1), inked.argmax(axis=1), page.shape[1])
    return max(0, int((written - first).max()) - 1)
