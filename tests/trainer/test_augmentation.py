"""The variation of images: nothing where nothing is asked for, bounded and repeatable where it is."""

from dataclasses import replace

import numpy as np
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
    """Varies images, as images."""
    varied = augment(tf.constant(images), tf.constant([0, seed]), recipe).numpy()
    return np.asarray(varied.reshape(-1, SIDE, SIDE))


def test_no_variation_changes_nothing(dataset: Dataset, recipe: StridedRecipe) -> None:
    """With everything off, what comes out is what went in, scaled to 0 to 1."""
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


def test_rotation_keeps_the_centre(recipe: StridedRecipe) -> None:
    """A bar through the centre turns about it: its centre of mass stays."""
    images = np.zeros((50, SIDE, SIDE), np.uint8)
    images[:, 13:15, 6:22] = 255
    varied = vary(images, 1, replace(still(recipe), max_rotation_degrees=12.0))
    rows = (varied.sum(axis=2) * np.arange(SIDE)).sum(axis=1) / varied.sum(axis=(1, 2))
    np.testing.assert_allclose(rows, 13.5, atol=0.02)
    assert np.ptp(varied.sum(axis=2).max(axis=1)) > 0.5


def test_only_the_asked_share_gets_another_pen(dataset: Dataset, recipe: StridedRecipe) -> None:
    """Some images get thicker, as many get thinner, the others stay."""
    images = dataset.x_train[:40]
    change = (vary(images, 1, replace(still(recipe), thickness_fraction=0.5)) - images / 255).sum(axis=(1, 2))
    assert np.count_nonzero(change > 1) == 10
    assert np.count_nonzero(change < -1) == 10
    np.testing.assert_allclose(np.sort(np.abs(change))[:20], 0, atol=1e-3)


def test_any_image_of_a_batch_may_get_another_pen(dataset: Dataset, recipe: StridedRecipe) -> None:
    """Outliers are the last ones: were it always the first that change, a thick pen would mean a digit."""
    images = dataset.x_train[:40]
    pens = replace(still(recipe), thickness_fraction=0.5)
    changed = [np.abs(vary(images, seed, pens) - images / 255).max(axis=(1, 2)) > 0.01 for seed in range(20)]
    assert np.sum(changed, axis=0).min() > 0
