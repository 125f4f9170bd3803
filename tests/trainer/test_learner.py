"""A learner is reproducible from its seed and from where it was interrupted."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.images.training_images import TrainingImages, gather
from trainer.learner import Learner
from trainer.profiles import StridedRecipe


@pytest.fixture(scope="module")
def full_recipe(recipe: StridedRecipe) -> StridedRecipe:
    """The small recipe with everything on."""
    return replace(recipe, drawn_fraction=0.1, disturbed_fraction=0.3, outliers_per_batch=8)


@pytest.fixture(scope="module")
def images(full_recipe: StridedRecipe, dataset: Dataset) -> TrainingImages:
    """The images it learns from, made once, because 12,000 outliers take seconds; don't change them."""
    return gather(full_recipe, dataset, seed=3)


def make_learner(recipe: StridedRecipe, images: TrainingImages) -> Learner:
    """A learner that will take ten steps."""
    return Learner(recipe, images, seed=3, total_steps=10)


def indices(number: int) -> NDArray[np.int32]:
    """The indices of a step's images."""
    return np.random.default_rng(number).permutation(500)[:32].astype(np.int32)


def test_loss_falls(full_recipe: StridedRecipe, images: TrainingImages) -> None:
    """Ten steps on the same images make the loss smaller, with everything on."""
    learner = make_learner(full_recipe, images)
    losses = [learner.step(indices(0), number) for number in range(1, 11)]
    assert losses[-1] < 0.8 * losses[0]


def test_resumed_learner_ends_where_the_other_ends(full_recipe: StridedRecipe, images: TrainingImages) -> None:
    """Two steps, a restart and two more end in the same weights as four steps, bit for bit."""
    through, interrupted, resumed = (make_learner(full_recipe, images) for _ in range(3))
    for number in range(1, 5):
        through.step(indices(number), number)
    for number in range(1, 3):
        interrupted.step(indices(number), number)
    resumed.restore(interrupted.state())
    for number in range(3, 5):
        resumed.step(indices(number), number)
    for expected, actual in zip(through.state(), resumed.state(), strict=True):
        np.testing.assert_array_equal(expected, actual)


def test_disturbances_end_before_the_run_does(full_recipe: StridedRecipe, images: TrainingImages) -> None:
    """The last steps see only what a run without disturbances sees."""
    disturbed = replace(full_recipe, disturbed_until=0.5)
    undisturbed = replace(full_recipe, disturbed_fraction=0.0)
    first, second = make_learner(disturbed, images), make_learner(undisturbed, images)
    assert first.step(indices(1), 5) != second.step(indices(1), 5)
    second.restore(first.state())
    assert first.step(indices(2), 6) == second.step(indices(2), 6)
