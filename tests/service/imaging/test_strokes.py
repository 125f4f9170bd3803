import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from service.imaging.strokes import connected_strokes, reached_from_rim, rim_of

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans())


def flooded(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the strokes by a flood fill, pixel by pixel; -1 where there is no ink."""
    numbers = np.full(mask.shape, -1, dtype=np.int64)
    for start in zip(*np.nonzero(mask), strict=True):
        if numbers[start] >= 0:
            continue
        number, waiting = int(numbers.max()) + 1, [(int(start[0]), int(start[1]))]
        while waiting:
            row, column = waiting.pop()
            inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
            if inside and mask[row, column] and numbers[row, column] < 0:
                numbers[row, column] = number
                waiting += [(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return numbers


@given(MASKS)
def test_pixels_that_touch_are_one_stroke(mask: NDArray[np.bool_]) -> None:
    """The strokes are the ones that a flood fill finds; pixels that touch at corners are connected."""
    found, expected = connected_strokes(mask).numbers, flooded(mask)

    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})
    assert np.array_equal(found < 0, ~mask)


@given(MASKS)
def test_areas_and_boxes_are_those_of_the_pixels(mask: NDArray[np.bool_]) -> None:
    """A stroke's area is the number of its pixels, and its box is the smallest one around them."""
    strokes = connected_strokes(mask)

    assert strokes.areas.sum() == mask.sum()
    for number, (area, box) in enumerate(zip(strokes.areas, strokes.boxes, strict=True)):
        rows, columns = np.nonzero(strokes.numbers == number)
        assert area == len(rows)
        assert box.tolist() == [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 7)])
def test_no_ink_no_strokes(shape: tuple[int, int]) -> None:
    """An empty mask has no strokes."""
    strokes = connected_strokes(np.zeros(shape, dtype=np.bool_))

    assert strokes.areas.shape == (0,)
    assert strokes.boxes.shape == (0, 4)
    assert (strokes.numbers == -1).all()


@given(MASKS)
def test_strokes_on_the_rim_have_a_pixel_there(mask: NDArray[np.bool_]) -> None:
    """A stroke is on the rim exactly if it has a pixel there."""
    strokes = connected_strokes(mask)
    there = set(rim_of(strokes.numbers).tolist()) - {-1}
    assert set(np.flatnonzero(strokes.on_rim).tolist()) == there


@given(MASKS)
def test_what_is_reached_from_the_rim_touches_it(mask: NDArray[np.bool_]) -> None:
    """Whole strokes are reached, and all that touch the rim: no stroke that is left lies on it."""
    reached, numbers = reached_from_rim(mask), connected_strokes(mask).numbers

    left = mask & ~reached
    on_rim = np.concatenate([left[0], left[-1], left[:, 0], left[:, -1]])
    assert not (reached & ~mask).any()
    assert not np.intersect1d(numbers[reached], numbers[left]).size
    assert not on_rim.any()
    for number in np.unique(numbers[reached]):
        rows, columns = np.nonzero(numbers == number)
        assert {0, len(mask) - 1} & set(rows.tolist()) or {0, mask.shape[1] - 1} & set(columns.tolist())
