"""Kinds of picture in bad light: shadows with an edge, folds, a scan that darkens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.drawing import blurred, file_of, lamp, on_ground
from benchmarks.sheets import PAPER, ballpoint, on_a_sheet, snapshot, written

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmarks.drawing import Mnist

    Grey = NDArray[np.float32]


def phone_photo(digit: Mnist, random: Generator) -> bytes:
    """A sheet seen aslant, the hand's shadow with a sharp edge across it, 1024x768."""
    page = written(np.full((768, 1024, 3), PAPER, np.float32), on_a_sheet(digit, 1024, 768, random), ballpoint(random))
    page = _aslant(page, random) * _shadow_edge((768, 1024), random.uniform(0.2, 0.4), 60, random)[..., None]
    return snapshot(page, random)


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


def crumpled_paper(digit: Mnist, random: Generator) -> bytes:
    """Folds across the sheet, each with a light and a dark side."""
    y, x = np.mgrid[-1:1:480j, -1:1:640j]
    light = np.ones((480, 640))
    for _ in range(7):
        angle, offset = random.uniform(0, 2 * np.pi), random.uniform(-0.9, 0.9)
        away = np.cos(angle) * x + np.sin(angle) * y - offset
        light += random.uniform(0.04, 0.1) * np.sign(away) * np.exp(-np.abs(away) * random.uniform(2, 6))
    page = written(np.full((480, 640, 3), PAPER, np.float32), on_a_sheet(digit, 640, 480, random), ballpoint(random))
    return snapshot(page * light[..., None].astype(np.float32), random)


def scanned_book(digit: Mnist, random: Generator) -> bytes:
    """A scan that darkens towards one side, where it ends in black."""
    page = on_ground(on_a_sheet(digit, 480, 360, random), 238, 50)
    turns = int(random.integers(4))
    page = np.rot90(page, turns).copy()
    away = np.arange(page.shape[1], dtype=np.float32)
    page *= (1 - random.uniform(0.5, 0.9) * np.exp(-away / random.uniform(12, 40))).astype(np.float32)
    page[:, : int(random.integers(4, 16))] = 15
    return file_of(np.rot90(page, -turns).copy(), "JPEG", quality=75)


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
    page = written(np.full((768, 1024, 3), PAPER, np.float32), on_a_sheet(digit, 1024, 768, random), ballpoint(random))
    shade = Image.new("L", (1024, 768))
    for bar in bars:
        ImageDraw.Draw(shade).polygon(bar, fill=255)
    # From 10 to 90 % of a blurred edge are 2.56 standard deviations.
    soft = blurred(np.asarray(shade, dtype=np.float32), random.uniform(2, 12) / 2.56) / 255
    light = lamp((768, 1024), random.uniform(0, 0.2), random) * (1 - random.uniform(0.15, 0.45) * soft)
    return snapshot(np.asarray(page * light[..., None], dtype=np.float32), random)
