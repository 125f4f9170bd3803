"""Robustness: versions are asked about the right images, and the shares are counted as documented."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.synthetic import draw_digits
from trainer.corruptions import CORRUPTIONS
from trainer.data import scale
from trainer.evaluation import Answers
from trainer.images.nondigits import NON_DIGITS
from trainer.robustness import corruption_errors, non_digits_accepted, sample

IMAGES, LABELS = draw_digits(40, seed=9)


class Knower:
    """Reads the clean images right and all others as 0; an image's `is_digit` is its mean lightness."""

    def __init__(self) -> None:
        self.asked: list[NDArray[np.float32]] = []
        self.known = {row.tobytes(): label for row, label in zip(scale(IMAGES), LABELS, strict=True)}

    def __call__(self, pixels: NDArray[np.float32]) -> Answers:
        self.asked.append(pixels)
        digits = [self.known.get(row.tobytes(), 0) for row in pixels]
        return Answers(np.eye(10, dtype=np.float32)[digits], pixels.mean(axis=1))


def mute(pixels: NDArray[np.float32]) -> Answers:
    """Answers as a version without `is_digit` does."""
    return Answers(np.eye(10, dtype=np.float32)[np.zeros(len(pixels), int)], None)


@pytest.mark.parametrize(("images", "step", "taken"), [(10_000, 5, 2_000), (4_100, 2, 2_050), (100, 1, 100)])
def test_sample_is_of_the_whole_test_set(images: int, step: int, taken: int) -> None:
    """The sample is spread over the whole test set, because its halves have different writers."""
    rows = sample(np.arange(images))
    assert len(rows) == taken
    assert set(np.diff(rows)) == {step}
    assert rows[0] < step
    assert rows[-1] >= images - step


def test_every_corruption_is_asked_for() -> None:
    """Each corruption is put to the version once, as pixels float32 [N, 784] in 0 to 1."""
    knower = Knower()
    errors = corruption_errors(knower, IMAGES, LABELS, seed=0)
    assert list(errors) == list(CORRUPTIONS)
    assert len(knower.asked) == len(CORRUPTIONS)
    for pixels in knower.asked:
        assert pixels.shape == (40, 784)
        assert pixels.dtype == np.float32
        assert 0 <= pixels.min() <= pixels.max() <= 1


def test_errors_are_shares_of_the_images() -> None:
    """A version that always says 0 is wrong about all other digits: nine tenths."""
    errors = corruption_errors(mute, IMAGES, LABELS, seed=0)
    assert set(errors.values()) == {0.9}


def test_accepted_from_the_threshold_on() -> None:
    """With a threshold of 0 all are accepted, above 1 none, and in between they are counted, kind by kind."""
    knower = Knower()
    assert set(non_digits_accepted(knower, 0.0, IMAGES, seed=0, count=20).values()) == {1.0}
    assert set(non_digits_accepted(knower, 1.1, IMAGES, seed=0, count=20).values()) == {0.0}
    knower.asked.clear()
    accepted = non_digits_accepted(knower, 0.3, IMAGES, seed=0, count=20)
    assert list(accepted) == list(NON_DIGITS)
    for share, pixels in zip(accepted.values(), knower.asked, strict=True):
        assert share == np.mean(pixels.mean(axis=1) >= 0.3)
    assert 0 < sum(accepted.values()) < len(accepted)


def test_threshold_itself_is_accepted() -> None:
    """An image that scores exactly the threshold counts as a digit."""

    def at_the_threshold(pixels: NDArray[np.float32]) -> Answers:
        return Answers(np.zeros((len(pixels), 10), np.float32), np.full(len(pixels), 0.5, np.float32))

    assert set(non_digits_accepted(at_the_threshold, 0.5, IMAGES, seed=0, count=4).values()) == {1.0}


@pytest.mark.parametrize("seed", [0, 1])
def test_seed_decides(seed: int) -> None:
    """The same seed asks for the same images, another seed for others."""
    first, second, other = Knower(), Knower(), Knower()
    corruption_errors(first, IMAGES, LABELS, seed)
    corruption_errors(second, IMAGES, LABELS, seed)
    non_digits_accepted(first, 0.5, IMAGES, seed, count=4)
    non_digits_accepted(second, 0.5, IMAGES, seed, count=4)
    assert all(np.array_equal(a, b) for a, b in zip(first.asked, second.asked, strict=True))
    non_digits_accepted(other, 0.5, IMAGES, seed + 1, count=4)
    assert not any(np.array_equal(a, b) for a, b in zip(first.asked[-len(other.asked) :], other.asked, strict=True))


def test_version_must_tell() -> None:
    """A version without `is_digit` can't be measured on non-digits."""
    with pytest.raises(ValueError, match="is_digit"):
        non_digits_accepted(mute, 0.5, IMAGES, seed=0, count=2)
