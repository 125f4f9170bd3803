"""Finds a sheet of which all edges are on the picture, straight or askew, and lays paper over what is around it.

A table along some sides only is `service.table`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from service.form import box_of, grown
from service.paper import median, relief_of
from service.strokes import connected_strokes, reached_from_rim, rim_of

if TYPE_CHECKING:
    from service.form import Grey
    from service.paper import Mask, Window

# Shares of the range of grey levels, and of the rim or the sheet: what is around the sheet is all of one kind.
_OTHER, _ALIKE = 0.25, 0.85
_LEAST_SIDE, _LEAST_AREA = 0.3, 0.12  # of the picture's
_MOST_AREA = 0.9  # with less than that around it, it is a page with a frame, which `service.rulings` takes away
_LEAST_PAPER = 0.55  # of the sheet; the rest is ink
# Of the smallest rectangle around it, however turned. An ellipse, such as a thick 0 or a lamp's light, fills 0.79;
# a sheet that is seen from one side 0.9.
_LEAST_FILLED = 0.86
_TURNS = np.deg2rad(np.arange(0, 90, 3))
_ROUNDS = 4  # of laying paper around the sheet: each brings it nearer to the light on the sheet
_SOFT_EDGE = 2  # pixels of the sheet along its edge that lie half in the shadow of it


def laid_alone(page: Image.Image, seen: Grey) -> tuple[Image.Image, Window] | None:
    """Find the sheet on a look at the whole page.

    Returns:
        The page with paper in place of what was around the sheet, and the part of it that the sheet takes up;
        None where there is no such sheet.
    """
    sheet = _island(seen)
    if sheet is None:
        return None
    inner = ~sheet
    for _ in range(_SOFT_EDGE):
        inner = grown(inner, with_corners=True)
    inner = ~inner
    paper = np.where(inner, seen, np.float32(median(seen[inner])))
    for _ in range(_ROUNDS):
        paper = np.where(inner, seen, paper - relief_of(paper))
    mask = Image.fromarray(inner).convert("L").resize(page.size, Image.Resampling.NEAREST)
    around = Image.fromarray(paper).resize(page.size, Image.Resampling.BICUBIC)
    alone = Image.composite(page, around.convert(page.mode), mask)
    top, left, bottom, right = box_of(inner.astype(np.float32))
    down, across = page.height / len(seen), page.width / seen.shape[1]
    return alone, (left * across, top * down, right * across, bottom * down)


def _island(seen: Grey) -> Mask | None:
    """The filled outline of the sheet."""
    rim = rim_of(seen)
    apart = np.float32(_OTHER) * np.ptp(seen)
    ground = median(rim)
    if np.mean(np.abs(rim - ground) < apart) < _ALIKE:
        return None
    other = np.abs(seen - ground) >= apart
    if other.mean() < _LEAST_AREA * _LEAST_PAPER:
        return None
    island = _largest(~reached_from_rim(~other))
    if island is None or np.mean(other[island]) < _LEAST_PAPER or not _is_sheet(island):
        return None
    return island


def _largest(mask: Mask) -> Mask | None:
    strokes = connected_strokes(mask)
    return strokes.mask_of(np.arange(strokes.count) == np.argmax(strokes.areas)) if strokes.count else None


def _is_sheet(island: Mask) -> bool:
    """Whether it is large and has four straight sides."""
    height, width = island.shape
    top, left, bottom, right = box_of(island.astype(np.float32))
    if bottom - top < _LEAST_SIDE * height or right - left < _LEAST_SIDE * width:
        return False
    if (bottom - top) * (right - left) > _MOST_AREA * island.size:
        return False
    area = int(np.count_nonzero(island))
    return area >= _LEAST_AREA * island.size and area >= _LEAST_FILLED * _smallest_rectangle(island)


def _smallest_rectangle(mask: Mask) -> float:
    """The area of the smallest rectangle around the mask's pixels, however turned."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    x = np.concatenate([first, first, last, last])
    y = np.concatenate([rows, rows + 1, rows, rows + 1])
    across = np.outer(np.cos(_TURNS), x) + np.outer(np.sin(_TURNS), y)
    down = np.outer(np.cos(_TURNS), y) - np.outer(np.sin(_TURNS), x)
    return float((np.ptp(across, axis=1) * np.ptp(down, axis=1)).min())
