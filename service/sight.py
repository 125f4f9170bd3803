"""Looks at a page for the first time: finds the sheet on it, and the ink on the sheet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from service.decoding import PictureError
from service.paper import ink_of, look, median, noise_of, polarity_of, relief_of
from service.rulings import is_ruled, may_be_ruled, without_rulings
from service.table import sheet_in

if TYPE_CHECKING:
    from PIL import Image

    from service.form import Box, Grey
    from service.paper import Ink, Mask, Window

NO_INK = "Nothing on the picture stands out: use a darker pen or more light."
ONLY_NOISE = "There is only noise on the picture, no stroke: draw or photograph one digit."

_LEAST_RANGE = 12.0  # grey levels of 255
_FAR = 0.45  # of the range; light that falls off by 40 % comes to a quarter


@dataclass(frozen=True)
class Sight:
    """One look at a window of the page.

    Attributes:
        window: Where on the page.
        ink: What is seen there.
        mask: The ink's mask without rulings.
        polarity: The sign that ink has there.
        has_lines: Whether there are lines, which may be rulings or not.
    """

    window: Window
    ink: Ink
    mask: Mask
    polarity: np.float32
    has_lines: bool = False

    def part(self, box: Box) -> Window:
        """Where on the page a box of this look lies."""
        height, width = self.ink.mask.shape
        left, top, right, bottom = self.window
        down, across = (bottom - top) / height, (right - left) / width
        return left + box[1] * across, top + box[0] * down, left + box[3] * across, top + box[2] * down


def first_look(page: Image.Image, side: int, ruled_side: int) -> Sight:
    """Look at the whole page; or, if a table shows around it, at the sheet only; from closer if it is ruled.

    Args:
        page: As `service.decoding` gives it.
        side: The longest side of the look, in pixels.
        ruled_side: The same where there are lines.

    Raises:
        PictureError: The page is blank.
    """
    window = (0.0, 0.0, float(page.width), float(page.height))
    seen = look(page, window, side)
    if np.ptp(seen) < _LEAST_RANGE and _is_blank(page):
        raise PictureError("The picture is blank: draw or photograph one digit on it.")
    sight = _sight(page, seen, window)
    sheet = sheet_in(_far_from_paper(seen))
    if sheet is not None:
        inside = _sight_of(page, sight.part(sheet), side)
        sight = sight if inside.ink.is_faint or inside.ink.is_noise else inside
    if ruled_side == side:
        return replace(sight, mask=without_rulings(sight.ink.mask))
    if not may_be_ruled(sight.ink.mask):
        return sight
    closer = _sight_of(page, sight.window, ruled_side)
    sight = closer if is_ruled(closer.ink.mask) else sight
    return replace(sight, mask=without_rulings(sight.ink.mask), has_lines=True)


def _is_blank(page: Image.Image) -> bool:
    darkest, lightest = cast("tuple[float, float]", page.getextrema())
    return lightest - darkest < _LEAST_RANGE


def _far_from_paper(seen: Grey) -> Mask:
    """Where the picture is neither the paper nor in half a shadow: most of it is paper.

    The relief does not tell: a table on two sides looks like a lamp to the fit of the paper.
    """
    lowest, highest = float(seen.min()), float(seen.max())
    paper = median(seen[::2, ::2].reshape(-1))
    return np.asarray(np.abs(seen - np.float32(paper)) > np.float32(_FAR * (highest - lowest)))


def _sight_of(page: Image.Image, window: Window, side: int) -> Sight:
    return _sight(page, look(page, window, side), window)


def _sight(page: Image.Image, seen: Grey, window: Window) -> Sight:
    relief = relief_of(seen)
    polarity = polarity_of(relief)
    # Scaling up smooths noise: of a small page it is taken before.
    noise = noise_of(np.asarray(page, dtype=np.float32) if max(page.size) < max(seen.shape) else relief)
    ink = ink_of(polarity * relief, noise)
    return Sight(window, ink, ink.mask, polarity)
