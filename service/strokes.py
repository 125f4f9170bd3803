"""Finds the connected strokes of an ink mask: which pixels belong together, where, and how many.

Which of them are the digit is for `service.imaging` to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Strokes:
    """The connected strokes of one mask; stroke k is entry k of `areas` and of `boxes`.

    Attributes:
        numbers: (height, width) int64; the pixel's stroke, or -1 where there is no ink.
        areas: (strokes,) int64, in pixels.
        boxes: (strokes, 4) int64: top, left, bottom, right; bottom and right are one past the end.
    """

    numbers: NDArray[np.int64]
    areas: NDArray[np.int64]
    boxes: NDArray[np.int64]


def connected_strokes(mask: NDArray[np.bool_]) -> Strokes:
    """Label the 8-connected regions of a (height, width) mask.

    Works on horizontal runs of ink in place of pixels: a mask of 128 x 128 has a few hundred runs,
    and every step on them is one NumPy call.
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), dtype=np.int8)  # a gap between one row and the next
    padded[:, 1:-1] = mask
    steps = np.diff(padded.ravel(), prepend=np.int8(0))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    stroke_of_run = _joined(len(starts), *_touching_runs(starts, ends, width + 2))
    return _measured(stroke_of_run, starts, ends, (height, width))


def _touching_runs(
    starts: NDArray[np.int64], ends: NDArray[np.int64], row: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair every run with the runs below it that it touches, corners included."""
    first = np.searchsorted(ends, starts + row, side="left")
    last = np.searchsorted(starts, ends + row, side="right")
    counts = last - first
    upper = np.repeat(np.arange(len(starts)), counts)
    place_in_group = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(first, counts) + place_in_group


def _joined(runs: int, upper: NDArray[np.int64], lower: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups of runs that the pairs join, by hooking roots onto smaller roots."""
    root = np.arange(runs)
    while True:
        one, other = root[upper], root[lower]
        if np.array_equal(one, other):
            return np.unique(root, return_inverse=True)[1].astype(np.int64)
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(root, root[root]):
            root = root[root]


def _measured(
    stroke_of_run: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    shape: tuple[int, int],
) -> Strokes:
    """Paint the runs' stroke numbers back and take each stroke's area and box."""
    height, width = shape
    row = width + 2
    strokes = int(stroke_of_run.max(initial=-1)) + 1
    painted = np.zeros(height * row, dtype=np.int64)
    painted[starts] = stroke_of_run + 1
    painted[ends] = -(stroke_of_run + 1)  # a run never ends where another one starts
    numbers = np.cumsum(painted).reshape(height, row)[:, 1:-1] - 1
    boxes = np.empty((strokes, 4), dtype=np.int64)
    boxes[:, :2], boxes[:, 2:] = max(height, width), 0
    np.minimum.at(boxes[:, 0], stroke_of_run, starts // row)
    np.minimum.at(boxes[:, 1], stroke_of_run, starts % row - 1)
    np.maximum.at(boxes[:, 2], stroke_of_run, starts // row + 1)
    np.maximum.at(boxes[:, 3], stroke_of_run, ends % row - 1)
    areas = np.bincount(stroke_of_run, weights=ends - starts, minlength=strokes)
    return Strokes(numbers, areas.astype(np.int64), boxes)
