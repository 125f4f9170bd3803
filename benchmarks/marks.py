"""Kinds of picture on which somebody, or a form, has marked the digit: a circle, an underline, a box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.drawing import file_of, lamp, on_ground, placed, sharp, tilted
from benchmarks.sheets import PAPER, ballpoint, box_of, framed, snapshot, written

if TYPE_CHECKING:
    from numpy.random import Generator

    from benchmarks.drawing import Ink, Mnist


def photographed_frame(digit: Mnist, random: Generator) -> bytes:
    """A box of a form close around the digit, photographed."""
    ink = tilted(framed(digit, random.uniform(-0.02, 0.2), random), random.uniform(-4, 4))
    page = on_ground(ink, PAPER, (60, 60, 70)) * lamp(ink.shape[:2], random.uniform(0, 0.35), random)[..., None]
    return snapshot(page, random)


def labelled_box(digit: Mnist, random: Generator) -> bytes:
    """A printed box with a label above it, the digit inside; the pen as dark as the print, or fainter."""
    side = int(random.integers(150, 220))
    ink = placed(sharp(digit, side), 360, 360, 180 - side // 2, 190 - side // 2)
    image = Image.fromarray(np.full((360, 360), 250, np.uint8))
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 60, 320, 330), outline=90, width=int(random.integers(1, 4)))
    label = ("Digit", "Name:", "No.", "Postcode")[int(random.integers(4))]
    draw.text((42, 30), label, fill=60, font=ImageFont.load_default(int(random.integers(14, 25))))
    return file_of(written(np.asarray(image, np.float32), ink, random.uniform(20, 190)))


def row_of_boxes(digit: Mnist, random: Generator) -> bytes:
    """Three to five printed boxes side by side, as for a postcode, with the digit in one of them."""
    boxes, side, width = int(random.integers(3, 6)), 130, int(random.integers(2, 4))
    image = Image.new("L", (boxes * side + 60, side + 90), 250)
    draw = ImageDraw.Draw(image)
    for place in range(boxes):
        draw.rectangle((30 + place * side, 45, 30 + (place + 1) * side, 45 + side), outline=70, width=width)
    size = int(random.integers(95, 118))
    ink = tilted(sharp(digit, size), random.uniform(-6, 6))
    left, top = (int(place) for place in random.integers(width, side - size - width + 1, 2))
    ink = placed(ink, image.width, image.height, 30 + int(random.integers(boxes)) * side + left, 45 + top)
    return file_of(written(np.asarray(image, np.float32), ink, 40))


def circled(digit: Mnist, random: Generator) -> bytes:
    """A digit with a circle around it, of the same pen, photographed."""
    ink = placed(sharp(digit, 220), 640, 480, 210, 130)
    left, top, right, bottom = box_of(ink)
    reach = max(right - left, bottom - top) / 2 + random.uniform(15, 50)
    across, down = reach + random.uniform(0, 20), reach + random.uniform(0, 20)
    x, y = (left + right) / 2, (top + bottom) / 2
    image = Image.new("L", (640, 480), 0)
    ImageDraw.Draw(image).ellipse(
        (x - across, y - down, x + across, y + down), outline=255, width=int(random.integers(4, 10))
    )
    return _marked(ink, image, random)


def underlined(digit: Mnist, random: Generator) -> bytes:
    """A digit with a line below it, of the same pen, as one tells a 6 from a 9; photographed."""
    ink = placed(sharp(digit, 220), 640, 480, 210, 110)
    left, _, right, bottom = box_of(ink)
    y = bottom + random.uniform(12, 40)
    ends = ((left - random.uniform(5, 50), y), (right + random.uniform(5, 50), y + random.uniform(-10, 10)))
    image = Image.new("L", (640, 480), 0)
    ImageDraw.Draw(image).line(ends, fill=255, width=int(random.integers(5, 11)))
    return _marked(ink, image, random)


def _marked(ink: Ink, mark: Image.Image, random: Generator) -> bytes:
    """Ink and a mark of the same pen on a sheet of the mark's size, photographed."""
    both = np.maximum(ink, np.asarray(mark, np.float32) / 255)
    return snapshot(written(np.full((*ink.shape, 3), PAPER, np.float32), both, ballpoint(random)), random)
