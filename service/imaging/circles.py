"""Finds the digits inside a line around them: a circle or a box, perhaps not quite closed, or cut by the picture's rim.

A zero whose slash stands apart looks nearly the same, and is no such line.
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
# Inside a closed line, the slash of a zero has at most this width by its length, and so has a 1. But the line around a
# 1 is rounder than a zero, or the 1 is upright. Of 249 made-up slashes that stand apart 159 are recognised; of 250
# made-up 1s in circles, which lean as a slash does, 3 are taken for one.
_STRAIGHT, _OVAL = 1 / 3, 0.85
_STEEPEST_IN_OVAL, _STEEPEST_IN_CIRCLE = 80.0, 45.0  # degrees
_GAP = 2  # pixels that both ends of a line around a digit may be from where they meet


def marked_by(strokes: Strokes, line: int, kept: Mask, sizes: NDArray[np.int64]) -> Mask:
    """Of the kept strokes those that one stroke goes around, if a digit is among them; none otherwise.

    Args:
        strokes: All there are.
        line: The number of the stroke that may be a mark.
        kept: (strokes,), which of them count.
        sizes: (strokes,), by which a digit is told from a dot in a zero.
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
        large &= heights >= LEAST_MARKED * heights[line]  # the bar of a 7 that is cropped to its edges may be apart
    marked = np.flatnonzero(found & large)
    if len(marked) == 0 or (len(marked) == 1 and _is_slash(strokes, int(marked[0]), line, is_whole=not is_cut_off)):
        return np.zeros_like(kept)
    return found


def _reached(strokes: Strokes, line: int, *, rim_closes: bool) -> Mask:
    """Which strokes (of all) something comes to from outside of the line, that it does not close in.

    With `rim_closes` nothing comes over the picture's rim, as if the line went on beyond it.
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
    """Whether a stroke that another one goes around is the slash of a zero rather than a 1: straight, and aslant.

    How round a line is tells nothing if it is not whole.
    """
    round_as, _ = _axes(strokes.numbers == around)
    straight_as, angle = _axes(strokes.numbers == stroke)
    steepest = _STEEPEST_IN_OVAL if is_whole and round_as < _OVAL else _STEEPEST_IN_CIRCLE
    return straight_as < _STRAIGHT and angle < steepest


def _axes(mask: Mask) -> tuple[float, float]:
    """How wide the mask is by how long, both along its own axes, and the longer one's angle to the rows in degrees."""
    rows, columns = np.nonzero(mask)
    variances, axes = np.linalg.eigh(np.cov(columns, rows))
    across, down = np.abs(axes[:, 1])
    return float(np.sqrt(max(variances[0], 0) / variances[1])), float(np.degrees(np.arctan2(down, across)))
