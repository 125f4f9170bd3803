"""Takes the lines that were there before the digit out of an ink mask: frames and ruled paper.

It errs on the side of the digit: what could be a stroke of one stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.strokes import connected_strokes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

# A frame's side lies within this share of the frame, tilted a little, and is inked almost all
# along. A round 0 is inked along half of that strip.
_STRIP = 0.08
_FRAME_COVERAGE = 0.85
_SOFT_EDGE = 1  # a line's soft edge may ink a pixel of the next row here and there
_LINE_COVERAGE = 0.9  # of the picture's width or height, for a ruled line
_LEAST_INSIDE = 0.25  # of the frame's height: less inside is no digit, so the frame is one
_THICKEST = 0.06  # of the picture, for a ruled line
_LEAST_MARGIN = 0.03  # of the picture, around a digit on ruled paper


def without_rulings(mask: Mask) -> Mask:
    """Remove a frame around the digit, then ruled lines from edge to edge.

    Args:
        mask: (height, width), true where there is ink.

    Returns:
        The mask without them; the mask itself if nothing like a digit would be left.
    """
    return _without_lines(_without_frame(mask))


def _without_frame(mask: Mask) -> Mask:
    """Keep what is inside the largest stroke, if that stroke is the outline of a rectangle."""
    strokes = connected_strokes(mask)
    sides = strokes.boxes[:, 2:] - strokes.boxes[:, :2]
    largest = int(np.argmax(sides.prod(axis=1)))
    top, left, bottom, right = strokes.boxes[largest]
    framed = mask[top:bottom, left:right]
    turned = [np.rot90(framed, turns) for turns in range(4)]
    if min(_side_coverage(view) for view in turned) < _FRAME_COVERAGE:
        return mask
    upper, right_side, lower, left_side = (_side_thickness(view) for view in turned)
    inside = np.zeros_like(mask)
    rows = slice(top + upper + _SOFT_EDGE, bottom - lower - _SOFT_EDGE)
    columns = slice(left + left_side + _SOFT_EDGE, right - right_side - _SOFT_EDGE)
    inside[rows, columns] = mask[rows, columns]
    height = np.ptp(np.flatnonzero(inside.any(axis=1)), axis=0) if inside.any() else 0
    return inside if height >= _LEAST_INSIDE * sides[largest, 0] else mask


def _side_coverage(view: Mask) -> float:
    """The share of the columns that are inked within the uppermost strip."""
    return float(view[: max(2, round(_STRIP * len(view)))].any(axis=0).mean())


def _side_thickness(view: Mask) -> int:
    """How many rows from the top belong to the frame's upper side."""
    inked = view[: len(view) // 4].mean(axis=1) > _FRAME_COVERAGE / 2
    if not inked.any():
        return 0
    first = int(np.argmax(inked))
    return first + int(np.argmin(np.append(inked[first:], np.False_)))


def _without_lines(mask: Mask) -> Mask:
    """Remove lines from edge to edge, if there are two or more and the digit stands clear."""
    across, upright = _lines(mask), _lines(mask.T)
    if len(across) + len(upright) < 2:
        return mask
    kept = _cut(_cut(mask, across).T, upright).T
    return kept if _stands_clear(kept) else mask


def _lines(mask: Mask) -> list[tuple[int, int]]:
    """First and one past the last row of every thin line that spans the width."""
    spans = np.pad(mask.mean(axis=1) >= _LINE_COVERAGE, 1).astype(np.int8)
    steps = np.diff(spans)
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    thickest = max(2.0, _THICKEST * len(mask))
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True) if b - a <= thickest]


def _cut(mask: Mask, lines: list[tuple[int, int]]) -> Mask:
    """Remove the lines, but not where a stroke crosses: ink above and below."""
    kept = mask.copy()
    for first, end in lines:
        # The soft edges of a line reach a pixel further than the rows that it fills.
        above, below = max(first - 1, 0), min(end + 1, len(mask))
        crossed = mask[max(above - 1, 0)] & mask[min(below, len(mask) - 1)]
        kept[above:below] &= crossed
    return kept


def _stands_clear(mask: Mask) -> bool:
    """Tell whether what is left has a digit's height, and a margin on every side."""
    strokes = connected_strokes(mask)
    if not strokes.areas.size:
        return False
    height, width = mask.shape
    top, left, bottom, right = strokes.boxes[int(np.argmax(strokes.areas))]
    margin = min(top / height, left / width, 1 - bottom / height, 1 - right / width)
    return bool(margin >= _LEAST_MARGIN and bottom - top >= _LEAST_INSIDE / 2 * height)
