"""Strokes become pictures in MNIST's own form, whatever the figure and the hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.images.framing import CENTRE
from trainer.images.strokes import Figure, Hand, draw

BAR: Figure = [[(0.5, 0.0), (0.5, 1.0)]]
BOW: Figure = [[(0.0, 0.0), (0.5, 0.4), (1.0, 0.0)]]
L: Figure = [[(0.0, 0.0), (0.0, 1.0)], [(0.0, 1.0), (0.7, 1.0)]]
STEADY = Hand(wobble=0.0, max_slant=0.0, max_tilt_degrees=0.0, widths=(1.0, 1.0), pen_pixels=(2.0, 2.0))

points = st.tuples(st.floats(0, 1), st.floats(0, 1))


def test_steady_hand_draws_the_model() -> None:
    """Without wobble a bar is 20 rows high (its ends half inked), as wide as the pen, and in the middle."""
    (image,) = draw([BAR], 1, STEADY, np.random.default_rng(0))
    rows, columns = np.nonzero(image > 127)
    assert (rows.min(), rows.max()) == (4, 24)
    assert np.ptp(columns) == 2
    assert columns.mean() == CENTRE


def test_mass_is_centred_and_not_the_box() -> None:
    """An L, whose mass lies to the left and below, is moved until its mass is in the middle, within half a pixel."""
    (image,) = draw([L], 1, STEADY, np.random.default_rng(0))
    rows, columns = np.nonzero(image > 127)
    box = np.array([rows.min() + rows.max(), columns.min() + columns.max()]) / 2
    centre = np.array([(image.sum(axis=1 - axis) * np.arange(28)).sum() / image.sum() for axis in (0, 1)])
    assert np.abs(centre - CENTRE).max() < 0.5
    assert np.abs(box - CENTRE).min() > 1.5


@given(figure=st.lists(st.lists(points, min_size=2, max_size=6), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_any_figure_has_the_form_of_mnist(figure: Figure, seed: int) -> None:
    """Any figure gives ink of at most 20 pixels plus soft edges, with its mass near the centre."""
    (image,) = draw([figure], 1, Hand(), np.random.default_rng(seed))
    rows, columns = np.nonzero(image)
    assert max(np.ptp(rows), np.ptp(columns)) <= 22
    total = image.sum()
    centre = np.array([(image.sum(axis=1 - axis) * np.arange(28)).sum() / total for axis in (0, 1)])
    assert np.abs(centre - CENTRE).max() < 4


def test_each_figure_is_drawn_equally_often() -> None:
    """Ten pictures of two figures are five of each: a bar is high, a bow is low."""
    images = draw([BAR, BOW], 10, STEADY, np.random.default_rng(0))
    heights = [np.ptp(np.nonzero(image.any(axis=1))[0]) for image in images]
    assert sum(height > 15 for height in heights) == 5


def test_same_seed_same_pictures() -> None:
    """The same generator state draws the same, another one something else."""
    first = draw([BOW], 20, Hand(), np.random.default_rng(3))
    again = draw([BOW], 20, Hand(), np.random.default_rng(3))
    other = draw([BOW], 20, Hand(), np.random.default_rng(4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("pen", [1.6, 4.0])
def test_pen_gives_its_width(pen: float) -> None:
    """A bar's ink in a row is the pen's width in pixels."""
    hand = Hand(0.0, 0.0, 0.0, (1.0, 1.0), (pen, pen))
    (image,) = draw([BAR], 1, hand, np.random.default_rng(0))
    assert image[14].sum() / 255 == pytest.approx(pen, abs=0.6)
