"""What a network learns from: the images that the recipe asks for, and never a held-out image."""

from dataclasses import replace

import numpy as np
import pytest

from trainer.data import Dataset
from trainer.images.training_images import TrainingImages, gather
from trainer.profiles import StridedRecipe


@pytest.fixture(scope="module")
def images(dataset: Dataset, recipe: StridedRecipe) -> TrainingImages:
    """With a tenth of drawings and with outliers; made once, because those take seconds."""
    return gather(replace(recipe, drawn_fraction=0.1, outliers_per_batch=8), dataset, seed=0)


def test_plain_recipe_takes_mnist_alone(dataset: Dataset, recipe: StridedRecipe) -> None:
    """Without drawings and outliers it is all training images except the held-out ones, in their order."""
    images = gather(replace(recipe, drawn_fraction=0.0, outliers_per_batch=0), dataset, seed=0)
    np.testing.assert_array_equal(images.digits, dataset.x_train[:550])
    np.testing.assert_array_equal(images.labels, dataset.y_train[:550])
    assert len(images.outliers) == 0


def test_recipe_gets_what_it_asks_for(images: TrainingImages) -> None:
    """A tenth of drawings is a tenth more digits; outliers come in their thousands."""
    assert len(images.digits) == len(images.labels) == 605
    assert len(images.outliers) > 10_000


def test_what_is_held_out_stays_out(dataset: Dataset, images: TrainingImages) -> None:
    """No held-out image is learned from, neither as a digit nor as an outlier."""
    learned = {image.tobytes() for image in np.concatenate([images.digits, images.outliers])}
    assert not any(image.tobytes() in learned for image in dataset.x_train[550:])
