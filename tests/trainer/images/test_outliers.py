"""Outliers: as many as are asked for, of every kind, the same for the same seed."""

import numpy as np

from tests.synthetic import draw_digits
from trainer.images.outliers import make_outliers


def test_as_many_as_asked() -> None:
    """The number is exact, whatever the number of kinds, and except for the empty ones hardly any two are alike."""
    digits, _ = draw_digits(50, seed=0)
    outliers = make_outliers(500, digits, np.random.default_rng(0))
    assert outliers.shape == (500, 28, 28)
    assert outliers.dtype == np.uint8
    inked = outliers[outliers.any(axis=(1, 2))]
    assert 480 < len(inked) < 500
    assert len({image.tobytes() for image in inked}) > 0.98 * len(inked)


def test_none_when_none_are_wanted() -> None:
    """A recipe without outliers costs nothing: no images are made."""
    digits, _ = draw_digits(50, seed=0)
    assert make_outliers(0, digits, np.random.default_rng(0)).shape == (0, 28, 28)


def test_none_is_a_digit_as_it_was() -> None:
    """Digits are cut up and joined: no whole digit is an outlier."""
    digits, _ = draw_digits(50, seed=0)
    known = {digit.tobytes() for digit in digits}
    assert not any(image.tobytes() in known for image in make_outliers(500, digits, np.random.default_rng(0)))


def test_same_seed_same_outliers() -> None:
    """The same seed makes the same outliers, and the given digits are not changed."""
    digits, _ = draw_digits(50, seed=0)
    before = digits.copy()
    first, second = (make_outliers(100, digits, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(digits, before)
