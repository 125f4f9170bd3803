"""Finds where a stroke goes on too pale for one threshold: a pen that runs dry, a light hand, a lamp's reflection.

Paler ink counts where it leads on from the ink that is over the threshold: hysteresis (Canny, 1986). It has to come to
the ink at two places, because folds of paper and shadows may begin at a stroke, but lead nowhere.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from service.imaging.form import grown, grown_by
from service.imaging.rulings import is_ruled
from service.imaging.strokes import connected_strokes

if TYPE_CHECKING:
    from service.imaging.paper import Ink, Mask
    from service.imaging.strokes import Strokes

# Chosen on 1,727 pictures of single digits and 145 of numbers that strangers had published, of which one and three are
# read that were not, and all that were; and on 26,400 pictures of made-up kinds and 4,500 that have folds and shadows,
# of which one and three are lost. Without `_LONG` one more of the 26,400 is, and four more if rulings may be strokes;
# without `_LEADING` five more of the 4,500.
_PALE = 0.3  # of the threshold
_SOFTEST = 4  # pixels that edges may be wide: they are pale themselves, and growing by more takes time
_LONG = 2.0  # by the usual width of strokes: less is between two soft edges
_LEADING = 0.25  # of the area of all that is pale and long: where less leads on, there are folds or shadows
_MOST = 0.25  # of the area of what may be a digit, or several: more is a shadow


def with_pale_strokes(ink: Ink, mask: Mask) -> tuple[Ink, Mask]:
    """Add what goes on pale to the ink, and to the part of its mask that may be a digit.

    Returns:
        The ink and the mask (height, width), with soft ink as full as that over the threshold where it was pale; the
        very ones that were given if nothing goes on.
    """
    least = max(_PALE * ink.threshold, ink.peak_of_noise)
    edge = max(1, math.ceil(ink.edge_width))
    if least >= ink.threshold or edge > _SOFTEST:
        return ink, mask
    pale_mask = ink.strength > np.float32(least)
    strokes = connected_strokes(pale_mask & ~grown_by(ink.mask, edge))
    leading_on = _leading_on(strokes, mask, edge)
    if not leading_on.any():
        return ink, mask
    found = grown_by(strokes.mask_of(leading_on), edge + 1) & pale_mask & ~ink.mask
    if np.count_nonzero(found) > _MOST * np.count_nonzero(mask) or is_ruled(pale_mask):
        return ink, mask
    soft = np.clip(ink.strength / np.float32(least) - np.float32(0.5), 0, 1)
    return replace(ink, mask=ink.mask | found, soft=np.where(found, soft, ink.soft)), mask | found


def _leading_on(pale: Strokes, mask: Mask, edge: int) -> Mask:
    """Which pale strokes lead from one place of the mask to another, no thicker than its own; none if too few do."""
    width = _width_of(mask)
    long = (pale.boxes[:, 2:] - pale.boxes[:, :2]).max(axis=1) >= _LONG * width
    leading_on = long.copy()
    if long.any():
        pale_mask = pale.numbers >= 0
        leading_on[pale.numbers[~grown_by(~pale_mask, round(width / 2))]] = False  # there it is thicker
        places = pale_mask & grown_by(mask, edge + 1)
        connected = connected_strokes(places)  # each lies in one pale stroke, since they are parts of them
        owners = np.zeros(connected.count, dtype=np.int64)
        owners[connected.numbers[places]] = pale.numbers[places]
        leading_on &= np.bincount(owners, minlength=pale.count) > 1
    are_enough = pale.areas[leading_on].sum() >= _LEADING * pale.areas[long].sum()
    return leading_on if are_enough else np.zeros_like(leading_on)


def _width_of(mask: Mask) -> float:
    """The usual width of a mask's strokes: twice the area by the number of pixels on their edges."""
    edge = int(np.count_nonzero(mask & grown(~mask)))
    return 2 * int(np.count_nonzero(mask)) / max(edge, 1)
