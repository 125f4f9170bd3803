"""The kinds of picture that MNIST digits are turned into: what people's tools, papers and cameras do to a digit.

`KINDS` are the twenty of the acceptance table; `HARDER_KINDS` are rulings, frames, shadows and colours beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.drawing import blurred, file_of, grown, lamp, on_ground, pen_drawing, scaled, sharp
from benchmarks.sheets import (
    BLACK_INK,
    anywhere,
    ballpoint,
    framed,
    lined,
    normal,
    on_a_sheet,
    photographed,
    squared,
    transparent,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

    from benchmarks.drawing import Mnist

    Draw = Callable[[Mnist, Generator], bytes]


def mnist_itself(digit: Mnist, _: Generator) -> bytes:
    """28x28, as MNIST has it."""
    return file_of(digit.astype(np.float32))


def light_on_dark(digit: Mnist, _: Generator) -> bytes:
    """Scaled up tenfold."""
    return file_of(255 * scaled(digit, 280))


def dark_on_light(digit: Mnist, _: Generator) -> bytes:
    """Scaled up tenfold, black on white."""
    return file_of(255 - 255 * scaled(digit, 280))


def thumbnail(digit: Mnist, _: Generator) -> bytes:
    """Scaled down to 14x14."""
    return file_of(255 * scaled(digit, 14))


def off_centre(digit: Mnist, random: Generator) -> bytes:
    """Somewhere on a canvas of 400x300, a quarter to nine tenths of its height."""
    return file_of(255 * anywhere(digit, 400, 300, random.uniform(0.25, 0.9), random))


def off_centre_dark(digit: Mnist, random: Generator) -> bytes:
    """Somewhere on a sheet of 300x500, black on white."""
    return file_of(255 - 255 * anywhere(digit, 300, 500, random.uniform(0.25, 0.9), random))


def tiny(digit: Mnist, random: Generator) -> bytes:
    """A digit of 38 to 72 pixels, somewhere on a canvas of 640x480."""
    return file_of(255 - 255 * anywhere(digit, 640, 480, random.uniform(0.08, 0.15), random))


def thick_marker(digit: Mnist, random: Generator) -> bytes:
    """Strokes widened by 5 to 9 pixels on 224x224."""
    return file_of(255 - 255 * grown(sharp(digit, 224), int(random.integers(5, 10))))


def hairline(digit: Mnist, _: Generator) -> bytes:
    """The centre line in 3 pixels on 360x360."""
    return file_of(255 - 255 * pen_drawing(digit, 360, 3))


def canvas_pen(digit: Mnist, random: Generator) -> bytes:
    """The centre line with a drawing program's round pen of 13 to 25 pixels, white on black, on 280x280."""
    return file_of(255 * pen_drawing(digit, 280, random.uniform(13, 25)))


def noise(digit: Mnist, random: Generator) -> bytes:
    """Gaussian noise of 8 % of the range."""
    return file_of(255 - 235 * sharp(digit, 224) + 20.4 * normal((224, 224), random))


def uneven_light(digit: Mnist, random: Generator) -> bytes:
    """A lamp to one side: the far end is up to 40 % darker."""
    page = on_ground(sharp(digit, 224), 235, 40)
    return file_of(page * lamp((224, 224), random.uniform(0.15, 0.4), random))


def jpeg_blocks(digit: Mnist, _: Generator) -> bytes:
    """JPEG of quality 10."""
    return file_of(255 - 235 * sharp(digit, 224), "JPEG", quality=10)


def low_contrast(digit: Mnist, random: Generator) -> bytes:
    """Ink 33 grey levels darker than the paper: 13 % of the range."""
    paper = random.uniform(90, 240)
    return file_of(on_ground(sharp(digit, 224), paper, paper - 33))


def transparent_black(digit: Mnist, _: Generator) -> bytes:
    """Black ink on nothing."""
    return transparent(sharp(digit, 224), 0)


def transparent_white(digit: Mnist, _: Generator) -> bytes:
    """White ink on nothing."""
    return transparent(sharp(digit, 224), 255)


def salt_and_pepper(digit: Mnist, random: Generator) -> bytes:
    """4 % of the pixels black or white."""
    page = 255 - 235 * sharp(digit, 224)
    chance = random.uniform(size=page.shape)
    page[chance < 0.02], page[chance > 0.98] = 0, 255
    return file_of(page)


def photo(digit: Mnist, random: Generator) -> bytes:
    """Pen on paper, photographed: tilted, out of focus, lit from one side, noisy, JPEG."""
    return photographed(on_a_sheet(digit, 400, 300, random), (228, 222, 210), ballpoint(random), random)


def blackboard(digit: Mnist, random: Generator) -> bytes:
    """Chalk on a board, photographed."""
    return photographed(on_a_sheet(digit, 400, 300, random), (48, 62, 55), (215, 220, 212), random)


def ruled_paper(digit: Mnist, random: Generator) -> bytes:
    """Pen on lined paper, the lines lighter than the ink."""
    page = on_ground(lined(400, 300, random), (245, 244, 238), (150, 175, 205))
    return file_of(written(page, on_a_sheet(digit, 400, 300, random), ballpoint(random)))


KINDS: tuple[Draw, ...] = (
    mnist_itself,
    light_on_dark,
    dark_on_light,
    thumbnail,
    off_centre,
    off_centre_dark,
    tiny,
    thick_marker,
    hairline,
    canvas_pen,
    noise,
    uneven_light,
    jpeg_blocks,
    low_contrast,
    transparent_black,
    transparent_white,
    salt_and_pepper,
    photo,
    blackboard,
    ruled_paper,
)


def squared_paper(digit: Mnist, random: Generator) -> bytes:
    """Pen on squared paper."""
    page = on_ground(squared(400, 300, random), (245, 244, 238), (160, 185, 210))
    return file_of(written(page, on_a_sheet(digit, 400, 300, random), ballpoint(random)))


def dark_ruled_paper(digit: Mnist, random: Generator) -> bytes:
    """Lines as dark as the ink, photographed."""
    page = np.maximum(lined(400, 300, random), on_a_sheet(digit, 400, 300, random))
    return photographed(page, (228, 222, 210), BLACK_INK, random)


def dark_squared_paper(digit: Mnist, random: Generator) -> bytes:
    """Squares as dark as the ink."""
    page = np.maximum(squared(400, 300, random), on_a_sheet(digit, 400, 300, random))
    return file_of(on_ground(page, 250, 30))


def light_on_dark_squared_paper(digit: Mnist, random: Generator) -> bytes:
    """Black squared paper, a white pen."""
    page = on_ground(squared(400, 300, random), 30, 90)
    return file_of(written(page, on_a_sheet(digit, 400, 300, random), 240))


def frame(digit: Mnist, random: Generator) -> bytes:
    """A box of a form around the digit, clear of it."""
    return file_of(on_ground(framed(digit, random.uniform(0.05, 0.25), random), 250, 40))


def touching_frame(digit: Mnist, random: Generator) -> bytes:
    """A box of a form that the digit touches or crosses on one or two sides."""
    return file_of(on_ground(framed(digit, random.uniform(-0.06, 0.0), random), 250, 40))


def box_line(digit: Mnist, random: Generator) -> bytes:
    """One line of a form, below or beside the digit, touching it or not."""
    ink = on_a_sheet(digit, 400, 300, random)
    rows, columns = np.flatnonzero(ink.max(axis=1) > 0.5), np.flatnonzero(ink.max(axis=0) > 0.5)
    width = int(random.integers(2, 5))
    gap = int(random.integers(-3, 20))
    if random.uniform() < 0.5:
        at = min(rows[-1] + gap, 299 - width)
        ink[at : at + width] = 1
    else:
        at = max(columns[0] - gap - width, 0)
        ink[:, at : at + width] = 1
    return file_of(on_ground(ink, 250, 40))


def specks(digit: Mnist, random: Generator) -> bytes:
    """Dust: a dozen dots, none larger than the pen is wide."""
    ink = on_a_sheet(digit, 400, 300, random)
    for _ in range(12):
        size = int(random.integers(2, 6))
        top, left = int(random.integers(0, 300 - size)), int(random.integers(0, 400 - size))
        ink[top : top + size, left : left + size] = 1
    return file_of(on_ground(ink, 250, 40))


def table_edge(digit: Mnist, random: Generator) -> bytes:
    """The sheet ends before the picture does: a dark table along one or two sides, with a soft shadow."""
    page = on_ground(anywhere(digit, 280, 210, random.uniform(0.4, 0.8), random, pen=True), 225, 40)
    sides = [int(random.integers(10, 60)) if random.uniform() < 0.5 else 0 for _ in range(4)]
    sides[int(random.integers(4))] = int(random.integers(10, 60))
    table = random.uniform(30, 110)
    page = np.pad(page, (sides[:2], sides[2:]), constant_values=table)
    return file_of(blurred(page, 1.5) + 4 * normal(page.shape, random), "JPEG", quality=80)


def shadow(digit: Mnist, random: Generator) -> bytes:
    """A hand's shadow with a soft edge across the sheet."""
    page = on_ground(on_a_sheet(digit, 400, 300, random), 225, 40)
    angle, offset = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5)
    y, x = np.mgrid[-1:1:300j, -1:1:400j]
    dark = 1 / (1 + np.exp(-12 * (np.cos(angle) * x + np.sin(angle) * y - offset)))
    return file_of(page * (1 - random.uniform(0.2, 0.45) * dark).astype(np.float32), "JPEG", quality=80)


def coloured(digit: Mnist, random: Generator) -> bytes:
    """Ink of one colour on paper of another."""
    pairs = (((250, 235, 120), (200, 60, 60)), ((180, 220, 250), (30, 110, 60)), ((200, 70, 70), (250, 240, 120)),
             ((255, 190, 205), (90, 40, 150)), ((160, 215, 235), (255, 195, 0)))  # fmt: skip
    paper, pen = pairs[int(random.integers(len(pairs)))]
    return file_of(on_ground(on_a_sheet(digit, 400, 300, random), paper, pen), "JPEG", quality=85)


def pencil(digit: Mnist, random: Generator) -> bytes:
    """Faint pencil, its stroke grainy, photographed."""
    ink = on_a_sheet(digit, 400, 300, random) * (0.7 + 0.3 * random.uniform(size=(300, 400)).astype(np.float32))
    return photographed(ink, (215, 213, 208), (150, 150, 152), random)


HARDER_KINDS: tuple[Draw, ...] = (
    squared_paper,
    dark_ruled_paper,
    dark_squared_paper,
    light_on_dark_squared_paper,
    frame,
    touching_frame,
    box_line,
    specks,
    table_edge,
    shadow,
    coloured,
    pencil,
)
