"""The variation of images changes nothing unless asked to, and is bounded and repeatable."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from trainer.augmentation import augment
from trainer.data import Dataset
from trainer.profiles import StridedRecipe

SIDE = 28


def still(recipe: StridedRecipe) -> StridedRecipe:
    """The recipe with every variation off."""
    return replace(
        recipe,
        max_rotation_degrees=0.0,
        max_log_scale=0.0,
        max_shear=0.0,
        max_shift_pixels=0.0,
        elastic_pixels=0.0,
        thickness_fraction=0.0,
    )


def vary(images: NDArray[np.uint8], seed: int, recipe: StridedRecipe) -> NDArray[np.float32]:
    """Varies images and returns them as images again, float32 [N, 28, 28]."""
    varied = augment(tf.constant(images), tf.constant([0, seed]), recipe).numpy()
    return np.asarray(varied.reshape(-1, SIDE, SIDE))


def spread(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far the ink reaches along rows and columns, and how it leans: covariances float64 [N, 2, 2]."""
    mass = images.astype(np.float64) / images.sum(axis=(1, 2), keepdims=True)
    places = np.indices((SIDE, SIDE)).reshape(2, -1)
    return np.stack([np.cov(places, aweights=each.ravel(), ddof=0) for each in mass])


def test_no_variation_changes_nothing(dataset: Dataset, recipe: StridedRecipe) -> None:
    """With everything off, the images are only scaled to 0 to 1."""
    images = dataset.x_train[:20]
    np.testing.assert_allclose(vary(images, 1, still(recipe)), images / 255, atol=1e-6)


def test_unmoved_images_stay_as_they_are(dataset: Dataset, recipe: StridedRecipe) -> None:
    """Of every eight images one is left where it is, as sharp as before; all others move."""
    images = dataset.x_train[:24]
    varied = vary(images, 1, replace(recipe, unmoved_fraction=0.125, thickness_fraction=0.0))
    change = np.abs(varied - images / 255).max(axis=(1, 2))
    np.testing.assert_array_equal(np.flatnonzero(change < 1e-6), [7, 15, 23])


def test_same_seed_same_variation(dataset: Dataset, recipe: StridedRecipe) -> None:
    """The same seed gives the same images, another gives others, and all stay within 0 to 1."""
    images = dataset.x_train[:20]
    first = vary(images, 1, recipe)
    np.testing.assert_array_equal(first, vary(images, 1, recipe))
    assert np.abs(first - vary(images, 2, recipe)).max() > 0.1
    assert first.min() >= 0
    assert first.max() <= 1 + 1e-6


def test_shift_moves_ink_and_keeps_it(recipe: StridedRecipe) -> None:
    """A shift moves the centre of mass by no more than its bound, and loses no ink."""
    images = np.zeros((200, SIDE, SIDE), np.uint8)
    images[:, 12:16, 12:16] = 255
    varied = vary(images, 1, replace(still(recipe), max_shift_pixels=2.2))
    total = varied.sum(axis=(1, 2))
    np.testing.assert_allclose(total, 16, rtol=1e-4)
    rows = (varied.sum(axis=2) * np.arange(SIDE)).sum(axis=1) / total - 13.5
    assert np.abs(rows).max() <= 2.2 + 1e-4
    assert rows.min() < -1.5
    assert rows.max() > 1.5


def test_rotation_keeps_the_centre_and_its_bound(recipe: StridedRecipe) -> None:
    """A bar through the centre turns about it, by 12 degrees at most: its centre of mass stays."""
    images = np.zeros((200, SIDE, SIDE), np.uint8)
    images[:, 13:15, 6:22] = 255
    varied = vary(images, 1, replace(still(recipe), max_rotation_degrees=12.0))
    rows = (varied.sum(axis=2) * np.arange(SIDE)).sum(axis=1) / varied.sum(axis=(1, 2))
    np.testing.assert_allclose(rows, 13.5, atol=0.02)
    reach = spread(varied)
    degrees = np.degrees(np.arctan2(2 * reach[:, 0, 1], reach[:, 1, 1] - reach[:, 0, 0]) / 2)
    assert 11 < degrees.max() < 12.2
    assert -12.2 < degrees.min() < -11


def test_shear_keeps_its_bound(recipe: StridedRecipe) -> None:
    """An upright bar leans to either side by at most 0.2 of its height."""
    images = np.zeros((200, SIDE, SIDE), np.uint8)
    images[:, 6:22, 13:15] = 255
    reach = spread(vary(images, 1, replace(still(recipe), max_shear=0.2)))
    lean = reach[:, 0, 1] / reach[:, 0, 0]
    assert 0.18 < lean.max() < 0.205
    assert -0.205 < lean.min() < -0.18


def test_size_keeps_its_bound_on_each_axis(recipe: StridedRecipe) -> None:
    """A square becomes higher or lower, wider or narrower, each by 0.12 on a logarithmic scale at most."""
    images = np.zeros((200, SIDE, SIDE), np.uint8)
    images[:, 6:22, 6:22] = 255
    reach = spread(vary(images, 1, replace(still(recipe), max_log_scale=0.12)))
    for axis in (0, 1):
        change = np.log(reach[:, axis, axis] / ((16**2 - 1) / 12)) / 2
        assert 0.1 < change.max() < 0.13
        assert -0.13 < change.min() < -0.1
    assert np.abs(reach[:, 0, 0] - reach[:, 1, 1]).max() > 4


def test_wobble_is_as_strong_as_asked(recipe: StridedRecipe) -> None:
    """A dot wanders by half of the knots' deviation, which is what the spline leaves, in both directions alike."""
    images = np.zeros((400, SIDE, SIDE), np.uint8)
    images[:, 13:15, 13:15] = 255
    varied = vary(images, 1, replace(still(recipe), elastic_pixels=1.2))
    total = varied.sum(axis=(1, 2))
    for axis in (1, 2):
        wandered = (varied.sum(axis=axis) * np.arange(SIDE)).sum(axis=1) / total - 13.5
        assert np.std(wandered) == pytest.approx(0.6, abs=0.1)
        assert np.mean(wandered) == pytest.approx(0, abs=0.1)


def test_only_the_asked_share_gets_another_pen(dataset: Dataset, recipe: StridedRecipe) -> None:
    """Some images get thicker, as many get thinner, the others stay."""
    images = dataset.x_train[:40]
    change = (vary(images, 1, replace(still(recipe), thickness_fraction=0.5)) - images / 255).sum(axis=(1, 2))
    assert np.count_nonzero(change > 1) == 10
    assert np.count_nonzero(change < -1) == 10
    np.testing.assert_allclose(np.sort(np.abs(change))[:20], 0, atol=1e-3)


def test_any_image_of_a_batch_may_get_another_pen(dataset: Dataset, recipe: StridedRecipe) -> None:
    """Outliers are the last ones: if only the first images ever changed, a thick pen would mean a digit."""
    images = dataset.x_train[:40]
    pens = replace(still(recipe), thickness_fraction=0.5)
    changed = [np.abs(vary(images, seed, pens) - images / 255).max(axis=(1, 2)) > 0.01 for seed in range(20)]
    assert np.sum(changed, axis=0).min() > 0
