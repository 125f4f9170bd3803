"""Finds a sheet whose edges are all in the picture, straight or askew, and lays paper over its surroundings.

`table` handles a table along some sides only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from service.imaging.form import box_of, grown
from service.imaging.paper import median, relief_of
from service.imaging.strokes import connected_strokes, reached_from_rim, rim_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.form import Grey
    from service.imaging.paper import Mask, Window

# Of the range of grey levels, and of the rim: the surroundings are of one kind if that much of the rim differs by less.
_OTHER, _ALIKE = 0.25, 0.85
_LEAST_SIDE, _LEAST_AREA = 0.3, 0.12  # of the picture's
_MOST_AREA = 0.9  # a sheet that fills more is a page with a frame, which `rulings` takes away
_LEAST_PAPER = 0.55  # of the sheet; the rest is ink
# Of the smallest rectangle around it, however turned. An ellipse, such as a thick 0 or a lamp's light, fills 0.79;
# a sheet that is seen at an angle 0.9.
_LEAST_FILLED = 0.86
# Intersection over union of it and the largest quadrilateral between its outermost points. A sheet whose far edge looks
# shorter than 0.72 of the near one fills less of the rectangle: of 60 sheets seen like this on a desk, all are found
# instead of 38. A sheet with a bent edge, in a stranger's photo, has 0.92; an ellipse 0.64.
_LEAST_SHARED = 0.9
# Areas inside it that look like the ground are not ink, but the holes of a thick 8 or 0, if they are solid (by the area
# of an ellipse of the same spread) and not narrow (by their length) like a 1. Of 31 drawings with thick strokes that
# were taken for sheets 21 are recognised; ink may be as dark as the desk, but none of 1,500 MNIST digits is so solid.
# A sheet is not as narrow as a 1 either: a thick 1 may take up most of a picture that is cropped to it.
_SOLID, _NARROW = 0.9, 0.3
_LEAST_HOLE = 0.01  # of the island's area: less is a speck, or the edge of its ink
_TURNS = np.deg2rad(np.arange(0, 90, 3))
_ROUNDS = 4  # of laying paper around the sheet: each brings that paper nearer to the light on the sheet
_SOFT_EDGE = 2  # pixels along the sheet's edge that lie half in its shadow


def laid_alone(page: Image.Image, seen: Grey) -> tuple[Image.Image, Window] | None:
    """Find the sheet on a look at the whole page.

    Returns:
        The page with paper in place of the sheet's surroundings, and the window of it that the sheet takes up;
        None if there is no such sheet.
    """
    # On small pages, scaled up, a thick stroke has corners too.
    sheet = _island(seen, may_be_aslant=max(page.size) >= max(seen.shape))
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


def _island(seen: Grey, *, may_be_aslant: bool) -> Mask | None:
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
    if island is None or np.mean(other[island]) < _LEAST_PAPER or not _is_sheet(island, may_be_aslant=may_be_aslant):
        return None
    return None if _are_holes(island & ~other, _LEAST_HOLE * np.count_nonzero(island)) else island


def _are_holes(ground: Mask, least: float) -> bool:
    """Whether all parts inside the island that look like the ground, except specks, have the form of a hole."""
    parts = connected_strokes(ground)
    large = np.flatnonzero(parts.areas >= least)
    return bool(large.size) and all(_is_hole(parts.numbers == number) for number in large)


def _is_hole(part: Mask) -> bool:
    """Whether the part is solid and wide: a stroke is bent or narrow."""
    variances = np.linalg.eigvalsh(np.cov(np.nonzero(part))) + 1 / 12  # the variance within a pixel
    ellipse = 4 * np.pi * float(np.sqrt(variances.prod()))
    return bool(np.count_nonzero(part) >= _SOLID * ellipse and variances[0] >= _NARROW**2 * variances[1])


def _largest(mask: Mask) -> Mask | None:
    strokes = connected_strokes(mask)
    return strokes.mask_of(np.arange(strokes.count) == np.argmax(strokes.areas)) if strokes.count else None


def _is_sheet(island: Mask, *, may_be_aslant: bool) -> bool:
    """Whether the island is large, no bar, and has four straight sides."""
    height, width = island.shape
    top, left, bottom, right = box_of(island.astype(np.float32))
    if bottom - top < _LEAST_SIDE * height or right - left < _LEAST_SIDE * width:
        return False
    if min(bottom - top, right - left) < _NARROW * max(bottom - top, right - left):
        return False
    if (bottom - top) * (right - left) > _MOST_AREA * island.size:
        return False
    area = int(np.count_nonzero(island))
    if area < _LEAST_AREA * island.size:
        return False
    x, y = _outline(island)
    return area >= _LEAST_FILLED * _smallest_rectangle(x, y) or (
        may_be_aslant and _shared(island, _largest_quadrilateral(x, y)) >= _LEAST_SHARED
    )


def _outline(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The corners of the first and last pixel of each row, across and down."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    return np.concatenate([first, first, last, last]), np.concatenate([rows, rows + 1, rows, rows + 1])


def _turned(x: NDArray[np.int64], y: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[turns, points]: where the points lie across and down if the page is turned."""
    cosine, sine = np.cos(_TURNS), np.sin(_TURNS)
    return np.outer(cosine, x) + np.outer(sine, y), np.outer(cosine, y) - np.outer(sine, x)


def _smallest_rectangle(x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    """The area of the smallest rectangle around the points, however turned."""
    across, down = _turned(x, y)
    return float((np.ptp(across, axis=1) * np.ptp(down, axis=1)).min())


def _largest_quadrilateral(x: NDArray[np.int64], y: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The largest quadrilateral between the outermost points in four directions, however turned."""
    across, down = _turned(x, y)
    corners = np.stack([across.argmax(axis=1), down.argmax(axis=1), across.argmin(axis=1), down.argmin(axis=1)], axis=1)
    x, y = x[corners], y[corners]
    areas = np.abs((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1))
    largest = int(np.argmax(areas))
    return list(zip(x[largest].tolist(), y[largest].tolist(), strict=True))


def _shared(mask: Mask, corners: list[tuple[int, int]]) -> float:
    """Intersection over union of the mask and the polygon between the corners."""
    image = Image.new("1", mask.shape[::-1])
    ImageDraw.Draw(image).polygon(corners, fill=1)
    polygon = np.asarray(image)
    return float(np.count_nonzero(polygon & mask) / np.count_nonzero(polygon | mask))
