"""Removes lines that were there before the digit from an ink mask: ruled and squared paper, boxes, form lines.

It errs on the side of the digit: a line that could be a stroke stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.imaging.ruled_lines import BRIDGED, MEETS, SOFT_EDGE, STEEPEST, lines_of, meeting_distance
from service.imaging.strokes import connected_strokes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.ruled_lines import Line

    Mask = NDArray[np.bool_]

_LEAST_HEIGHT = 0.125  # of the mask: the least height of a digit on ruled paper
_LEAST_INSIDE = 0.25  # of a box: the least size of a digit in it
# A digit cropped to its edges has strokes from edge to edge, too; then the rest of it fills the picture.
_LEAST_MARGIN = 0.03
_FILLS = 0.6
_SURELY_PAPER = 4  # lines from edge to edge: no digit has as many
_MANY = 6  # lines below each other, wherever they end: no digit has as many
_LEAST_LEFT = 0.05  # of the mask: smaller ink on what is surely paper is a bit of its lines


def without_rulings(mask: Mask) -> Mask:
    """Remove lines that meet the picture's edge or another such line at both ends, and many below each other.

    No stroke of a digit does so, unless the digit is a box itself or fills the picture; and no digit has so many lines.

    Args:
        mask: (height, width), true where there is ink.

    Returns:
        The mask without them; the mask itself if nothing like a digit would be left.
    """
    across, upright = _supported(*lines_of(mask), mask.shape)
    if not across and not upright:
        return mask
    kept = _cut(_cut(mask, across).T, upright).T
    return kept if _is_digit_left(kept, across, upright) else mask


def is_ruled(mask: Mask) -> bool:
    """Tell whether there are lines that `without_rulings` removes if a digit is left."""
    return any(_supported(*lines_of(mask), mask.shape))


def are_all_there_is(mask: Mask) -> bool:
    """Tell whether nothing but rulings is there: lines from edge to edge, more than any digit has, and bits of them.

    Lines along the picture's own edges do not count: they may be the sides of a square zero that fills it.
    """
    across, upright = _supported(*lines_of(mask), mask.shape)
    height, width = mask.shape
    if _from_edge_to_edge(_within(across, height), _within(upright, width), mask.shape) < _SURELY_PAPER:
        return False
    boxes = connected_strokes(_cut(_cut(mask, across).T, upright).T).boxes
    return bool((boxes[:, 2:] - boxes[:, :2]).max(initial=0) < _LEAST_LEFT * max(mask.shape))


def may_be_ruled(mask: Mask) -> bool:
    """Tell whether `is_ruled` might hold on a closer look."""
    across, upright = lines_of(mask)
    return len(across) + len(upright) > 1 or any(_supported(across, upright, mask.shape))


def _supported(across: list[Line], upright: list[Line], shape: tuple[int, ...]) -> tuple[list[Line], list[Line]]:
    """Repeatedly leave out lines with an end that meets nothing; if none is left, keep many below each other."""
    many = _many(across, upright)
    near = meeting_distance(shape)
    height, width = shape
    while True:
        kept_across = [line for line in across if _both_ends_meet(line, upright, width, near)]
        kept_upright = [line for line in upright if _both_ends_meet(line, across, height, near)]
        if len(kept_across) == len(across) and len(kept_upright) == len(upright):
            return across or many, upright
        across, upright = kept_across, kept_upright


def _many(across: list[Line], upright: list[Line]) -> list[Line]:
    """The lines below each other of like slope and thickness, if they are many: faint rulings, seen in pieces."""
    if upright or len(across) < _MANY:
        return []
    thin = np.median([line.thickness for line in across]) + SOFT_EDGE
    alike = [line for line in across if line.thickness <= thin]
    apart = np.count_nonzero(np.diff(np.sort([line.row for line in alike])) > 2 * BRIDGED)
    return alike if apart + 1 >= _MANY and np.ptp([line.slope for line in alike]) <= STEEPEST else []


def _both_ends_meet(line: Line, crossing: list[Line], length: int, near: float) -> bool:
    """Tell whether each end meets the edge of a picture of that length, or one of the crossing lines."""
    first, last = line.left, line.right - 1
    return (first <= near or any(_meets(line, first, other, near) for other in crossing)) and (
        last >= length - 1 - near or any(_meets(line, last, other, near) for other in crossing)
    )


def _meets(line: Line, column: int, crossing: Line, near: float) -> bool:
    """Tell whether the line, at that column, lies on a crossing line, whose rows are columns here."""
    row = line.row_at(column)
    if not crossing.left - near <= row <= crossing.right - 1 + near:
        return False
    return abs(crossing.row_at(row) - column) <= near + crossing.thickness / 2


def _cut(mask: Mask, lines: list[Line]) -> Mask:
    """Remove the lines, but not where a stroke crosses: ink above and below."""
    kept = mask.copy() if lines else mask
    for line in lines:
        columns = np.arange(line.left, line.right)
        middle = line.rows_at(columns)
        # The soft edges of a line reach a pixel further than the rows that it fills.
        reach = line.thickness / 2 + SOFT_EDGE
        first, last = np.ceil(middle - reach).astype(int), np.floor(middle + reach).astype(int)
        crossed = _inked(mask, first - 1, columns) & _inked(mask, last + 1, columns)
        for row in range(max(int(first.min()), 0), min(int(last.max()) + 1, len(mask))):
            kept[row, columns] &= (row < first) | (row > last) | crossed
    return kept


def _inked(mask: Mask, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Mask:
    """Tell where a stroke, upright or aslant, reaches these places; outside of the mask none does."""
    inside = (rows >= 0) & (rows < len(mask))
    there = mask[np.clip(rows, 0, len(mask) - 1), columns] & inside
    padded = np.pad(there, 1)
    return np.asarray(padded[:-2] | padded[1:-1] | padded[2:])


def _is_digit_left(kept: Mask, across: list[Line], upright: list[Line]) -> bool:
    """Tell whether the ink left is as large as a digit, and not part of a digit that fills the picture."""
    strokes = connected_strokes(kept)
    if not strokes.areas.size:
        return False
    height, width = kept.shape
    top, left, bottom, right = (int(edge) for edge in strokes.boxes[int(np.argmax(strokes.areas))])
    size = max(bottom - top, right - left)
    from_edge_to_edge = _from_edge_to_edge(across, upright, kept.shape)
    if from_edge_to_edge >= _SURELY_PAPER or _many(across, upright):
        return bool(size >= _LEAST_LEFT * height)
    if not from_edge_to_edge:
        # In a row of boxes, some lines are as long as the row, but those in the other direction as long as one box.
        box = min(max(line.length for line in lines) for lines in (across, upright) if lines)
        return size >= _LEAST_INSIDE * box
    clear = min(top / height, left / width, 1 - bottom / height, 1 - right / width) >= _LEAST_MARGIN
    small = max((bottom - top) / height, (right - left) / width) < _FILLS
    return bool(size >= _LEAST_HEIGHT * height and (clear or small))


def _from_edge_to_edge(across: list[Line], upright: list[Line], shape: tuple[int, ...]) -> int:
    """How many of the lines go from one edge of the picture to the other."""
    height, width = shape
    spans = [line.length / width for line in across] + [line.length / height for line in upright]
    return sum(span >= 1 - 2 * MEETS for span in spans)


def _within(lines: list[Line], height: int) -> list[Line]:
    """Those of the lines that do not run along the edges of a picture of that height."""
    near = meeting_distance((height,))
    return [line for line in lines if near < line.row_at((line.left + line.right) / 2) < height - 1 - near]
