"""Tells what shows around a sheet with a number on it, such as a corner of the table, from digits that meet the rim.

`island` and `table` find the sheet itself, if what is around it is of one kind or runs along the rim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.imaging.form import grown_by
from service.imaging.reading_order import are_on_one_line
from service.imaging.strokes import rim_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.strokes import Strokes

    Mask = NDArray[np.bool_]

# At least two strokes that are clear of the rim tell how high digits are, and how wide the pen is. Lower ones, in
# pixels, are specks; more are a pattern, and to compare each with all on the rim would take memory by their product.
_LEAST_DIGITS, _MOST_DIGITS, _LEAST_HEIGHT = 2, 1000, 12
_LOWEST, _TALLEST = 0.6, 1.5  # by the usual height, a digit's: people write small 0s beside tall 7s
# Of numbers that were cropped so tightly that digits are cut, thick ones have up to 2.5 beside thin ones.
_PENS = 3.0
_ALONG = 0.5  # of its height: a line of the paper; digits that are cut along meet the rim with less
# What is much more ink than the digits that are clear may be a number in marker, tightly cropped, beside specks. Then
# it has to lie along the rim, by its height and width: a corner of the table does with 0.75 and more, a 7 with 0.58.
_AS_MUCH, _ALL_ALONG = 4.0, 0.65


def surroundings(strokes: Strokes) -> Mask:
    """Which strokes are none: (strokes,) those on the rim that are much wider than the pen, or tall and along the rim.

    What is beside a digit, and no taller, is taken for one all the same: numbers are cropped tightly, too.
    """
    heights, widths = (strokes.boxes[:, 2:] - strokes.boxes[:, :2]).T
    clear = ~strokes.on_rim
    usual = strokes.usual_height(np.flatnonzero(clear)) if clear.any() else 0.0
    digits = clear & (heights >= max(_LOWEST * usual, _LEAST_HEIGHT))
    found = np.zeros(strokes.count, dtype=np.bool_)
    if not _LEAST_DIGITS <= np.count_nonzero(digits) <= _MOST_DIGITS:
        return found
    on_rim = np.flatnonzero(strokes.on_rim)
    is_tall = heights > _TALLEST * usual
    found[on_rim] = is_tall[on_rim] | ~are_on_one_line(strokes.boxes[on_rim], strokes.boxes[digits]).any(axis=1)
    if not found.any():
        return found
    rim = rim_of(strokes.numbers)
    contact = np.bincount(rim[rim >= 0], minlength=strokes.count)
    found &= _are_solid(strokes, digits) | (is_tall & (contact >= _ALONG * heights))
    is_little = strokes.areas <= _AS_MUCH * strokes.areas[digits].sum()
    return np.asarray(found & (is_little | (contact >= _ALL_ALONG * (heights + widths))))


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
