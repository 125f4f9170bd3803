"""Gives a picture that is cropped to its digit's own edges a margin of paper.

A thick digit takes up as much of such a picture, and of its rim, as the paper does, so that `paper` cannot tell which
of the two is ink. Here their shapes tell: the digit reaches all four sides in one stroke, but covers little of them. So
does a sheet of which only the corners are cut off; with a margin of table around it, `island` finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from service.imaging.form import grown
from service.imaging.paper import look, otsu
from service.imaging.strokes import connected_strokes

if TYPE_CHECKING:
    from service.imaging.form import Grey
    from service.imaging.paper import Mask

_LOOK_SIDE = 48  # pixels along the longer side: the strokes that matter here have three and more
_MARGIN = 12  # pixels of that look

_LEAST_INK = 0.25  # of the picture; thinner digits are read without a margin, too
# Share of the variance that lies between ink and paper. Measured: thick digits, photographed, have 0.83 and more, folds
# in crumpled paper and papers in several lights up to 0.58.
_TWO_LEVELS = 0.75
_NEAR = 1  # pixels of that look: the largest gap between a stroke and a side that it counts as reaching
# How much of two sides that meet may be ink; all of both is 2. A frame, a table along two sides and the paper around a
# digit cover all of both; a shadow across half of the picture 1.65 and more; 292 cut-out thick digits up to 1.21.
_MOST_OF_TWO_SIDES = 1.4
_ALL = 0.97  # of the ink, in one stroke: on a sheet beside a table, the digit is a second one
_SOLID = 0.4  # of the ink, more than a pixel from paper: the thin lines of squared paper reach all sides, too
_LEAST_PAPER = 32  # pixels, for a fit of uneven light


def with_margin(page: Image.Image) -> Image.Image:
    """Lay paper around a thick digit that a page is cropped to, or table around a sheet; other pages stay as is."""
    seen = look(page, (0.0, 0.0, float(page.width), float(page.height)), _LOOK_SIDE)
    ink = _cropped_digit(seen)
    return page if ink is None else _on_paper(page, seen, ~grown(ink, with_corners=True))


def _cropped_digit(seen: Grey) -> Mask | None:
    """Where the digit is on a look at a page that is cropped to it; None for any other page."""
    light = (seen - seen.min()) / np.float32(max(float(np.ptp(seen)), 1e-6))
    dark = light < otsu(light)
    share = float(dark.mean())
    if not _LEAST_INK <= share <= 1 - _LEAST_INK:
        return None
    apart = share * (1 - share) * float(light[~dark].mean() - light[dark].mean()) ** 2
    if apart < _TWO_LEVELS * float(light.var()):
        return None
    return next((ink for ink in (dark, ~dark) if _reaches_out(ink) and _is_one_stroke(ink)), None)


def _reaches_out(ink: Mask) -> bool:
    """Whether ink reaches all sides, and leaves a part of them free."""
    within = slice(None, _NEAR + 1), slice(-_NEAR - 1, None)
    if not all(ink[side].any() and ink[:, side].any() for side in within):
        return False
    along, across = (max(float(side.mean()) for side in (edge[0], edge[-1])) for edge in (ink, ink.T))
    return along + across <= _MOST_OF_TWO_SIDES


def _is_one_stroke(ink: Mask) -> bool:
    """Whether nearly all of the ink is one stroke, thicker than a line."""
    areas = connected_strokes(ink).areas
    return bool(areas.max() >= _ALL * areas.sum() and np.count_nonzero(~grown(~ink)) >= _SOLID * areas.sum())


def _on_paper(page: Image.Image, seen: Grey, paper: Mask) -> Image.Image:
    """The page with a margin of paper around it, in the light that falls on the page's own paper."""
    height, width = seen.shape
    down, across = np.arange(-_MARGIN, height + _MARGIN)[:, None], np.arange(-_MARGIN, width + _MARGIN)
    level, by_row, by_column = _plane(seen, paper)
    around = np.asarray(level + by_row * down + by_column * across, dtype=np.float32)
    margin = round(_MARGIN * max(page.size) / _LOOK_SIDE)
    size = page.width + 2 * margin, page.height + 2 * margin
    laid = Image.fromarray(around).resize(size, Image.Resampling.BICUBIC).convert(page.mode)
    laid.paste(page, (margin, margin))
    return laid


def _plane(seen: Grey, paper: Mask) -> tuple[float, float, float]:
    """The level at the first pixel, and its rise by row and by column; flat if there is too little paper to tell."""
    levels = seen[paper]
    if levels.size < _LEAST_PAPER:
        return (float(np.median(levels if levels.size else seen)), 0.0, 0.0)
    rows, columns = np.nonzero(paper)
    terms = np.stack([np.ones(len(rows)), rows, columns], axis=1)
    level, by_row, by_column = np.linalg.lstsq(terms, levels, rcond=None)[0].tolist()
    return level, by_row, by_column
