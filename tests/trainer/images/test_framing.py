"""Framing brings any ink into MNIST's form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.images.framing import frame


@st.composite
def drawings(draw: st.DrawFn) -> NDArray[np.float32]:
    """A few filled rectangles, anywhere on a page of any size."""
    height, width = draw(st.integers(30, 120)), draw(st.integers(30, 120))
    ink = np.zeros((height, width), np.float32)
    for _ in range(draw(st.integers(1, 4))):
        top, left = draw(st.integers(0, height - 8)), draw(st.integers(0, width - 8))
        ink[top : top + draw(st.integers(8, 60)), left : left + draw(st.integers(8, 60))] = 1.0
    return ink


def inked_box(image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@settings(max_examples=100)
@given(drawings())
def test_mass_is_centred(ink: NDArray[np.float32]) -> None:
    """The centre of mass is within half a pixel of (14, 14), unless the ink would leave the image."""
    image = frame(ink)
    top, bottom, left, right = inked_box(image)
    mass = image / image.sum()
    for centre, begin, end in (
        (float(mass.sum(axis=1) @ np.arange(28)), top, bottom),
        (float(mass.sum(axis=0) @ np.arange(28)), left, right),
    ):
        assert abs(centre - 14) <= 0.51 or (begin == 0 and centre > 14) or (end == 28 and centre < 14)


@settings(max_examples=100)
@given(drawings())
def test_longest_side_is_twenty_pixels(ink: NDArray[np.float32]) -> None:
    """The ink's longest side is 20 pixels, and its sides keep their ratio."""
    top, bottom, left, right = inked_box(frame(ink))
    sides = np.array([bottom - top, right - left])
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    drawn = np.array([np.ptp(rows) + 1, np.ptp(columns) + 1])
    assert sides.max() == 20
    assert np.abs(sides - drawn * 20 / drawn.max()).max() <= 1


@settings(max_examples=50)
@given(drawings(), st.integers(0, 40), st.integers(0, 40))
def test_margin_does_not_matter(ink: NDArray[np.float32], above: int, beside: int) -> None:
    """The ink's position on the page does not matter."""
    assert np.array_equal(frame(np.pad(ink, [(above, 3), (beside, 0)])), frame(ink))


def test_ink_of_the_right_size_is_moved_only() -> None:
    """Ink that is 20 pixels long already keeps its values."""
    ink = np.random.default_rng(0).integers(1, 256, (20, 13)).astype(np.uint8)
    image = frame(ink / 255)
    top, bottom, left, right = inked_box(image)
    assert np.array_equal(image[top:bottom, left:right], ink)


@pytest.mark.parametrize("faintest", [1e-30, 1e-6, 1.0])
def test_one_speck_is_ink(faintest: float) -> None:
    """A single point is scaled up to 20 pixels, however faint: nothing divides by zero."""
    ink = np.zeros((50, 40))
    ink[7, 9] = faintest
    image = frame(ink)
    assert image.shape == (28, 28)
    assert image.sum() == round(faintest * 255) * 400


def test_nothing_stays_nothing() -> None:
    """A page without ink is a black image."""
    assert not frame(np.zeros((40, 30))).any()


def test_drawing_is_left_as_it_is() -> None:
    """The ink that is passed in is not changed."""
    ink = np.eye(60)
    kept = ink.copy()
    frame(ink)
    assert np.array_equal(ink, kept)
