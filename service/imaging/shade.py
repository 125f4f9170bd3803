"""Removes shadows that reach in from the picture's rim, however narrow and hard: of a phone, a hand or fingers.

`paper` removes uneven light that is wider than any stroke.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.imaging.form import grown, grown_by
from service.imaging.paper import ink_of, median, relief_of, steadied
from service.imaging.strokes import connected_strokes, rim_of

if TYPE_CHECKING:
    from service.imaging.form import Grey
    from service.imaging.paper import Ink, Mask

# The least share of the light left in a shadow: a phone or a hand blocks one of many lights.
_LEAST_LIGHT = 0.5
_LIGHTER = 0.8  # of the ink's darkness; measured: shadows have up to 0.75, soft strokes at the rim 0.8
_UNEVEN = 0.2  # the spread of a shadow's darkness, by its median; measured: shadows have less, soft strokes more
_LEAST_SHADE = 0.002  # of the picture, without edges; measured: the smallest bar has 0.0024, a page's rulings 0.0002
_LEAST_DIGIT = 0.125  # of the picture's longer side; less may be a speck beside a pale stroke
_LEAST_RUN = 3  # pixels of the rim in a row: specks and the lines of squared paper have one or two

# How much darker ink is in the shadow than beside it, as a share of the paper's darkening; measured: mostly 0.9 to 1.1.
# Where a pen turns paler, or passes over its stroke again, ink is as dark on both sides: 0.15 at most.
_ALIKE = 0.5
_EDGE = 2  # pixels at the edges of ink and shadow that are half paper
_WITHIN, _BEYOND = 4, 7  # pixels from bare shadow: nearer than the first, ink may be in it; beyond the second, not
_LEAST_INK = 4  # pixels, to measure

# Each sweep goes round one more bend and takes 1 to 2 ms on a look of 128 pixels, 8 to 14 on one of 512. Measured:
# shadows need up to 8. A shadow's parts that are not reached by then are taken for ink.
_MOST_SWEEPS = 10


def may_be_in_shade(ink: Ink) -> bool:
    """Whether enough ink meets the rim to be a shadow."""
    rim = rim_of(ink.mask)
    runs = np.logical_and.reduce([rim[place : len(rim) - _LEAST_RUN + place + 1] for place in range(_LEAST_RUN)])
    return bool(runs.any()) and not (ink.is_faint or ink.is_noise)


def out_of_shade(seen: Grey, ink: Ink) -> Ink | None:
    """Tell a look's dark ink from shadows.

    Args:
        seen: The look.
        ink: The ink found on it if the light is taken to be smooth.

    Returns:
        The ink without shadows; None where there seems to be no shadow, or nothing else.
    """
    even = relief_of(seen)
    darkness = -even / np.maximum(seen - even, np.float32(1))
    dark = darkness[ink.mask]
    if median(rim_of(darkness)[rim_of(ink.mask)]) > min(1 - _LEAST_LIGHT, _LIGHTER * float(dark.max())):
        return None
    left = ink_of(-unshaded(seen, np.float32(-1)), ink.noise)
    if left.is_faint or left.is_noise or not _is_digit_left(left.mask):
        return None
    return left if _is_shade(ink.mask & ~grown_by(left.mask, _EDGE), left.mask, darkness) else None


def unshaded(seen: Grey, polarity: np.float32) -> Grey:
    """Subtract the picture flooded from the rim, which removes every shadow that the flood can follow from there.

    Ink that the shadow reaches stands out of the shadow only; other ink stands out of the paper.
    """
    light = np.float32(-polarity) * steadied(seen)
    return np.float32(-polarity) * (light - _flooded(light))


def _is_shade(gone: Mask, kept: Mask, darkness: Grey) -> bool:
    """Whether the part that is gone is a shadow, not a part of the ink that meets the rim and is paler there."""
    inner = _inner(gone)
    if np.count_nonzero(inner) < _LEAST_SHADE * inner.size:
        return False
    low, middle, high = np.percentile(darkness[inner], (20, 50, 80))
    if middle > min(1 - _LEAST_LIGHT, _LIGHTER * np.percentile(darkness[kept], 60)) or high - low > _UNEVEN * middle:
        return False
    apart = np.count_nonzero(inner & _is_apart(gone, kept))
    return bool(apart >= _LEAST_SHADE * inner.size) or _lies_on(gone, kept, darkness, float(middle))


def _is_apart(gone: Mask, kept: Mask) -> Mask:
    """The connected parts of `gone` that do not meet the ink."""
    parts = connected_strokes(gone)
    is_apart = np.ones(parts.count, dtype=np.bool_)
    is_apart[parts.numbers[gone & grown_by(kept, _EDGE + 1)]] = False
    return parts.mask_of(is_apart)


def _lies_on(gone: Mask, kept: Mask, darkness: Grey, shade: float) -> bool:
    """Whether the ink, too, is darker in the shadow, by as much as the paper."""
    inner = _inner(kept)
    within, beyond = darkness[inner & grown_by(gone, _WITHIN)], darkness[inner & ~grown_by(gone, _BEYOND)]
    if min(within.size, beyond.size) < _LEAST_INK:
        return False
    in_shade, in_light = 1 - np.percentile(within, 80), 1 - np.percentile(beyond, 80)
    return bool(in_shade <= (1 - _ALIKE * shade) * in_light)


def _inner(mask: Mask) -> Mask:
    return ~grown(~mask)


def _is_digit_left(mask: Mask) -> bool:
    """Whether the largest stroke is as large as a digit."""
    strokes = connected_strokes(mask)
    top, left, bottom, right = strokes.boxes[int(np.argmax(strokes.areas))]
    return bool(max(bottom - top, right - left) >= _LEAST_DIGIT * max(mask.shape))


def _flooded(light: Grey) -> Grey:
    """For each pixel, the lowest value, over all paths from the rim, of the highest level on the path.

    In morphology: filling holes, by reconstruction (Vincent, 1993).
    """
    height, width = light.shape
    side = max(height, width)
    floor = np.full((side, side), np.inf, dtype=np.float32)
    level = floor.copy()
    floor[:height, :width] = light
    for edge in ((0, slice(width)), (height - 1, slice(width)), (slice(height), 0), (slice(height), width - 1)):
        level[edge] = floor[edge]
    floors = _from_four_sides(floor)
    for _ in range(_MOST_SWEEPS):
        swept = _swept(_from_four_sides(level), floors)
        lower = np.minimum(np.minimum(swept[:, 0], swept[::-1, 1]), np.minimum(swept[:, 2].T, swept[::-1, 3].T))
        if np.array_equal(lower, level):
            break
        level = lower
    return level[:height, :width]


def _from_four_sides(levels: Grey) -> Grey:
    """(side, 4, side): rows from the top and the bottom, columns from the left and the right, for one sweep."""
    return np.stack([levels, levels[::-1], levels.T, levels.T[::-1]], axis=1)


def _swept(levels: Grey, floors: Grey) -> Grey:
    """Lower each pixel to the lowest of its three neighbours in the row before, but not below its floor."""
    padded = np.pad(levels, ((0, 0), (0, 0), (1, 1)), constant_values=np.inf)
    lowest = np.empty_like(levels[0])
    for before, row, floor in zip(padded[:-1], padded[1:, :, 1:-1], floors[1:], strict=True):
        np.minimum(before[:, :-2], before[:, 2:], out=lowest)
        np.minimum(lowest, before[:, 1:-1], out=lowest)
        np.maximum(lowest, floor, out=lowest)
        np.minimum(row, lowest, out=row)
    return padded[:, :, 1:-1]
