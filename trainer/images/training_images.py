"""What a network learns from: MNIST's training images, drawn digits beside them, and outliers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.images.drawings import draw_digits
from trainer.images.outliers import make_outliers
from trainer.profiles import StridedRecipe

_OUTLIERS = 12_000  # each comes up every 1.6 epochs on average, never twice in the same variation


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Digits uint8 [N, 28, 28] with labels uint8 [N]; outliers uint8 [M, 28, 28], maybe none."""

    digits: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    outliers: NDArray[np.uint8]


def gather(recipe: StridedRecipe, dataset: Dataset, seed: int) -> TrainingImages:
    """Takes all training images but those held out, and adds the drawn digits and outliers that the recipe asks for."""
    generator = np.random.default_rng(seed)
    count = len(dataset.x_train) - dataset.held_out_images
    digits, labels = dataset.x_train[:count], dataset.y_train[:count]
    drawn, drawn_labels = draw_digits(round(count * recipe.drawn_fraction), generator)
    outliers = make_outliers(_OUTLIERS if recipe.outliers_per_batch else 0, digits, generator)
    return TrainingImages(np.concatenate([digits, drawn]), np.concatenate([labels, drawn_labels]), outliers)
