"""Finds the strokes of an ink mask, its connected components: their pixels, boxes and areas.

`digit` decides which of them are the digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import TypeVar

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Level = TypeVar("Level", np.int8, np.int32)
    Levels = TypeVar("Levels", NDArray[np.bool_], NDArray[np.int32], NDArray[np.float32])


@dataclass(frozen=True)
class Strokes:
    """The connected strokes of one mask, as horizontal runs of ink; all else is computed only when used.

    Attributes:
        shape: Height and width of the mask.
        starts, ends: (runs,) int64: where each run is in the rows, laid end to end with two pixels between them.
        of_run: (runs,) int64: the number of the stroke that each run belongs to.
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    of_run: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many strokes there are."""
        return int(self.of_run.max(initial=-1)) + 1

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """(strokes,) int64, in pixels."""
        return np.bincount(self.of_run, weights=self.ends - self.starts, minlength=self.count).astype(np.int64)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """(strokes, 4) int64: top, left, bottom, right; bottom and right are one past the end."""
        row = self.shape[1] + 2
        boxes = np.empty((self.count, 4), dtype=np.int64)
        boxes[:, :2], boxes[:, 2:] = max(self.shape), 0
        np.minimum.at(boxes[:, 0], self.of_run, self.starts // row)
        np.minimum.at(boxes[:, 1], self.of_run, self.starts % row)
        np.maximum.at(boxes[:, 2], self.of_run, self.starts // row + 1)
        np.maximum.at(boxes[:, 3], self.of_run, self.ends % row)
        return boxes

    @cached_property
    def on_rim(self) -> Mask:
        """(strokes,): which touch the mask's rim."""
        return np.asarray((self.boxes[:, :2] == 0).any(axis=1) | (self.boxes[:, 2:] == self.shape).any(axis=1))

    @cached_property
    def numbers(self) -> NDArray[np.int32]:
        """(height, width) int32: the pixel's stroke, or -1 where there is no ink."""
        return self._painted((self.of_run + 1).astype(np.int32)) - np.int32(1)

    def usual_height(self, kept: NDArray[np.int64]) -> float:
        """A digit's usual height, by the strokes of these numbers, one or more; tall strokes count more than bits."""
        heights = self.boxes[kept, 2] - self.boxes[kept, 0]
        return float(np.percentile(np.repeat(heights, heights), 60))

    def mask_of(self, kept: Mask) -> Mask:
        """The mask of the strokes that `kept`, (strokes,), selects."""
        return self._painted(kept[self.of_run].astype(np.int8)) > 0

    def _painted(self, levels: NDArray[Level]) -> NDArray[Level]:
        """Each run at its level, and 0 elsewhere: the running sum of the steps where runs begin and end."""
        height, width = self.shape
        steps = np.zeros(height * (width + 2), dtype=levels.dtype)
        steps[self.starts], steps[self.ends] = levels, -levels  # a run never ends where another one starts
        return np.cumsum(steps, dtype=levels.dtype).reshape(height, width + 2)[:, :width]


def connected_strokes(mask: Mask) -> Strokes:
    """Label the 8-connected regions of a (height, width) mask.

    Works on horizontal runs of ink instead of pixels: a mask of 128 x 128 has a few hundred runs,
    and every step on them is one NumPy call.
    """
    height, width = mask.shape
    row = width + 2  # a gap between one row and the next, which corners do not bridge
    flat = np.zeros(1 + height * row, dtype=np.bool_)
    flat[1:].reshape(height, row)[:, :width] = mask
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    starts, ends = changes[::2], changes[1::2]
    return Strokes((height, width), starts, ends, _joined(len(starts), *_touching_runs(starts, ends, row)))


def rim_of(levels: Levels) -> Levels:
    """The picture's outermost pixels, in no order; its corners twice."""
    return np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])


def reached_from_rim(mask: Mask) -> Mask:
    """The strokes of a (height, width) mask that touch its rim; of an inverted ink mask, all that no ink encloses."""
    numbers = connected_strokes(mask).numbers
    kept = np.zeros(int(numbers.max()) + 2, dtype=np.bool_)
    kept[rim_of(numbers)] = True
    kept[-1] = False  # the number -1: pixels that are not in the mask
    return kept[numbers]


def _touching_runs(
    starts: NDArray[np.int64], ends: NDArray[np.int64], row: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair every run with the runs below it that it touches, corners included."""
    first = np.searchsorted(ends, starts + row, side="left")
    counts = np.searchsorted(starts, ends + row, side="right") - first
    upper = np.repeat(np.arange(len(starts)), counts)
    place_in_group = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(first, counts) + place_in_group


def _joined(runs: int, upper: NDArray[np.int64], lower: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups of runs that the pairs join, by hooking roots onto smaller roots."""
    root = np.arange(runs)
    while True:
        one, other = root[upper], root[lower]
        if np.array_equal(one, other):
            break
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(root, higher := root[root]):
            root = higher
    # A root points to itself: counting the roots numbers the groups.
    return (np.cumsum(root == np.arange(runs)) - 1)[root]
