"""Non-digits: seeded pictures in MNIST's form that no reader takes for a digit."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.synthetic import draw_digits
from trainer.images.nondigits import CLEAR_LETTERS, NON_DIGITS

Make = Callable[..., NDArray[np.uint8]]

DRAWN = ["letters", "words", "two_digits", "scribbles"]
ALL_OVER = ["noise", "textures"]


@pytest.fixture(scope="module")
def digits() -> NDArray[np.uint8]:
    images, _ = draw_digits(20, seed=3)
    images[images < 100] = 0  # without specks, as MNIST is
    return images


@pytest.fixture
def make(digits: NDArray[np.uint8]) -> Make:
    def made(kind: str, count: int = 24, seed: int = 5) -> NDArray[np.uint8]:
        return NON_DIGITS[kind](count, digits, np.random.default_rng(seed))

    return made


def test_every_kind_is_tested_here() -> None:
    """The form of every kind is tested."""
    assert sorted(NON_DIGITS) == sorted(DRAWN + ALL_OVER)


@pytest.mark.parametrize("kind", NON_DIGITS)
def test_form(kind: str, make: Make) -> None:
    """As many images as asked for, uint8 [N, 28, 28], all different, none empty; none if none is asked for."""
    images = make(kind)
    assert images.dtype == np.uint8
    assert images.shape == (24, 28, 28)
    assert len(np.unique(images, axis=0)) == 24
    assert images.any(axis=(1, 2)).all()
    assert make(kind, count=0).shape == (0, 28, 28)


@pytest.mark.parametrize("kind", NON_DIGITS)
def test_seed_decides(kind: str, make: Make) -> None:
    """The same seed draws the same pictures, another seed others."""
    assert np.array_equal(make(kind), make(kind))
    assert not np.array_equal(make(kind), make(kind, seed=6))


@pytest.mark.parametrize("kind", NON_DIGITS)
def test_digits_are_left_as_they_are(kind: str, make: Make, digits: NDArray[np.uint8]) -> None:
    """The digits that are passed in are not changed."""
    kept = digits.copy()
    make(kind)
    assert np.array_equal(digits, kept)


@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_kinds_are_framed_as_mnist_is(kind: str, make: Make) -> None:
    """Ink is 20 pixels long, centred by mass, and clearly seen."""
    for image in make(kind):
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        # A faint fringe may round to nothing.
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        centre = np.array([image.sum(axis=1) @ np.arange(28), image.sum(axis=0) @ np.arange(28)]) / image.sum()
        assert np.abs(centre - 14).max() <= 0.51
        assert image.max() > 128


@pytest.mark.parametrize("kind", ALL_OVER)
def test_half_fill_the_frame(kind: str, make: Make) -> None:
    """Half of the noise and textures reach the image's edges, half lie within 20 pixels as a digit does."""
    images = make(kind, count=160)
    rows, columns = images.any(axis=2).sum(axis=1), images.any(axis=1).sum(axis=1)
    framed = (rows <= 20) & (columns <= 20)
    assert 80 <= framed.sum() <= 85  # a texture may happen to be black at two edges
    assert np.count_nonzero((rows == 28) & (columns == 28)) >= 60


def test_no_letter_is_a_digit() -> None:
    """Letters that look like some writer's digit are left out."""
    assert not set(CLEAR_LETTERS) & set("OISZBDGQJYCoiszbgqjlyc0123456789")


def test_two_digits_are_the_given_ones(digits: NDArray[np.uint8]) -> None:
    """The right half of the ink is the right digit: with one digit to choose from, both halves are alike."""
    twins = NON_DIGITS["two_digits"](8, digits[:1], np.random.default_rng(0))
    for image in twins:
        columns = np.flatnonzero(image.any(axis=0))
        ink = image[:, columns[0] : columns[-1] + 1].astype(float)
        width = ink.shape[1] * 2 // 5
        correlation = np.corrcoef(ink[:, :width].ravel(), ink[:, -width:].ravel())[0, 1]
        assert ink.shape[1] >= 18
        assert correlation > 0.3
