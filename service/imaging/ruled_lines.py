"""Finds the thin, straight lines of an ink mask, across and upright, tilted by up to seven degrees.

`rulings` decides which of them were there before the digit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from service.imaging.runs import thin_runs
from service.imaging.strokes import Strokes, connected_strokes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

SOFT_EDGE = 1  # a line's soft edge may ink a pixel of the next row here and there
BRIDGED = 3  # pixels that may be missing from a line where it is faint

# A line's end this near to an edge or to another line meets it. A share of the shorter side: in a picture of a whole
# number, upright strokes are nearly as high as that side.
MEETS = 0.03

# Shares of the mask's longer side. A line tilted by 5 degrees and a pixel thick is a staircase of runs of 11 pixels.
_LEAST_RUN = 0.07
_THICKEST = 0.04
STEEPEST = 0.12  # a line's rise by its length: 7 degrees
_LEAST_LENGTH = 0.2  # of the mask's side along the line: the sides of boxes in a row are short compared with the row

# On a larger mask, the runs of such a staircase are shorter than `_LEAST_RUN`, so lines are looked for by short runs,
# too. The bars of digits in a row also have such runs, in line with each other. So short runs find only long, tilted
# lines that are inked nearly all along, and lines of the same slope that leave through an edge.
_LARGE = 256  # pixels along the longer side
_STAIR_RUN = 12  # pixels
_LEAST_SLOPE = 0.01  # half a degree: flatter lines have longer runs
_LEAST_INKED = 0.85  # of the columns; the bars of digits in a row leave gaps of a quarter
_MOST_PIECES = 500  # more are a pattern, and each takes time
_LONG = 0.7  # of the mask's side along the line
_SAME_WAY = 0.03  # the difference of two slopes
_LEAST_UPRIGHT = 2  # lines, beside long ones across, for both to be squared paper


@dataclass(frozen=True)
class Line:
    """A straight, thin piece of ink that runs across; an upright one runs across the transposed mask.

    Attributes:
        left, right: Its first column and the one past its last.
        row: The row of its middle, at its first column.
        slope: Rows per column.
        thickness: In pixels.
    """

    left: int
    right: int
    row: float
    slope: float
    thickness: float

    @property
    def length(self) -> int:
        """In columns."""
        return self.right - self.left

    def row_at(self, column: float) -> float:
        """The row of its middle at a column."""
        return self.row + self.slope * (column - self.left)

    def rows_at(self, columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same at several columns."""
        return np.asarray(self.row + self.slope * (columns - self.left), dtype=np.float64)


def meeting_distance(shape: tuple[int, ...]) -> float:
    """How many pixels a line's end may be from an edge, or from another line, and still meet it."""
    return max(2.0, MEETS * min(shape))


def lines_of(mask: Mask) -> tuple[list[Line], list[Line]]:
    """The lines across and the upright ones."""
    side = max(mask.shape)
    least_run = round(_LEAST_RUN * side)
    across, upright = (_lines(_pieces(turned, least_run), turned) for turned in (mask, mask.T))
    return (across, upright) if side <= _LARGE else _with_tilted(across, upright, mask)


def _with_tilted(across: list[Line], upright: list[Line], mask: Mask) -> tuple[list[Line], list[Line]]:
    """Replace the lines across, and the upright ones, with those of tilted paper where these are no fewer."""
    tilted = _tilted(mask)
    if not tilted or len(tilted) < len(_long(across, mask)):
        return across, upright
    slope = float(np.median([line.slope for line in tilted]))
    squared = [line for line in _tilted(mask.T) if abs(line.slope + slope) < _SAME_WAY]
    return tilted, squared if len(squared) >= max(_LEAST_UPRIGHT, len(_long(upright, mask.T))) else upright


def _tilted(mask: Mask) -> list[Line]:
    """Long tilted lines across, found by short runs, and those that would be as long if the mask did not end."""
    pieces = _pieces(mask, _STAIR_RUN)
    if pieces.count > _MOST_PIECES:
        return []
    lines = _lines(pieces, mask)
    slopes = [line.slope for line in _long(lines, mask) if _is_inked(line, mask)]
    slope = float(np.median(slopes)) if slopes else 0.0
    if abs(slope) < _LEAST_SLOPE:
        return []
    alike = [line for line in lines if abs(line.slope - slope) < _SAME_WAY and _is_inked(line, mask)]
    return _long([_through_edges(line, mask.shape) for line in alike], mask)


def _long(lines: list[Line], mask: Mask) -> list[Line]:
    return [line for line in lines if line.length >= _LONG * mask.shape[1]]


def _through_edges(line: Line, shape: tuple[int, ...]) -> Line:
    """Extend a line that leaves through the top or bottom edge to the sides, as if the mask did not end."""
    height, width = shape
    near = meeting_distance(shape)
    leaves = [not near <= line.row_at(column) <= height - 1 - near for column in (line.left, line.right - 1)]
    left, right = 0 if leaves[0] else line.left, width if leaves[1] else line.right
    return replace(line, left=left, right=right, row=line.row_at(left))


def _pieces(mask: Mask, least_run: int) -> Strokes:
    """The connected pieces of the ink in thin runs across of at least `least_run` pixels."""
    return connected_strokes(thin_runs(mask, max(3, round(_THICKEST * max(mask.shape))), least_run, BRIDGED))


def _lines(pieces: Strokes, mask: Mask) -> list[Line]:
    """Find the lines that run across: thin, straight pieces, joined where one goes on behind a stroke."""
    found = [_piece(pieces, number) for number in np.argsort(pieces.boxes[:, 1], kind="stable").tolist()]
    lines = _joined([piece for piece in found if piece and abs(piece.slope) <= STEEPEST])
    followed = [_lengthened(line, mask) for line in lines]
    return [line for line in followed if line and line.length >= _LEAST_LENGTH * mask.shape[1]]


def _piece(pieces: Strokes, number: int) -> Line | None:
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
    if np.count_nonzero(off > SOFT_EDGE + thickness / 2) > len(off) / 4:
        return None
    return Line(left, right, top + middle - slope * float(plain.mean()), slope, float(thickness))


def _joined(pieces: list[Line]) -> list[Line]:
    """Join the pieces, sorted by their left ends, that continue each other."""
    lines: list[Line] = []
    for piece in pieces:
        for index, line in enumerate(lines):
            off = abs(line.row_at(piece.left) - piece.row)
            if piece.left >= line.right and off <= SOFT_EDGE + (line.thickness + piece.thickness) / 2:
                lines[index] = _with_piece(line, piece)
                break
        else:
            lines.append(piece)
    return lines


def _with_piece(line: Line, piece: Line) -> Line:
    """The line from the left end of one to the right end of the other."""
    length = piece.right - line.left
    slope = (piece.row_at(piece.right) - line.row) / length
    return Line(line.left, piece.right, line.row, slope, min(line.thickness, piece.thickness))


def _lengthened(line: Line, mask: Mask) -> Line | None:
    """Follow the line to both sides, under the strokes that hide it, for as long as there is ink.

    None if there is no ink along it: the joined pieces lie like the sides of a roof, and the line is below both.
    """
    places = np.flatnonzero(_ink_along(line, mask))
    if not places.size:
        return None
    ends = np.flatnonzero(np.diff(places) > BRIDGED + 1)
    before = places[ends + 1][places[ends + 1] <= line.left]
    after = places[ends][places[ends] >= line.right - 1]
    left = int(before[-1]) if before.size else int(places[0])
    right = int(after[0]) + 1 if after.size else int(places[-1]) + 1
    return Line(left, right, line.row_at(left), line.slope, line.thickness)


def _is_inked(line: Line, mask: Mask) -> bool:
    """Whether there is ink nearly all along the line, not pieces of it here and there."""
    return bool(_ink_along(line, mask)[line.left : line.right].mean() >= _LEAST_INKED)


def _ink_along(line: Line, mask: Mask) -> NDArray[np.bool_]:
    """(columns,): where the line, extended to both edges, has ink in its own row or in one of the two beside it."""
    height, width = mask.shape
    columns = np.arange(width)
    rows = np.clip(np.rint(line.rows_at(columns)).astype(int), 0, height - 1)
    inked = mask[rows, columns] | mask[np.maximum(rows - 1, 0), columns]
    return np.asarray(inked | mask[np.minimum(rows + 1, height - 1), columns])
