"""Kinds of picture beyond the acceptance table: phones, forms, boards, scanners, screens and rare file formats.

The clean-up was not developed on them; they show what it does with unseen pictures. `shadows` draws those in bad light,
`marks` marked ones, `formats` rare files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.drawing import file_of, lamp, on_ground, pen_drawing, placed, scaled, sharp, tilted
from benchmarks.formats import (
    deep_grey,
    pixelated,
    plotted,
    print_colours,
    small_palette,
    strong_jpeg,
    transparent_grey,
    turned_by_exif,
)
from benchmarks.marks import circled, labelled_box, photographed_frame, row_of_boxes, underlined
from benchmarks.shadows import crumpled_paper, finger_shadows, phone_photo, phone_shadow, scanned_book
from benchmarks.sheets import (
    BLACK_INK,
    PAPER,
    ballpoint,
    box_of,
    normal,
    on_a_sheet,
    photographed,
    snapshot,
    squared,
    transparent,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmarks.drawing import Colour, Ink, Mnist

    Draw = Callable[[Mnist, Generator], bytes]
    Grey = NDArray[np.float32]


def blue_on_squared_paper(digit: Mnist, random: Generator) -> bytes:
    """Blue ink on bluish squares, photographed."""
    page = on_ground(squared(640, 480, random), (240, 240, 236), (150, 170, 215))
    page = written(page, on_a_sheet(digit, 640, 480, random), (45, 60, 150))
    return snapshot(page * lamp((480, 640), random.uniform(0, 0.35), random)[..., None], random)


def whiteboard(digit: Mnist, random: Generator) -> bytes:
    """A coloured marker on a whiteboard that mirrors a lamp."""
    pen = ((40, 40, 45), (30, 60, 160), (200, 40, 45), (30, 120, 60))[int(random.integers(4))]
    board = lamp((480, 640), random.uniform(0.1, 0.4), random) * np.float32(205)
    page = np.repeat(board[..., None], 3, axis=2)
    page = written(page, on_a_sheet(digit, 640, 480, random), pen)
    y, x = np.mgrid[0:480, 0:640].astype(np.float32)
    across, down = random.uniform(0, 640), random.uniform(0, 480)
    radius = random.uniform(40, 110)
    glare = np.exp(-(((x - across) / radius) ** 2 + ((y - down) / radius) ** 2))
    return snapshot(page + 120 * glare[..., None].astype(np.float32), random)


def faint_pencil(digit: Mnist, random: Generator) -> bytes:
    """A grainy stroke a tenth of the range darker than the paper, noise of 1 %."""
    ink = on_a_sheet(digit, 480, 360, random) * (0.75 + 0.25 * random.uniform(size=(360, 480)).astype(np.float32))
    paper = random.uniform(170, 235)
    return file_of(on_ground(ink, paper, paper - 29) + 2.5 * normal((360, 480), random), "JPEG", quality=85)


def very_thick_marker(digit: Mnist, random: Generator) -> bytes:
    """The centre line with a pen a tenth of the canvas wide."""
    return file_of(255 - 255 * pen_drawing(digit, 280, random.uniform(25, 31)))


def speck_of_a_digit(digit: Mnist, random: Generator) -> bytes:
    """A digit about 12 pixels high on a canvas of 1000x1000."""
    side = 17
    left, top = (int(place) for place in random.integers(20, 960, 2))
    return file_of(255 - 255 * placed(scaled(digit, side), 1000, 1000, left, top))


def broken_strokes(digit: Mnist, random: Generator) -> bytes:
    """A pen that skipped: two gaps, each about as wide as the stroke."""
    ink = on_a_sheet(digit, 400, 300, random)
    rows, columns = np.nonzero(ink > 0.5)
    height = int(np.ptp(rows))
    y, x = np.mgrid[0:300, 0:400]
    for _ in range(2):
        at, angle = int(random.integers(len(rows))), random.uniform(0, np.pi)
        along = np.abs(np.cos(angle) * (x - columns[at]) + np.sin(angle) * (y - rows[at]))
        near = np.hypot(x - columns[at], y - rows[at]) < 0.14 * height
        ink = np.where((along < 0.025 * height) & near, np.float32(0), ink)
    return file_of(on_ground(ink, 250, 40))


def any_colours(digit: Mnist, random: Generator) -> bytes:
    """Ink of a random colour on paper of another that is not close to it."""
    while True:
        paper, pen = random.uniform(20, 255, 3), random.uniform(20, 255, 3)
        if np.abs(paper - pen).max() > 90:
            break
    ink = on_a_sheet(digit, 400, 300, random)[..., None]
    return file_of((paper * (1 - ink) + pen * ink).astype(np.float32), "JPEG", quality=85)


def dark_canvas(digit: Mnist, random: Generator) -> bytes:
    """A screenshot of a drawing area in a dark theme: lighter ground, thin border, round corners."""
    image = Image.new("L", (420, 420), 18)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((20, 20, 400, 400), 14, fill=34, outline=70, width=int(random.integers(1, 3)))
    ink = placed(pen_drawing(digit, 340, random.uniform(10, 24)), 420, 420, 40, 40)
    return file_of(written(np.asarray(image, np.float32), ink, random.uniform(150, 240)))


def letterboxed(digit: Mnist, random: Generator) -> bytes:
    """A drawing padded to a square by bars of another grey."""
    light = bool(random.integers(2))
    ink = on_a_sheet(digit, 360, 240, random)
    page = on_ground(ink, 250, 30) if light else on_ground(ink, 10, 240)
    return file_of(np.pad(page, ((60, 60), (0, 0)), constant_values=random.uniform(0, 255)))


def sheet_on_a_desk(digit: Mnist, random: Generator) -> bytes:
    """A small sheet lying askew on a grained desk, all its edges in the picture."""
    ink = placed(sharp(digit, 240), 400, 300, int(random.integers(20, 140)), 30)
    desk = tuple(level * random.uniform(0.7, 1.5) for level in (95, 65, 45))
    return _lying(on_ground(ink, PAPER, ballpoint(random)), (desk[0], desk[1], desk[2]), random)


def sticky_note(digit: Mnist, random: Generator) -> bytes:
    """A coloured note, askew on a white desk."""
    colour = ((250, 230, 90), (245, 150, 180), (150, 215, 120), (120, 190, 235))[int(random.integers(4))]
    ink = placed(sharp(digit, 230), 300, 300, int(random.integers(0, 70)), int(random.integers(0, 70)))
    return _lying(on_ground(ink, colour, BLACK_INK), (235, 233, 230), random)


def thumb_in_the_corner(digit: Mnist, random: Generator) -> bytes:
    """A finger that holds the sheet, in a corner of the picture."""
    page = written(np.full((480, 640, 3), PAPER, np.float32), _in_the_middle(digit, 640, 480), ballpoint(random))
    y, x = np.mgrid[0:480, 0:640].astype(np.float32)
    across, down = (0, 640)[int(random.integers(2))], (0, 480)[int(random.integers(2))]
    radius = random.uniform(60, 110)
    finger = np.clip(radius - np.hypot(x - across, (y - down) * 0.8), 0, 1)
    return snapshot(written(page, finger, (195, 140, 115)), random)


def cropped_photo(digit: Mnist, random: Generator) -> bytes:
    """A photograph cut close to the digit, which meets the picture's border or nearly so."""
    ink = _cropped(tilted(sharp(digit, 300), random.uniform(-8, 8)), random)
    return photographed(ink, PAPER, ballpoint(random), random)


def cropped_marker(digit: Mnist, random: Generator) -> bytes:
    """The same of a marker so thick that a third to a half of the picture is ink."""
    ink = _cropped(pen_drawing(digit, 300, random.uniform(40, 55)), random)
    return photographed(ink, PAPER, ballpoint(random), random)


def cropped_drawing(digit: Mnist, random: Generator) -> bytes:
    """A drawing with a thick pen, cut close to the digit: on white, on black, or on nothing."""
    ink = _cropped(pen_drawing(digit, 300, random.uniform(40, 55)), random)
    ground = int(random.integers(3))
    return transparent(ink, random.choice((0, 255))) if ground == 2 else file_of(255 * (ink if ground else 1 - ink))


def cut_out(digit: Mnist, random: Generator) -> bytes:
    """A thick digit, drawn or photographed, cut out along its own edges or a little inside of them."""
    ink = pen_drawing(digit, 300, random.uniform(36, 55))
    left, top, right, bottom = box_of(ink)
    margins = [round(random.uniform(0, 0.03) * max(right - left, bottom - top)) for _ in range(4)]
    ink = ink[top + margins[0] : bottom - margins[1], left + margins[2] : right - margins[3]]
    return photographed(ink, PAPER, ballpoint(random), random) if random.integers(2) else file_of(255 - 255 * ink)


def highlighter(digit: Mnist, random: Generator) -> bytes:
    """A wide pen of a bright colour about as light as the paper, in uneven light."""
    pen = ((255, 245, 70), (150, 255, 130), (255, 170, 200), (255, 195, 105))[int(random.integers(4))]
    ink = placed(pen_drawing(digit, 300, random.uniform(22, 32)), 640, 480, 170, 90)
    page = on_ground(ink, (240, 238, 232), pen) * lamp((480, 640), random.uniform(0, 0.4), random)[..., None]
    return snapshot(page, random)


WILD_KINDS: tuple[Draw, ...] = (
    phone_photo,
    phone_shadow,
    finger_shadows,
    blue_on_squared_paper,
    photographed_frame,
    labelled_box,
    row_of_boxes,
    whiteboard,
    faint_pencil,
    very_thick_marker,
    speck_of_a_digit,
    broken_strokes,
    any_colours,
    dark_canvas,
    strong_jpeg,
    crumpled_paper,
    scanned_book,
    letterboxed,
    sheet_on_a_desk,
    sticky_note,
    thumb_in_the_corner,
    cropped_photo,
    cropped_marker,
    cropped_drawing,
    cut_out,
    circled,
    underlined,
    highlighter,
    plotted,
    pixelated,
    transparent_grey,
    deep_grey,
    print_colours,
    small_palette,
    turned_by_exif,
)


def _in_the_middle(digit: Mnist, width: int, height: int) -> Ink:
    side = height * 2 // 3
    return placed(sharp(digit, side), width, height, (width - side) // 2, (height - side) // 2)


def _cropped(ink: Ink, random: Generator) -> Ink:
    """Cut to the digit's box with margins of up to a twentieth of its size."""
    left, top, right, bottom = box_of(ink)
    most = max(right - left, bottom - top) / 20
    margins = [round(random.uniform(0, most)) for _ in range(4)]
    padded = np.pad(ink, 20)
    rows = slice(20 + top - margins[0], 20 + bottom + margins[1])
    return padded[rows, 20 + left - margins[2] : 20 + right + margins[3]]


def _lying(sheet: Grey, desk: Colour, random: Generator) -> bytes:
    """The sheet, turned by up to 12 degrees, on a grained desk, from above."""
    layer = np.dstack([sheet, np.full(sheet.shape[:2], 255, np.float32)])
    image = Image.fromarray(np.rint(layer).astype(np.uint8))
    image = image.rotate(random.uniform(-12, 12), Image.Resampling.BICUBIC, expand=True)
    grain = 6 * np.repeat(normal((1, 600), random), 480, axis=0) + 3 * normal((480, 600), random)
    levels = np.asarray(desk, np.float32) + grain[..., None]
    ground = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    ground.paste(image, ((600 - image.width) // 2, (480 - image.height) // 2), image)
    return snapshot(np.asarray(ground, np.float32), random)
