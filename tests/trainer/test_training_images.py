"""What a network learns from: what the recipe asks for, and never an image that is held out."""

from dataclasses import replace

import numpy as np

from trainer.data import Dataset
from trainer.profiles import StridedRecipe
from trainer.training_images import gather


def test_plain_recipe_takes_mnist_alone(dataset: Dataset, recipe: StridedRecipe) -> None:
    """Without drawings and outliers it is all training images but those held out, in their order."""
    images = gather(replace(recipe, drawn_fraction=0.0, outliers_per_batch=0), dataset, seed=0)
    np.testing.assert_array_equal(images.digits, dataset.x_train[:550])
    np.testing.assert_array_equal(images.labels, dataset.y_train[:550])
    assert len(images.outliers) == 0


def test_recipe_gets_what_it_asks_for(dataset: Dataset, recipe: StridedRecipe) -> None:
    """A tenth of drawings is a tenth more digits; outliers come in their thousands."""
    images = gather(replace(recipe, drawn_fraction=0.1, outliers_per_batch=8), dataset, seed=0)
    assert len(images.digits) == len(images.labels) == 605
    assert len(images.outliers) > 10_000


def test_what_is_held_out_stays_out(dataset: Dataset, recipe: StridedRecipe) -> None:
    """No image that is held out is learned from, neither as a digit nor as an outlier."""
    images = gather(replace(recipe, drawn_fraction=0.1, outliers_per_batch=8), dataset, seed=0)
    learned = {image.tobytes() for image in np.concatenate([images.digits, images.outliers])}
    assert not any(image.tobytes() in learned for image in dataset.x_train[550:])
