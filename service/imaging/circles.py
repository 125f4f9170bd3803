"""Finds the digits that a line goes around: a circle or a box, perhaps not quite closed, or cut by the picture's rim.

A zero with a detached slash looks nearly the same, but is not such a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.imaging.form import grown
from service.imaging.strokes import reached_from_rim

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.strokes import Mask, Strokes

LEAST_MARKED = 0.4  # of the size of the line around or below it: a digit is larger, a dot in a zero is not
# Width by length. The slash of a zero is at most this wide, and so is a 1 in a closed line; but the line around a 1 is
# rounder than a zero, or the 1 is upright. Of 249 made-up detached slashes 159 are recognised; of 250 made-up 1s in
# circles, which lean as a slash does, 3 are taken for a slash.
_STRAIGHT, _OVAL = 1 / 3, 0.85
_STEEPEST_IN_OVAL, _STEEPEST_IN_CIRCLE = 80.0, 45.0  # degrees
_GAP = 2  # pixels by which each end of a line around a digit may miss the point where they would meet


def marked_by(strokes: Strokes, line: int, kept: Mask, sizes: NDArray[np.int64]) -> Mask:
    """Find the kept strokes that one stroke goes around, if a digit is among them; none otherwise.

    Args:
        strokes: All strokes of the page.
        line: The number of the stroke that may be a mark.
        kept: (strokes,), which of them count.
        sizes: (strokes,), in pixels, to tell a digit from a dot in a zero.
    """
    boxes = strokes.boxes
    inside = kept & (boxes[:, :2] > boxes[line, :2]).all(axis=1) & (boxes[:, 2:] < boxes[line, 2:]).all(axis=1)
    large = sizes >= LEAST_MARKED * sizes[line]
    if not (inside & large).any():
        return np.zeros_like(kept)
    found = inside & ~_reached(strokes, line, rim_closes=False)
    is_cut_off = not (found & large).any() and bool(strokes.on_rim[line])
    if is_cut_off:
        found = inside & ~_reached(strokes, line, rim_closes=True)
        heights = boxes[:, 2] - boxes[:, 0]
        large &= heights >= LEAST_MARKED * heights[line]  # in a 7 cropped to its edges, the bar may be detached
    marked = np.flatnonzero(found & large)
    if len(marked) == 0 or (len(marked) == 1 and _is_slash(strokes, int(marked[0]), line, is_whole=not is_cut_off)):
        return np.zeros_like(kept)
    return found


def _reached(strokes: Strokes, line: int, *, rim_closes: bool) -> Mask:
    """Which of all strokes can be reached from outside the line: it does not enclose them.

    With `rim_closes` the picture's rim encloses, too, as if the line went on beyond it.
    """
    top, left = np.maximum(strokes.boxes[line, :2] - _GAP - 1, 0)
    bottom, right = np.minimum(strokes.boxes[line, 2:] + _GAP + 1, strokes.shape)
    numbers = strokes.numbers[top:bottom, left:right]
    closed = numbers == line
    for _ in range(_GAP):
        closed = grown(closed)
    if rim_closes:
        closed[0] |= top == 0
        closed[:, 0] |= left == 0
        closed[-1] |= bottom == strokes.shape[0]
        closed[:, -1] |= right == strokes.shape[1]
    reached = np.zeros(strokes.count, dtype=np.bool_)
    reached[numbers[reached_from_rim(~closed) & (numbers >= 0)]] = True
    return reached


def _is_slash(strokes: Strokes, stroke: int, around: int, *, is_whole: bool) -> bool:
    """Whether a stroke inside another one is the slash of a zero rather than a 1: straight, and slanted.

    The roundness of the outer one says nothing if it is not whole.
    """
    round_as, _ = _axes(strokes.numbers == around)
    straight_as, angle = _axes(strokes.numbers == stroke)
    steepest = _STEEPEST_IN_OVAL if is_whole and round_as < _OVAL else _STEEPEST_IN_CIRCLE
    return straight_as < _STRAIGHT and angle < steepest


def _axes(mask: Mask) -> tuple[float, float]:
    """The mask's width by its length, along its principal axes, and the longer axis' angle to the rows in degrees."""
    rows, columns = np.nonzero(mask)
    variances, axes = np.linalg.eigh(np.cov(columns, rows))
    across, down = np.abs(axes[:, 1])
    return float(np.sqrt(max(variances[0], 0) / variances[1])), float(np.degrees(np.arctan2(down, across)))
