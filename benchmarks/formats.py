"""Kinds of file that programs and devices make: palettes, alpha, 16 bits, colours for print, strong compression."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageFont

from benchmarks.drawing import file_of, lamp, on_ground
from benchmarks.sheets import PAPER, ballpoint, normal, on_a_sheet, written

if TYPE_CHECKING:
    from numpy.random import Generator

    from benchmarks.drawing import Mnist


def strong_jpeg(digit: Mnist, random: Generator) -> bytes:
    """JPEG of quality 15, its colours at half the resolution, of a photographed page."""
    page = written(np.full((300, 400, 3), PAPER, np.float32), on_a_sheet(digit, 400, 300, random), ballpoint(random))
    page = page * lamp((300, 400), random.uniform(0, 0.35), random)[..., None]
    return file_of(page + 4 * normal(page.shape, random), "JPEG", quality=15, subsampling=2)


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
    """The image in squares of ten pixels, instead of smoothly scaled up, dark on light or light on dark."""
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


def _sheet(digit: Mnist, random: Generator) -> Image.Image:
    """Pen on paper under a lamp, as an image."""
    page = on_ground(on_a_sheet(digit, 400, 300, random), PAPER, ballpoint(random))
    page = page * lamp((300, 400), random.uniform(0, 0.35), random)[..., None] + 3 * normal(page.shape, random)
    return Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))


def _saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format=file_format, **options)
    return file.getvalue()
