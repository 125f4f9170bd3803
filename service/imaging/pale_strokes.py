"""Finds where a stroke continues too pale for the threshold: a pen running dry, a light hand, a lamp's reflection.

Paler ink counts where it continues ink that is over the threshold: hysteresis (Canny, 1986). It must reach that ink at
two places, because folds of paper and shadows may begin at a stroke, but lead nowhere.
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

# Chosen on pictures that strangers had published: following pale strokes gains one of 1,727 single digits and three of
# 145 numbers, and loses none; and on 26,400 pictures of made-up kinds, of which it loses one, and 4,500 with folds and
# shadows, of which it loses three. Without `_LONG` one more of the 26,400 is lost, without the check for rulings four
# more, and without `_LEADING` five more of the 4,500.
_PALE = 0.3  # of the threshold
_SOFTEST = 4  # pixels; with wider edges nothing is added: they are pale themselves, and growing by more takes time
_LONG = 2.0  # times the usual stroke width: a shorter one lies between two soft edges
_LEADING = 0.25  # of the area of all long pale strokes: where less leads on, they are folds or shadows
_MOST = 0.25  # of the area of the mask that may be digits: more pale ink is a shadow


def with_pale_strokes(ink: Ink, mask: Mask) -> tuple[Ink, Mask]:
    """Add pale continuations of strokes to the ink, and to `mask`, the part of its mask that may be a digit.

    Returns:
        The ink and the mask (height, width), with the soft ink of pale strokes as full as that of other strokes; the
        same objects as given if no stroke continues.
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
    """Which pale strokes connect two places of the mask, and are no thicker than its own; none if too few do."""
    width = _width_of(mask)
    long = (pale.boxes[:, 2:] - pale.boxes[:, :2]).max(axis=1) >= _LONG * width
    leading_on = long.copy()
    if long.any():
        pale_mask = pale.numbers >= 0
        leading_on[pale.numbers[~grown_by(~pale_mask, round(width / 2))]] = False  # too thick there for a stroke
        places = pale_mask & grown_by(mask, edge + 1)
        connected = connected_strokes(places)  # each is a part of one pale stroke
        owners = np.zeros(connected.count, dtype=np.int64)
        owners[connected.numbers[places]] = pale.numbers[places]
        leading_on &= np.bincount(owners, minlength=pale.count) > 1
    are_enough = pale.areas[leading_on].sum() >= _LEADING * pale.areas[long].sum()
    return leading_on if are_enough else np.zeros_like(leading_on)


def _width_of(mask: Mask) -> float:
    """The usual width of a mask's strokes: twice their area over the number of their edge pixels."""
    edge = int(np.count_nonzero(mask & grown(~mask)))
    return 2 * int(np.count_nonzero(mask)) / max(edge, 1)
