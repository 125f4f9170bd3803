"""Takes the lines that were there before the digit out of an ink mask: ruled and squared paper, boxes, form lines.

It errs on the side of the digit: what could be a stroke of one stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from service.imaging.runs import thin_runs
from service.imaging.strokes import Strokes, connected_strokes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

# Shares of the mask's longer side. A line tilted by 5 degrees and a pixel thick is a stair of runs of 11 pixels.
_LEAST_RUN = 0.07
_THICKEST = 0.04
# An end of a line this near to an edge or to another line meets it; a share of the shorter side: on the picture of a
# whole number upright strokes are nearly as high as that.
_MEETS = 0.03
_BRIDGED = 3  # pixels that a line may miss, where it is faint
_SOFT_EDGE = 1  # a line's soft edge may ink a pixel of the next row here and there
_STEEPEST = 0.12  # a line's rise by its length: 7 degrees
_LEAST_LENGTH = 0.2  # of the mask along the line: the sides of boxes in a row are short by the row's length

_LEAST_HEIGHT = 0.125  # of the mask, for what is left to be a digit on ruled paper
_LEAST_INSIDE = 0.25  # of a box, for what is left to be a digit in it
# A digit cropped to its edges has strokes from edge to edge, too; then the rest of it fills the picture.
_LEAST_MARGIN = 0.03
_FILLS = 0.6
_SURELY_PAPER = 4  # lines from edge to edge: no digit has as many
_MANY = 6  # lines below each other, wherever they end: no digit has as many
_LEAST_LEFT = 0.05  # of the mask: less beside what is surely paper is a bit of its lines


@dataclass(frozen=True)
class _Line:
    """A straight, thin piece of ink that runs across; of an upright one the mask was transposed.

    Attributes:
        left, right: Its first column and the one past its last.
        row: Of its middle, at its first column.
        slope: Rows by columns.
        thickness: In pixels.
    """

    left: int
    right: int
    row: float
    slope: float
    thickness: float

    @property
    def length(self) -> int:
        return self.right - self.left

    def row_at(self, column: float) -> float:
        """The row of its middle at a column."""
        return self.row + self.slope * (column - self.left)

    def rows_at(self, columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same at several columns."""
        return np.asarray(self.row + self.slope * (columns - self.left), dtype=np.float64)


def without_rulings(mask: Mask) -> Mask:
    """Remove lines of which each end meets the picture's edge or another such line, and many below each other.

    No stroke of a digit does that at both ends, unless it is a box itself or fills the picture; and none has as many.

    Args:
        mask: (height, width), true where there is ink.

    Returns:
        The mask without them; the mask itself if nothing like a digit would be left.
    """
    across, upright = _supported(*_lines_of(mask), mask.shape)
    if not across and not upright:
        return mask
    kept = _cut(_cut(mask, across).T, upright).T
    return kept if _is_digit_left(kept, across, upright) else mask


def is_ruled(mask: Mask) -> bool:
    """Tell whether there are lines that `without_rulings` removes if a digit is left."""
    return any(_supported(*_lines_of(mask), mask.shape))


def are_all_there_is(mask: Mask) -> bool:
    """Tell whether nothing but rulings is there: lines from edge to edge, more than any digit has, and bits of them.

    Lines along the picture's own edges do not count: they may be those of a square zero that fills it.
    """
    across, upright = _supported(*_lines_of(mask), mask.shape)
    height, width = mask.shape
    if _from_edge_to_edge(_within(across, height), _within(upright, width), mask.shape) < _SURELY_PAPER:
        return False
    boxes = connected_strokes(_cut(_cut(mask, across).T, upright).T).boxes
    return bool((boxes[:, 2:] - boxes[:, :2]).max(initial=0) < _LEAST_LEFT * max(mask.shape))


def may_be_ruled(mask: Mask) -> bool:
    """Tell whether, seen from closer, `is_ruled` might hold."""
    across, upright = _lines_of(mask)
    return len(across) + len(upright) > 1 or any(_supported(across, upright, mask.shape))


def _lines_of(mask: Mask) -> tuple[list[_Line], list[_Line]]:
    """The lines across and the upright ones."""
    side = max(mask.shape)
    sizes = max(3, round(_THICKEST * side)), round(_LEAST_RUN * side), _BRIDGED
    across, upright = thin_runs(mask, *sizes), thin_runs(mask.T, *sizes)
    return _lines(across, mask), _lines(upright, mask.T)


def _lines(runs: Mask, mask: Mask) -> list[_Line]:
    """Find the lines that run across: thin, straight pieces, joined where one goes on behind a stroke."""
    if not runs.any():
        return []
    pieces = connected_strokes(runs)
    found = [_piece(pieces, number) for number in np.argsort(pieces.boxes[:, 1], kind="stable").tolist()]
    lines = _joined([piece for piece in found if piece and abs(piece.slope) <= _STEEPEST])
    lines = [_lengthened(line, mask) for line in lines]
    return [line for line in lines if line.length >= _LEAST_LENGTH * mask.shape[1]]


def _piece(pieces: Strokes, number: int) -> _Line | None:
    """Fit a line to a piece; a stroke that runs along a part of it does not pull it. None if the piece is bent."""
    top, left, bottom, right = pieces.boxes[number].tolist()
    pixels = pieces.numbers[top:bottom, left:right] == number
    first = pixels.argmax(axis=0)
    thicknesses = pixels.sum(axis=0)
    thickness = np.partition(thicknesses, len(thicknesses) // 4)[len(thicknesses) // 4]
    plain = np.flatnonzero((thicknesses <= thickness) & (thicknesses > 0))
    middles = first[plain] + (thicknesses[plain] - 1) / 2
    apart, middle = plain - plain.mean(), float(middles.mean())
    slope = float(apart @ middles) / max(float(apart @ apart), 1.0)
    off = np.abs(middles - middle - slope * apart)
    if np.count_nonzero(off > _SOFT_EDGE + thickness / 2) > len(off) / 4:
        return None
    return _Line(left, right, top + middle - slope * float(plain.mean()), slope, float(thickness))


def _joined(pieces: list[_Line]) -> list[_Line]:
    """Join the pieces, sorted by their left ends, that continue each other."""
    lines: list[_Line] = []
    for piece in pieces:
        for index, line in enumerate(lines):
            off = abs(line.row_at(piece.left) - piece.row)
            if piece.left >= line.right and off <= _SOFT_EDGE + (line.thickness + piece.thickness) / 2:
                lines[index] = _with_piece(line, piece)
                break
        else:
            lines.append(piece)
    return lines


def _with_piece(line: _Line, piece: _Line) -> _Line:
    """The line from the left end of one to the right end of the other."""
    length = piece.right - line.left
    slope = (piece.row_at(piece.right) - line.row) / length
    return _Line(line.left, piece.right, line.row, slope, min(line.thickness, piece.thickness))


def _lengthened(line: _Line, mask: Mask) -> _Line:
    """Follow the line to both sides, under the strokes that hide it, for as long as there is ink."""
    height, width = mask.shape
    columns = np.arange(width)
    rows = np.clip(np.rint(line.rows_at(columns)).astype(int), 0, height - 1)
    inked = mask[rows, columns]
    inked |= mask[np.maximum(rows - 1, 0), columns] | mask[np.minimum(rows + 1, height - 1), columns]
    places = np.flatnonzero(inked)
    ends = np.flatnonzero(np.diff(places) > _BRIDGED + 1)
    before = places[ends + 1][places[ends + 1] <= line.left]
    after = places[ends][places[ends] >= line.right - 1]
    left = int(before[-1]) if before.size else int(places[0])
    right = int(after[0]) + 1 if after.size else int(places[-1]) + 1
    return _Line(left, right, line.row_at(left), line.slope, line.thickness)


def _supported(across: list[_Line], upright: list[_Line], shape: tuple[int, ...]) -> tuple[list[_Line], list[_Line]]:
    """Leave out, again and again, lines of which an end meets nothing; if none is left, keep many below each other."""
    many = _many(across, upright)
    near = max(2.0, _MEETS * min(shape))
    height, width = shape
    while True:
        kept_across = [line for line in across if _both_ends_meet(line, upright, width, near)]
        kept_upright = [line for line in upright if _both_ends_meet(line, across, height, near)]
        if len(kept_across) == len(across) and len(kept_upright) == len(upright):
            return across or many, upright
        across, upright = kept_across, kept_upright


def _many(across: list[_Line], upright: list[_Line]) -> list[_Line]:
    """Those that run below each other, the same way and as thin, if they are many: faint rulings, seen in pieces."""
    if upright or len(across) < _MANY:
        return []
    thin = np.median([line.thickness for line in across]) + _SOFT_EDGE
    alike = [line for line in across if line.thickness <= thin]
    apart = np.count_nonzero(np.diff(np.sort([line.row for line in alike])) > 2 * _BRIDGED)
    return alike if apart + 1 >= _MANY and np.ptp([line.slope for line in alike]) <= _STEEPEST else []


def _both_ends_meet(line: _Line, crossing: list[_Line], length: int, near: float) -> bool:
    """Tell whether each end meets the edge of a picture of that length, or one of the crossing lines."""
    first, last = line.left, line.right - 1
    return (first <= near or any(_meets(line, first, other, near) for other in crossing)) and (
        last >= length - 1 - near or any(_meets(line, last, other, near) for other in crossing)
    )


def _meets(line: _Line, column: int, crossing: _Line, near: float) -> bool:
    """Tell whether the line, at that column, lies on one that runs the other way, whose rows are columns here."""
    row = line.row_at(column)
    if not crossing.left - near <= row <= crossing.right - 1 + near:
        return False
    return abs(crossing.row_at(row) - column) <= near + crossing.thickness / 2


def _cut(mask: Mask, lines: list[_Line]) -> Mask:
    """Remove the lines, but not where a stroke crosses: ink above and below."""
    kept = mask.copy() if lines else mask
    for line in lines:
        columns = np.arange(line.left, line.right)
        middle = line.rows_at(columns)
        # The soft edges of a line reach a pixel further than the rows that it fills.
        reach = line.thickness / 2 + _SOFT_EDGE
        first, last = np.ceil(middle - reach).astype(int), np.floor(middle + reach).astype(int)
        crossed = _inked(mask, first - 1, columns) & _inked(mask, last + 1, columns)
        for row in range(max(int(first.min()), 0), min(int(last.max()) + 1, len(mask))):
            kept[row, columns] &= (row < first) | (row > last) | crossed
    return kept


def _inked(mask: Mask, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Mask:
    """Tell where a stroke comes to these places, from straight on or aslant; outside of the mask none does."""
    inside = (rows >= 0) & (rows < len(mask))
    there = mask[np.clip(rows, 0, len(mask) - 1), columns] & inside
    padded = np.pad(there, 1)
    return np.asarray(padded[:-2] | padded[1:-1] | padded[2:])


def _is_digit_left(kept: Mask, across: list[_Line], upright: list[_Line]) -> bool:
    """Tell whether what is left is as high as a digit, and no part of a digit that fills the picture."""
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
        # Of boxes in a row some lines are as long as the row, but those the other way as long as one box.
        box = min(max(line.length for line in lines) for lines in (across, upright) if lines)
        return size >= _LEAST_INSIDE * box
    clear = min(top / height, left / width, 1 - bottom / height, 1 - right / width) >= _LEAST_MARGIN
    small = max((bottom - top) / height, (right - left) / width) < _FILLS
    return bool(size >= _LEAST_HEIGHT * height and (clear or small))


def _from_edge_to_edge(across: list[_Line], upright: list[_Line], shape: tuple[int, ...]) -> int:
    """How many of the lines go from one edge of the picture to the other."""
    height, width = shape
    spans = [line.length / width for line in across] + [line.length / height for line in upright]
    return sum(span >= 1 - 2 * _MEETS for span in spans)


def _within(lines: list[_Line], height: int) -> list[_Line]:
    """Those of the lines that do not run along the edges of a picture of that height."""
    near = max(2.0, _MEETS * height)
    return [line for line in lines if near < line.row_at((line.left + line.right) / 2) < height - 1 - near]
