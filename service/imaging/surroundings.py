"""Tells the surroundings of a sheet with a number on it, such as a corner of the table, from digits that meet the rim.

`island` and `table` find the sheet itself, if its surroundings are of one kind or run along the rim.
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

# It takes at least two digits clear of the rim to tell how high digits are, and how wide the pen is. Strokes lower than
# `_LEAST_HEIGHT` pixels are specks. More than `_MOST_DIGITS` are a pattern: comparing each with every stroke on the rim
# would take memory in proportion to the product of their numbers.
_LEAST_DIGITS, _MOST_DIGITS, _LEAST_HEIGHT = 2, 1000, 12
_LOWEST, _TALLEST = 0.6, 1.5  # a digit's height by the usual height: people write small 0s beside tall 7s
# Widths of the pen. In numbers cropped so tightly that digits are cut, thick digits beside thin ones have up to 2.5.
_PENS = 3.0
_ALONG = 0.5  # of a stroke's height, in contact with the rim: a line of the paper; digits cut lengthwise have less
# A stroke with much more ink than all digits clear of the rim may be a tightly cropped number in marker, beside specks.
# Then it counts as surroundings only if this share of its height plus width lies along the rim: a corner of the table
# has 0.75 and more, a 7 has 0.58.
_AS_MUCH, _ALL_ALONG = 4.0, 0.65


def are_surroundings(strokes: Strokes) -> Mask:
    """Which strokes are no digit's: (strokes,) those on the rim much wider than the pen, or tall and along the rim.

    A stroke beside a digit, and no taller, still counts as a digit, since numbers are cropped tightly, too.
    """
    heights, widths = (strokes.boxes[:, 2:] - strokes.boxes[:, :2]).T
    is_clear = ~strokes.on_rim
    usual_height = strokes.usual_height(np.flatnonzero(is_clear)) if is_clear.any() else 0.0
    is_digit = is_clear & (heights >= max(_LOWEST * usual_height, _LEAST_HEIGHT))
    if not _LEAST_DIGITS <= np.count_nonzero(is_digit) <= _MOST_DIGITS:
        return np.zeros(strokes.count, dtype=np.bool_)
    is_tall = heights > _TALLEST * usual_height
    is_candidate = strokes.on_rim & (is_tall | ~_are_beside(strokes, is_digit))
    if not is_candidate.any():
        return np.asarray(is_candidate)
    rim = rim_of(strokes.numbers)
    contact = np.bincount(rim[rim >= 0], minlength=strokes.count)
    is_thick = _are_thick(strokes, is_digit)
    runs_along = is_tall & (contact >= _ALONG * heights)
    is_much_ink = strokes.areas > _AS_MUCH * strokes.areas[is_digit].sum()
    is_number_in_marker = is_much_ink & (contact < _ALL_ALONG * (heights + widths))
    return np.asarray(is_candidate & (is_thick | runs_along) & ~is_number_in_marker)


def _are_beside(strokes: Strokes, is_digit: Mask) -> Mask:
    """Which strokes on the rim are on one line with a digit; the others are not compared, to save memory."""
    on_rim = strokes.on_rim
    is_beside = np.zeros(strokes.count, dtype=np.bool_)
    is_beside[on_rim] = are_on_one_line(strokes.boxes[on_rim], strokes.boxes[is_digit]).any(axis=1)
    return is_beside


def _are_thick(strokes: Strokes, is_digit: Mask) -> Mask:
    """Which strokes are somewhere as wide as several pens; a pen is twice the digits' area over their outline."""
    mask = strokes.mask_of(is_digit)
    steps = np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    outline = np.pi / 4 * steps  # right for a circle; a staircase of pixels has more steps than the line is long
    pen = 2 * np.count_nonzero(mask) / outline
    numbers = strokes.numbers
    inner = ~grown_by(numbers < 0, round(_PENS * pen / 2))
    is_thick = np.zeros(strokes.count, dtype=np.bool_)
    is_thick[numbers[inner]] = True
    return is_thick
