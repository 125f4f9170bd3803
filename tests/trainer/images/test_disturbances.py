"""Disturbances change only the requested share, stay within 0 to 1, all do something, and follow the seed."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.synthetic import draw_digits
from trainer.data import scale
from trainer.images.disturbances import disturb


def disturbed(fraction: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A hundred digits before and after, each float32 [100, 784]."""
    images, _ = draw_digits(100, seed=0)
    pixels = scale(images)
    after: NDArray[np.float32] = disturb(tf.constant(pixels), tf.constant([0, seed]), fraction).numpy()
    return pixels, after


@pytest.mark.parametrize(("fraction", "changed"), [(0.0, 0), (0.2, 20), (1.0, 100)])
def test_only_the_asked_share_changes(fraction: float, changed: int) -> None:
    """At most this many images change, and nearly as many; the others stay as they are."""
    before, after = disturbed(fraction, seed=1)
    assert 0.9 * changed / 100 <= np.mean((before != after).any(axis=1)) <= changed / 100


def test_any_image_of_a_batch_may_change() -> None:
    """Not only the first ones: every eighth image is unmoved, and each disturbance should meet unmoved images too."""
    changed = [(before != after).any(axis=1) for before, after in (disturbed(0.2, seed) for seed in range(40))]
    times = np.sum(changed, axis=0)
    assert times.min() > 0
    assert times.max() < 30


def test_pixels_stay_pixels() -> None:
    """Whatever is added, every pixel is a number from 0 to 1."""
    _, after = disturbed(1.0, seed=2)
    assert after.dtype == np.float32
    assert after.min() >= 0
    assert after.max() <= 1


def test_every_kind_changes_pictures() -> None:
    """From some place on, every ten images in a row have one kind of disturbance, which changes most of them."""
    before, after = disturbed(1.0, seed=3)
    changed = np.abs(before - after).max(axis=1) > 0.05
    of_each_kind = [np.roll(changed, -place).reshape(10, 10).sum(axis=1) for place in range(10)]
    assert min(counts.min() for counts in of_each_kind) >= 5


def test_same_seed_same_disturbance() -> None:
    """The same seed gives the same pictures, another gives others."""
    _, first = disturbed(1.0, seed=4)
    _, again = disturbed(1.0, seed=4)
    _, other = disturbed(1.0, seed=5)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
