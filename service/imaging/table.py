"""Finds the sheet on a picture that shows the table around it, or any other edge that differs from the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.imaging.strokes import connected_strokes, rim_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.form import Box

    Mask = NDArray[np.bool_]

# A table along one short side of a picture touches a fifth of its rim.
_LEAST_CONTACT = 0.18
_LEAST_SHEET = 0.3  # of the picture's height and width
# Of all pixels that are not table. Measured: sheets hold 0.98 and more. A piece of a thick stroke, in a picture cropped
# to the digit so that the paper looks like a table, holds up to 0.57.
_LEAST_HELD = 0.7
_SOFT_EDGE = 2  # pixels of the sheet next to the table that lie half in its shadow


def sheet_in(mask: Mask) -> Box | None:
    """Find the sheet inside of ink that runs along the picture's rim.

    Args:
        mask: (height, width), true where the picture differs from the paper.

    Returns:
        Top, left, bottom, right of the largest part without such ink; None if there is no such ink, or no such part,
        or if much that is not table lies outside of it.
    """
    table = _table(mask)
    if table is None:
        return None
    height, width = mask.shape
    top, left, bottom, right = 0, 0, height, width
    while bottom - top >= _LEAST_SHEET * height and right - left >= _LEAST_SHEET * width:
        inside = table[top:bottom, left:right]
        sides = [float(side.mean()) for side in (inside[0], inside[:, 0], inside[-1], inside[:, -1])]
        most = int(np.argmax(sides))
        if not sides[most]:
            holds_most = inside.size >= _LEAST_HELD * np.count_nonzero(~table)
            return _without_soft_edge((top, left, bottom, right), mask.shape) if holds_most else None
        top, left = top + (most == 0), left + (most == 1)
        bottom, right = bottom - (most == 2), right - (most == 3)
    return None


def _table(mask: Mask) -> Mask | None:
    """The connected ink that lies along enough of the rim."""
    rim = rim_of(mask)
    if rim.mean() < _LEAST_CONTACT:
        return None
    numbers = connected_strokes(mask).numbers
    on_rim = rim_of(numbers)
    contacts = np.bincount(on_rim[on_rim >= 0])
    tables = np.flatnonzero(contacts >= _LEAST_CONTACT / 2 * rim.size)
    found = np.isin(numbers, tables)
    return found if found.any() else None


def _without_soft_edge(box: Box, shape: tuple[int, ...]) -> Box | None:
    """Draw in the sides that are not the picture's own; None if nothing is left, as on a strip of a few pixels."""
    top, left, bottom, right = box
    height, width = shape
    top, left = top + _SOFT_EDGE * (top > 0), left + _SOFT_EDGE * (left > 0)
    bottom, right = bottom - _SOFT_EDGE * (bottom < height), right - _SOFT_EDGE * (right < width)
    return (top, left, bottom, right) if top < bottom and left < right else None
