"""Tells what shows around a sheet with a number on it, such as a corner of the table, from digits that meet the rim.

`island` and `table` find the sheet itself, if what is around it is of one kind or runs along the rim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.imaging.form import grown_by
from service.imaging.strokes import rim_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.strokes import Strokes

    Mask = NDArray[np.bool_]
    Boxes = NDArray[np.int64]  # [n, 4]: top, left, bottom, right; the ends exclusive

# So many strokes that are clear of the rim tell how high digits are, and how wide the pen is.
_LEAST_DIGITS, _LEAST_HEIGHT = 2, 12
_LOWEST, _TALLEST = 0.6, 1.5  # by the usual height
_SAME_LINE = 0.4  # of the lower one's height
# Of numbers that were cropped so tightly that digits are cut, thick ones have up to 2.5 beside thin ones.
_PENS = 3.0
_ALONG = 0.5  # of its height: a line of the paper, not a digit that was cut


def surroundings(strokes: Strokes) -> Mask:
    """Which strokes are none: (strokes,) those on the rim that are much wider than the pen, or tall and along the rim.

    What is beside a digit, and no taller, is taken for one all the same: numbers are cropped tightly, too.
    """
    heights = strokes.boxes[:, 2] - strokes.boxes[:, 0]
    clear = ~strokes.on_rim
    usual = float(np.percentile(np.repeat(heights[clear], heights[clear]), 60)) if clear.any() else 0.0
    digits = clear & (heights >= max(_LOWEST * usual, _LEAST_HEIGHT))
    is_tall = heights > _TALLEST * usual
    others = strokes.on_rim & (is_tall | ~_are_beside(strokes.boxes, strokes.boxes[digits]))
    if np.count_nonzero(digits) < _LEAST_DIGITS or not others.any():
        return np.zeros(strokes.count, dtype=np.bool_)
    rim = rim_of(strokes.numbers)
    along = np.bincount(rim[rim >= 0], minlength=strokes.count) >= _ALONG * heights
    return np.asarray(others & (_are_solid(strokes, digits) | (is_tall & along)))


def _are_beside(boxes: Boxes, digits: Boxes) -> Mask:
    """Which boxes are on a line with one of the digits."""
    common = np.minimum(boxes[:, None, 2], digits[:, 2]) - np.maximum(boxes[:, None, 0], digits[:, 0])
    lower = np.minimum(boxes[:, None, 2] - boxes[:, None, 0], digits[:, 2] - digits[:, 0])
    return np.asarray((common >= _SAME_LINE * lower).any(axis=1))


def _are_solid(strokes: Strokes, digits: Mask) -> Mask:
    """Which strokes are somewhere as wide as several pens; a pen is twice the area of its strokes by their outline."""
    mask = strokes.mask_of(digits)
    steps = np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    outline = np.pi / 4 * steps  # of a circle; along a stair of pixels there are more steps than the line is long
    pen = 2 * np.count_nonzero(mask) / outline
    numbers = strokes.numbers
    inner = ~grown_by(numbers < 0, round(_PENS * pen / 2))
    solid = np.zeros(strokes.count, dtype=np.bool_)
    solid[numbers[inner]] = True
    return solid
