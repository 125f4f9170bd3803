"""Draws MNIST digits the way people's tools do: scaled up, traced with a pen, put on a ground, saved as a file.

Ink is float32 [height, width] in [0, 1], 1 is full ink. `kinds` says which kinds of picture there are.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Ink = NDArray[np.float32]
    Mnist = NDArray[np.uint8]  # 28x28, an MNIST image
    Colour = tuple[float, float, float]  # 0 to 255

_SKELETON_SCALE = 4  # a skeleton is computed at this many pixels per MNIST pixel
_HALF = 0.5


def scaled(digit: Mnist, side: int) -> Ink:
    """The 28x28 image scaled up or down to `side` x `side`."""
    method = Image.Resampling.BICUBIC if side > len(digit) else Image.Resampling.BOX
    image = Image.fromarray(digit).resize((side, side), method)
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def sharp(digit: Mnist, side: int) -> Ink:
    """Scaled up like a drawing: full ink with edges of about a pixel instead of MNIST's soft ones."""
    steep = max(1.0, side / 28)
    edges = (scaled(digit, side) - np.float32(_HALF)) * np.float32(steep) + np.float32(_HALF)
    return np.asarray(np.clip(edges, 0, 1), dtype=np.float32)


def pen_drawing(digit: Mnist, side: int, pen: float) -> Ink:
    """The digit's centre line, drawn with a round pen of `pen` pixels on a canvas of `side` x `side`."""
    rows, columns = np.nonzero(_skeleton(scaled(digit, 28 * _SKELETON_SCALE) > _HALF))
    fine = 3  # drawn larger and scaled down: soft edges
    factor = side * fine / (28 * _SKELETON_SCALE)
    points = {(int(x), int(y)) for x, y in zip(columns, rows, strict=True)}
    canvas = Image.new("L", (side * fine, side * fine), 0)
    draw = ImageDraw.Draw(canvas)
    radius = pen * fine / 2
    for x, y in points:
        here = ((x + _HALF) * factor, (y + _HALF) * factor)
        draw.ellipse((here[0] - radius, here[1] - radius, here[0] + radius, here[1] + radius), fill=255)
        for neighbour in ((x + 1, y), (x, y + 1), (x + 1, y + 1), (x - 1, y + 1)):
            if neighbour in points:
                there = ((neighbour[0] + _HALF) * factor, (neighbour[1] + _HALF) * factor)
                draw.line((*here, *there), fill=255, width=max(1, round(2 * radius)))
    return np.asarray(canvas.resize((side, side), Image.Resampling.BOX), dtype=np.float32) / np.float32(255)


def _skeleton(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin a mask to lines of a pixel (Zhang and Suen, 1984)."""
    mask = np.pad(mask, 1)
    changed = True
    while changed:
        changed = False
        for turn in (0, 1):
            removable = _removable(mask, turn)
            mask = mask & ~removable
            changed = changed or bool(removable.any())
    return mask[1:-1, 1:-1]


def _removable(mask: NDArray[np.bool_], turn: int) -> NDArray[np.bool_]:
    """The border pixels that one of the two half steps takes away."""
    steps = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    around = np.stack([np.roll(mask, (-down, -right), (0, 1)) for down, right in steps])
    north, _, east, _, south, _, west, _ = around
    neighbours = around.sum(axis=0)
    crossings = (~around & np.roll(around, -1, axis=0)).sum(axis=0)
    if turn == 0:
        open_side = ~(north & east & south) & ~(east & south & west)
    else:
        open_side = ~(north & east & west) & ~(north & south & west)
    return np.asarray(mask & (neighbours >= 2) & (neighbours <= 6) & (crossings == 1) & open_side)


def placed(ink: Ink, width: int, height: int, left: int, top: int) -> Ink:
    """The ink on a canvas of `width` x `height`; what lies outside is cut off."""
    canvas = np.zeros((height, width), dtype=np.float32)
    rows, columns = min(len(ink), height - top), min(ink.shape[1], width - left)
    canvas[top : top + rows, left : left + columns] = ink[:rows, :columns]
    return canvas


def tilted(ink: Ink, degrees: float) -> Ink:
    """The ink turned about its middle."""
    turned = Image.fromarray(ink).rotate(degrees, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(turned, dtype=np.float32), 0, 1)


def grown(ink: Ink, pixels: int) -> Ink:
    """The ink with strokes `pixels` wider, as by a marker."""
    if pixels < 2:
        return ink
    odd = pixels + 1 - pixels % 2
    image = Image.fromarray(np.rint(255 * ink).astype(np.uint8)).filter(ImageFilter.MaxFilter(odd))
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def blurred(levels: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Grey levels or colours in [0, 255] out of focus."""
    image = Image.fromarray(np.rint(np.clip(levels, 0, 255)).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32)


def on_ground(ink: Ink, paper: float | Colour, pen: float | Colour) -> NDArray[np.float32]:
    """Ink of one grey or colour on paper of another; [height, width] or [height, width, 3], 0 to 255."""
    if isinstance(paper, tuple):
        ink = ink[..., None]
    ground, colour = np.asarray(paper, dtype=np.float32), np.asarray(pen, dtype=np.float32)
    return np.asarray(ground * (1 - ink) + colour * ink, dtype=np.float32)


def lamp(shape: tuple[int, int], strength: float, random: Generator) -> Ink:
    """Light that falls off linearly in some direction, from 1 down to 1 - `strength`."""
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    along = np.cos(angle) * x + np.sin(angle) * y
    return np.asarray(1 - strength * (along - along.min()) / np.ptp(along), dtype=np.float32)


def file_of(levels: NDArray[np.float32], file_format: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401 - Pillow's
    """Levels in [0, 255], grey or with channels, as a file of that format."""
    image = Image.fromarray(np.rint(np.clip(levels, 0, 255)).astype(np.uint8))
    file = BytesIO()
    image.save(file, format=file_format, **options)
    return file.getvalue()
