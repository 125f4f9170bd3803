"""Kinds of picture beyond the acceptance table: phones, forms, boards, scanners, screens and rare file formats.

The clean-up was not written on them; they show what it does with pictures that nobody here has seen.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont

from benchmarks.drawing import blurred, file_of, lamp, on_ground, pen_drawing, placed, scaled, sharp, tilted
from benchmarks.sheets import (
    BLACK_INK,
    ballpoint,
    framed,
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
    from numpy.typing import NDArray

    from benchmarks.drawing import Colour, Ink, Mnist

    Draw = Callable[[Mnist, Generator], bytes]
    Grey = NDArray[np.float32]

_PAPER: Colour = (228.0, 222.0, 210.0)
_HALF = 0.5


def phone_photo(digit: Mnist, random: Generator) -> bytes:
    """A sheet seen aslant, the hand's shadow with a sharp edge across it, 1024x768."""
    page = written(np.full((768, 1024, 3), _PAPER, np.float32), on_a_sheet(digit, 1024, 768, random), ballpoint(random))
    page = _aslant(page, random) * _shadow_edge((768, 1024), random.uniform(0.2, 0.4), 60, random)[..., None]
    return _snapshot(page, random)


def phone_shadow(digit: Mnist, random: Generator) -> bytes:
    """The shadow of the phone that takes the picture: a bar with straight, fairly sharp edges, 1024x768."""
    at, angle = (random.uniform(0, 1024), random.uniform(0, 768)), random.uniform(0, 2 * np.pi)
    width = random.uniform(0.03, 0.2) * 1024
    bar = _bar(at, angle, 1500, width, width)
    return _under_shadows(digit, [bar], random)


def finger_shadows(digit: Mnist, random: Generator) -> bytes:
    """The shadows of two to four fingers that reach in from one side, each with a round tip, 1024x768."""
    side, fingers = int(random.integers(4)), int(random.integers(2, 5))
    inwards = (0, np.pi / 2, np.pi, 3 * np.pi / 2)[side]
    along, width = random.uniform(0.1, 0.5), random.uniform(0.03, 0.09) * 1024
    bars = []
    for _ in range(fingers):
        place = along * 1024, along * 768
        at = ((-40.0, place[1]), (place[0], -40.0), (1064.0, place[1]), (place[0], 808.0))[side]
        thick = width * random.uniform(0.8, 1.2)
        angle, length = inwards + random.uniform(-0.25, 0.25), random.uniform(300, 800)
        bars.append(_bar(at, angle, length, thick, thick * random.uniform(0.6, 0.9)))
        along += (random.uniform(1.3, 2.2) * width) / 768
    return _under_shadows(digit, bars, random)


def blue_on_squared_paper(digit: Mnist, random: Generator) -> bytes:
    """Blue ink on bluish squares, photographed."""
    page = on_ground(squared(640, 480, random), (240, 240, 236), (150, 170, 215))
    page = written(page, on_a_sheet(digit, 640, 480, random), (45, 60, 150))
    return _snapshot(page * lamp((480, 640), random.uniform(0, 0.35), random)[..., None], random)


def photographed_frame(digit: Mnist, random: Generator) -> bytes:
    """A box of a form close around the digit, photographed."""
    ink = tilted(framed(digit, random.uniform(-0.02, 0.2), random), random.uniform(-4, 4))
    page = on_ground(ink, _PAPER, (60, 60, 70)) * lamp(ink.shape[:2], random.uniform(0, 0.35), random)[..., None]
    return _snapshot(page, random)


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
    return _snapshot(page + 120 * glare[..., None].astype(np.float32), random)


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


def strong_jpeg(digit: Mnist, random: Generator) -> bytes:
    """JPEG of quality 15, its colours halved, of a photographed page."""
    page = written(np.full((300, 400, 3), _PAPER, np.float32), on_a_sheet(digit, 400, 300, random), ballpoint(random))
    page = page * lamp((300, 400), random.uniform(0, 0.35), random)[..., None]
    return file_of(page + 4 * normal(page.shape, random), "JPEG", quality=15, subsampling=2)


def crumpled_paper(digit: Mnist, random: Generator) -> bytes:
    """Folds across the sheet, each with a light and a dark side."""
    y, x = np.mgrid[-1:1:480j, -1:1:640j]
    light = np.ones((480, 640))
    for _ in range(7):
        angle, offset = random.uniform(0, 2 * np.pi), random.uniform(-0.9, 0.9)
        away = np.cos(angle) * x + np.sin(angle) * y - offset
        light += random.uniform(0.04, 0.1) * np.sign(away) * np.exp(-np.abs(away) * random.uniform(2, 6))
    page = written(np.full((480, 640, 3), _PAPER, np.float32), on_a_sheet(digit, 640, 480, random), ballpoint(random))
    return _snapshot(page * light[..., None].astype(np.float32), random)


def scanned_book(digit: Mnist, random: Generator) -> bytes:
    """A scan that darkens towards one side, where it ends in black."""
    page = on_ground(on_a_sheet(digit, 480, 360, random), 238, 50)
    turns = int(random.integers(4))
    page = np.rot90(page, turns).copy()
    away = np.arange(page.shape[1], dtype=np.float32)
    page *= (1 - random.uniform(0.5, 0.9) * np.exp(-away / random.uniform(12, 40))).astype(np.float32)
    page[:, : int(random.integers(4, 16))] = 15
    return file_of(np.rot90(page, -turns).copy(), "JPEG", quality=75)


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
    return _lying(on_ground(ink, _PAPER, ballpoint(random)), (desk[0], desk[1], desk[2]), random)


def sticky_note(digit: Mnist, random: Generator) -> bytes:
    """A coloured note, askew on a white desk."""
    colour = ((250, 230, 90), (245, 150, 180), (150, 215, 120), (120, 190, 235))[int(random.integers(4))]
    ink = placed(sharp(digit, 230), 300, 300, int(random.integers(0, 70)), int(random.integers(0, 70)))
    return _lying(on_ground(ink, colour, BLACK_INK), (235, 233, 230), random)


def thumb_in_the_corner(digit: Mnist, random: Generator) -> bytes:
    """A finger that holds the sheet, in a corner of the picture."""
    page = written(np.full((480, 640, 3), _PAPER, np.float32), _in_the_middle(digit, 640, 480), ballpoint(random))
    y, x = np.mgrid[0:480, 0:640].astype(np.float32)
    across, down = (0, 640)[int(random.integers(2))], (0, 480)[int(random.integers(2))]
    radius = random.uniform(60, 110)
    finger = np.clip(radius - np.hypot(x - across, (y - down) * 0.8), 0, 1)
    return _snapshot(written(page, finger, (195, 140, 115)), random)


def cropped_photo(digit: Mnist, random: Generator) -> bytes:
    """A photograph cut close to the digit, which meets the picture's border or nearly so."""
    ink = _cropped(tilted(sharp(digit, 300), random.uniform(-8, 8)), random)
    return photographed(ink, _PAPER, ballpoint(random), random)


def cropped_marker(digit: Mnist, random: Generator) -> bytes:
    """The same of a marker so thick that a third to a half of the picture is ink."""
    ink = _cropped(pen_drawing(digit, 300, random.uniform(40, 55)), random)
    return photographed(ink, _PAPER, ballpoint(random), random)


def cropped_drawing(digit: Mnist, random: Generator) -> bytes:
    """A drawing with a thick pen, cut close to the digit: on white, on black, or on nothing."""
    ink = _cropped(pen_drawing(digit, 300, random.uniform(40, 55)), random)
    ground = int(random.integers(3))
    return transparent(ink, random.choice((0, 255))) if ground == 2 else file_of(255 * (ink if ground else 1 - ink))


def circled(digit: Mnist, random: Generator) -> bytes:
    """A digit with a circle around it, of the same pen, photographed."""
    ink = placed(sharp(digit, 220), 640, 480, 210, 130)
    left, top, right, bottom = _box(ink)
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
    left, _, right, bottom = _box(ink)
    y = bottom + random.uniform(12, 40)
    ends = ((left - random.uniform(5, 50), y), (right + random.uniform(5, 50), y + random.uniform(-10, 10)))
    image = Image.new("L", (640, 480), 0)
    ImageDraw.Draw(image).line(ends, fill=255, width=int(random.integers(5, 11)))
    return _marked(ink, image, random)


def highlighter(digit: Mnist, random: Generator) -> bytes:
    """A wide pen of a bright colour about as light as the paper, in uneven light."""
    pen = ((255, 245, 70), (150, 255, 130), (255, 170, 200), (255, 195, 105))[int(random.integers(4))]
    ink = placed(pen_drawing(digit, 300, random.uniform(22, 32)), 640, 480, 170, 90)
    page = on_ground(ink, (240, 238, 232), pen) * lamp((480, 640), random.uniform(0, 0.4), random)[..., None]
    return _snapshot(page, random)


def plotted(digit: Mnist, random: Generator) -> bytes:
    """The image as plotting programs show it: in two colours, a white margin with numbers around it."""
    dark, light = (((0, 0, 0), (255, 255, 255)), ((68, 1, 84), (253, 231, 37)))[int(random.integers(2))]
    image = Image.new("RGB", (400, 320), (255, 255, 255))
    shown = on_ground(np.kron(digit / np.float32(255), np.ones((9, 9), np.float32)), dark, light)
    image.paste(Image.fromarray(np.rint(shown).astype(np.uint8)), (80, 30))
    draw = ImageDraw.Draw(image)
    draw.rectangle((79, 29, 332, 282), outline=(0, 0, 0))
    for tick in range(0, 28, 5):
        draw.text((78 + 9 * tick, 288), str(tick), fill=(0, 0, 0), font=ImageFont.load_default(11))
        draw.text((60, 28 + 9 * tick), str(tick), fill=(0, 0, 0), font=ImageFont.load_default(11))
    return _saved(image, "PNG")


def pixelated(digit: Mnist, random: Generator) -> bytes:
    """The image in squares of ten pixels, in place of smoothly scaled up, dark on light or light on dark."""
    shown = np.kron(digit.astype(np.float32), np.ones((10, 10), np.float32))
    return file_of(np.asarray(shown if random.integers(2) else 255 - shown, dtype=np.float32))


def transparent_grey(digit: Mnist, random: Generator) -> bytes:
    """White ink on nothing, as a PNG of grey and alpha."""
    ink = on_a_sheet(digit, 300, 300, random)
    return _saved(
        Image.fromarray(np.rint(np.dstack([np.full_like(ink, 255), 255 * ink])).astype(np.uint8), "LA"), "PNG"
    )


def deep_grey(digit: Mnist, random: Generator) -> bytes:
    """A 16-bit PNG of a camera that uses a third of its range, with noise."""
    page = on_ground(on_a_sheet(digit, 400, 300, random), 20000, 9000) + 300 * normal((300, 400), random)
    return _saved(Image.fromarray(np.clip(page, 0, 65535).astype(np.uint16)), "PNG")


def print_colours(digit: Mnist, random: Generator) -> bytes:
    """A JPEG in cyan, magenta, yellow and black."""
    return _saved(_sheet(digit, random).convert("CMYK"), "JPEG", quality=80)


def small_palette(digit: Mnist, random: Generator) -> bytes:
    """A GIF of eight colours, dithered."""
    return _saved(_sheet(digit, random).quantize(8), "GIF")


def turned_by_exif(digit: Mnist, random: Generator) -> bytes:
    """A JPEG that lies on its side and says so."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return _saved(_sheet(digit, random).transpose(Image.Transpose.ROTATE_90), "JPEG", quality=85, exif=exif)


WILD_KINDS: tuple[Draw, ...] = (
    phone_photo,
    phone_shadow,
    finger_shadows,
    blue_on_squared_paper,
    photographed_frame,
    labelled_box,
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


def _box(ink: Ink) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the ink."""
    return Image.fromarray(ink > _HALF).getbbox() or (0, 0, 1, 1)


def _marked(ink: Ink, mark: Image.Image, random: Generator) -> bytes:
    """Ink and a mark of the same pen on a sheet of the mark's size, photographed."""
    both = np.maximum(ink, np.asarray(mark, np.float32) / 255)
    return _snapshot(written(np.full((*ink.shape, 3), _PAPER, np.float32), both, ballpoint(random)), random)


def _cropped(ink: Ink, random: Generator) -> Ink:
    """Cut to the digit's box with margins of up to a twentieth of its size."""
    left, top, right, bottom = _box(ink)
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
    return _snapshot(np.asarray(ground, np.float32), random)


def _sheet(digit: Mnist, random: Generator) -> Image.Image:
    """Pen on paper under a lamp, as an image."""
    page = on_ground(on_a_sheet(digit, 400, 300, random), _PAPER, ballpoint(random))
    page = page * lamp((300, 400), random.uniform(0, 0.35), random)[..., None] + 3 * normal(page.shape, random)
    return Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))


def _aslant(page: Grey, random: Generator) -> Grey:
    """The page seen from one side: its corners moved inwards by up to a tenth, cut to what is still page."""
    height, width = page.shape[:2]
    image = Image.fromarray(np.rint(np.clip(page, 0, 255)).astype(np.uint8))
    inset = random.uniform(0, 0.1, (4, 2)) * (width, height)
    corners = np.array([(0, 0), (0, height), (width, height), (width, 0)], float)
    corners += inset * ((1, 1), (1, -1), (-1, -1), (-1, 1))
    turned = image.transform((width, height), Image.Transform.QUAD, corners.reshape(-1).tolist(),
                             Image.Resampling.BICUBIC)  # fmt: skip
    return np.asarray(turned, dtype=np.float32)


def _shadow_edge(shape: tuple[int, int], strength: float, steepness: float, random: Generator) -> Grey:
    """Light that is weaker by `strength` on one side of a line."""
    angle, offset = random.uniform(0, 2 * np.pi), random.uniform(-0.5, 0.5)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    dark = 1 / (1 + np.exp(-steepness * (np.cos(angle) * x + np.sin(angle) * y - offset)))
    return np.asarray(1 - strength * dark, dtype=np.float32)


def _bar(at: tuple[float, float], angle: float, length: float, width: float, at_tip: float) -> list[tuple[float, ...]]:
    """The outline of a bar that begins at a point, in pixels, and narrows towards its round tip."""
    across = np.linspace(-np.pi / 2, np.pi / 2, 24)
    x = np.concatenate([[0], length + at_tip / 2 * np.cos(across), [0]])
    y = np.concatenate([[-width / 2], at_tip / 2 * np.sin(across), [width / 2]])
    turned_x, turned_y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    return list(zip((turned_x + at[0]).tolist(), (turned_y + at[1]).tolist(), strict=True))


def _under_shadows(digit: Mnist, bars: list[list[tuple[float, ...]]], random: Generator) -> bytes:
    """A sheet on which shadows of these outlines leave 0.55 to 0.85 of the light; 2 to 12 pixels wide edges."""
    page = written(np.full((768, 1024, 3), _PAPER, np.float32), on_a_sheet(digit, 1024, 768, random), ballpoint(random))
    shade = Image.new("L", (1024, 768))
    for bar in bars:
        ImageDraw.Draw(shade).polygon(bar, fill=255)
    # From 10 to 90 % of a blurred edge are 2.56 standard deviations.
    soft = blurred(np.asarray(shade, dtype=np.float32), random.uniform(2, 12) / 2.56) / 255
    light = lamp((768, 1024), random.uniform(0, 0.2), random) * (1 - random.uniform(0.15, 0.45) * soft)
    return _snapshot(np.asarray(page * light[..., None], dtype=np.float32), random)


def _snapshot(page: Grey, random: Generator) -> bytes:
    """What a phone makes of it: out of focus, noisy, JPEG."""
    page = blurred(page, random.uniform(0.5, 2)) + random.uniform(2, 7) * normal(page.shape, random)
    return file_of(page, "JPEG", quality=int(random.integers(40, 91)))


def _saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format=file_format, **options)
    return file.getvalue()
