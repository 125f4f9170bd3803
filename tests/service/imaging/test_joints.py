import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageChops

from service.imaging.form import row_of
from service.imaging.joints import LEAST_WIDTH, cuts_of
from tests.service.drawn_pictures import EIGHT, FOUR, NINE, SEVEN, difference, drawn

Strokes = tuple[tuple[tuple[float, float], ...], ...]


def cropped(image: Image.Image) -> NDArray[np.uint8]:
    """A drawing without its margins."""
    return np.asarray(image.crop(image.getbbox()), dtype=np.uint8)


def row(image: Image.Image) -> NDArray[np.float32]:
    """A drawing of one digit in MNIST's form."""
    return row_of(cropped(image).astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(
    ("left", "right", "apart"), [(FOUR, FOUR, 80), (EIGHT, NINE, 70), (SEVEN, SEVEN, 72), (FOUR, EIGHT, 70)]
)
@pytest.mark.parametrize("size", [40, 120, 300])
def test_some_cut_parts_two_digits_that_touch(left: Strokes, right: Strokes, apart: int, size: int) -> None:
    """One cut's halves look like the digits drawn separately, in their places, however large they were drawn."""
    canvas, step, pen = (3 * size, 2 * size), round(apart * size / 120), max(3, size // 12)
    one, other = (
        drawn(digit, canvas, (size // 2 + at, size // 2, size), pen) for digit, at in ((left, 0), (right, step))
    )
    ink = cropped(ImageChops.lighter(one, other))

    cuts = cuts_of(ink)

    _, best = min(
        (max(difference(halves[0].row, row(one)), difference(halves[1].row, row(other))), place)
        for place, halves in enumerate(cuts)
    )
    first, second = cuts[best]
    assert difference(first.row, row(one)) < 0.4
    assert difference(second.row, row(other)) < 0.4
    assert first.place[1] == 0
    assert second.place[3] == 1
    assert abs((first.place[3] + second.place[1]) / 2 * ink.shape[1] - step - 0.1 * size) < 0.2 * size


def test_small_pieces_are_not_cut_off() -> None:
    """In an L, whose foot is low, only cuts through the upright stroke count: both halves must be high."""
    ink = np.zeros((100, 80), np.uint8)
    ink[:, :20], ink[90:] = 255, 255

    for halves in cuts_of(ink):
        assert all(half.place[2] - half.place[0] >= 0.55 for half in halves)


def test_cuts_are_unlike_each_other_and_bounded() -> None:
    """Of many cuts that leave the same two halves, only one is kept."""
    ink = np.zeros((100, 300), np.uint8)
    ink[:, :100], ink[:, 200:], ink[45:55] = 255, 255, 255
    assert 1 <= len(cuts_of(ink)) <= 30

    rows = [np.concatenate([half.row for half in halves]) for halves in cuts_of(ink)]
    assert len({each.tobytes() for each in rows}) == len(rows)


@settings(max_examples=60)
@given(
    ink=st.tuples(st.integers(3, 90), st.integers(2, 90)).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 100, 128, 255]))
    )
)
def test_any_ink_can_be_cut(ink: NDArray[np.uint8]) -> None:
    """Each half is a valid row, and its place lies within the ink."""
    if not (ink > 127).any() or ink.shape[1] < LEAST_WIDTH * ink.shape[0]:
        return
    cuts = cuts_of(ink)

    assert len(cuts) <= 48
    for half in (half for halves in cuts for half in halves):
        top, left, bottom, right = half.place
        assert 0 <= top < bottom <= 1
        assert 0 <= left < right <= 1
        assert half.row.shape == (784,)
        assert half.row.dtype == np.float32
        assert half.row.min() >= 0
        assert half.row.max() <= 1
