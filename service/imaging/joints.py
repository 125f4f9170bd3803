"""Proposes where two digits that touch may be parted: cuts from top to bottom along the least ink.

The network decides which of them is right, if any: `service.parting` has it read the halves that each cut leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from service.imaging.form import grown, row_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.form import Grey

    Mask = NDArray[np.bool_]

LEAST_WIDTH = 0.5  # by the height: the halves of narrower ink, such as of a thick 1, all look like 1s

_MOST_HEIGHT = 128  # `form` uses 80 pixels to make a row; more would only take time

# Cuts for each lean, at even distances. A lean is how far a cut's top lies to the right of its bottom, by the height.
# With upright cuts only, 73 of 100 pairs of training digits that touch are read instead of 79.
_CUTS = 16
_LEANS = (-0.15, 0.15, 0.45)
_FROM_SIDE = 0.1  # of the height: nearer to a side there is no digit beside the cut
# Cuts are searched for in ink of this height. They stray from a straight line by at most 4 of its pixels: with 6,
# narrower joints are found, but 5 of 100 pairs fewer are read, since pieces of one digit go to the other.
_WAY_HEIGHT = 64
_SWAY = 4
_BEND, _LONGER = 0.03, 0.4  # the extra cost of a step aside: of full ink, and of the ink there
_ASIDE = np.arange(-1, 2)
# Of the ink's area: cuts that differ by less count as the same, which leaves 25 of 39 on average. At 0.02, two of 100
# pairs fewer are read.
_ALIKE = 0.01
_LEAST_AREA, _LEAST_HEIGHT = 0.08, 0.55  # of the whole: less is a piece of a digit


@dataclass(frozen=True)
class Part:
    """One of the two digits that a cut leaves.

    Attributes:
        row: float32 [784], in MNIST's form.
        place: Top, left, bottom and right in the ink that was cut, from 0 to 1.
    """

    row: Grey
    place: tuple[float, float, float, float]


def cuts_of(levels: NDArray[np.uint8]) -> list[tuple[Part, Part]]:
    """The left and the right part of each cut that leaves two parts as large as digits: 48 cuts at most.

    Args:
        levels: The ink, full at 255, any size, cropped to its box.
    """
    ink = _lowered(levels.astype(np.float32) / np.float32(255), _MOST_HEIGHT)
    mask = ink > np.float32(0.5)
    columns = np.arange(ink.shape[1]) + 0.5
    is_left = np.array([(columns < way[:, None])[mask] for way in _ways_through(ink)])  # [cuts, pixels of ink]
    cuts = []
    for own in is_left[_unlike(is_left)]:
        left, right = np.zeros_like(mask), np.zeros_like(mask)
        left[mask], right[mask] = own, ~own
        if _may_be_digit(left, own.size) and _may_be_digit(right, own.size):
            cuts.append((_part(ink, left), _part(ink, right)))
    return cuts


def _unlike(is_left: Mask) -> list[int]:
    """The cuts whose halves differ from those of the cuts before them."""
    left = is_left.astype(np.float32)
    areas = left.sum(axis=1)
    apart = areas[:, None] + areas - 2 * (left @ left.T)
    kept: list[int] = []
    for cut in range(len(left)):
        if not kept or apart[cut, kept].min() > _ALIKE * left.shape[1]:
            kept.append(cut)
    return kept


def _ways_through(ink: Grey) -> NDArray[np.float64]:
    """[cuts, height]: the column at which each cut crosses each row."""
    small = _lowered(ink, _WAY_HEIGHT)
    height, width = small.shape
    rows = np.arange(height)
    middles = np.linspace(_FROM_SIDE * height, width - _FROM_SIDE * height, _CUTS)
    lean = np.multiply.outer(_LEANS, height / 2 - rows)
    lines = np.rint(middles[:, None, None] + lean).reshape(-1, height).astype(int)
    windows = np.clip(lines.T[..., None] + np.arange(-_SWAY, _SWAY + 1), -1, width)
    around = np.pad(small, ((0, 0), (1, 1)))
    ways = lines - _SWAY + _least_ink(around[rows[:, None, None], windows + 1]) + 0.5
    scale = ink.shape[1] / width
    places = (np.arange(len(ink)) + 0.5) * height / len(ink) - 0.5
    return np.array([np.interp(places, rows, way * scale) for way in ways])


def _lowered(ink: Grey, most: int) -> Grey:
    """Scaled down to a height of `most` pixels, if it is higher."""
    if len(ink) <= most:
        return ink
    size = max(1, round(ink.shape[1] * most / len(ink))), most
    return np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BOX), dtype=np.float32)


def _least_ink(windows: Grey) -> NDArray[np.int64]:
    """The way from top to bottom through each window that crosses the least ink.

    Args:
        windows: [height, cuts, width].

    Returns:
        [cuts, height]: a column of the window for each row, at most one away from that of the row before.
    """
    height, cuts, width = windows.shape
    steps = np.empty((height, cuts, width), dtype=np.int64)
    least = np.full((cuts, width + 2), np.inf, dtype=np.float32)  # no way leaves a window
    least[:, 1:-1] = windows[0]
    # [cuts, 3, width]: the three ways that lead to each column. A view, so it shows what is later written into `least`.
    before = np.lib.stride_tricks.sliding_window_view(least, width, axis=1)
    aside = np.abs(_ASIDE)[:, None].astype(np.float32)
    for row in range(1, height):
        costs = before + (_BEND * aside + windows[row][:, None] * (1 + _LONGER * aside))
        steps[row] = costs.argmin(axis=1)
        least[:, 1:-1] = costs.min(axis=1)
    ways = np.empty((cuts, height), dtype=np.int64)
    ways[:, -1] = least[:, 1:-1].argmin(axis=1)
    for row in range(height - 1, 0, -1):
        ways[:, row - 1] = ways[:, row] + _ASIDE[steps[row, np.arange(cuts), ways[:, row]]]
    return ways


def _may_be_digit(part: Mask, area: int) -> bool:
    """Whether a part is too large to be a mere piece of a digit."""
    height = int(np.count_nonzero(part.any(axis=1)))
    return int(np.count_nonzero(part)) >= _LEAST_AREA * area and height >= _LEAST_HEIGHT * len(part)


def _part(ink: Grey, mask: Mask) -> Part:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    own = ink[top:bottom, left:right] * grown(mask[top:bottom, left:right])
    height, width = ink.shape
    place = top / height, left / width, bottom / height, right / width
    return Part(row_of(np.asarray(own, dtype=np.float32)), place)
