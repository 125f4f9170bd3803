"""A learner: the same from the same seed, and from where it was interrupted."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data import Dataset
from trainer.learner import Learner
from trainer.profiles import StridedRecipe
from trainer.training_images import TrainingImages, gather


@pytest.fixture(scope="module")
def full_recipe(recipe: StridedRecipe) -> StridedRecipe:
    """The small recipe with everything on."""
    return replace(recipe, drawn_fraction=0.1, disturbed_fraction=0.3, outliers_per_batch=8)


@pytest.fixture(scope="module")
def images(full_recipe: StridedRecipe, dataset: Dataset) -> TrainingImages:
    """What it learns from, made once, because 12,000 outliers take seconds; don't change it."""
    return gather(full_recipe, dataset, seed=3)


def make_learner(recipe: StridedRecipe, images: TrainingImages) -> Learner:
    """A learner that will take ten steps."""
    return Learner(recipe, images, seed=3, total_steps=10)


def indices(number: int) -> NDArray[np.int32]:
    """The images of a step."""
    return np.random.default_rng(number).permutation(500)[:32].astype(np.int32)


def test_loss_falls(full_recipe: StridedRecipe, images: TrainingImages) -> None:
    """Ten steps on the same images make the loss smaller, with everything on."""
    learner = make_learner(full_recipe, images)
    losses = list(learner.learn([indices(0)] * 10, first=1))
    assert losses[-1] < 0.8 * losses[0]


def test_resumed_learner_ends_where_the_other_ends(full_recipe: StridedRecipe, images: TrainingImages) -> None:
    """Four steps, and two, a restart and two more, end in the same weights, bit for bit."""
    through, interrupted, resumed = (make_learner(full_recipe, images) for _ in range(3))
    parts = [indices(number) for number in range(4)]
    learned = list(through.learn(parts, first=1))
    assert list(interrupted.learn(parts[:2], first=1)) == learned[:2]
    resumed.restore(interrupted.state())
    assert list(resumed.learn(parts[2:], first=3)) == learned[2:]
    for expected, actual in zip(through.state(), resumed.state(), strict=True):
        np.testing.assert_array_equal(expected, actual)


def test_drawing_ahead_changes_nothing(full_recipe: StridedRecipe, images: TrainingImages) -> None:
    """Batches drawn while the one before is learned give the weights that batches drawn in turn give."""
    ahead, in_turn = make_learner(full_recipe, images), make_learner(full_recipe, images)
    parts = [indices(number) for number in range(3)]
    losses = [in_turn.step(in_turn.draw(part, number)) for number, part in enumerate(parts, 1)]
    assert list(ahead.learn(parts, first=1)) == losses
    for expected, actual in zip(in_turn.state(), ahead.state(), strict=True):
        np.testing.assert_array_equal(expected, actual)


def test_nothing_to_learn_from_is_nothing_learned(full_recipe: StridedRecipe, images: TrainingImages) -> None:
    """Without a part there is no step."""
    assert not list(make_learner(full_recipe, images).learn([], first=1))


def test_disturbances_end_before_the_run_does(full_recipe: StridedRecipe, images: TrainingImages) -> None:
    """The last steps see only what a run without disturbances sees."""
    disturbed = replace(full_recipe, disturbed_until=0.5)
    undisturbed = replace(full_recipe, disturbed_fraction=0.0)
    first, second = make_learner(disturbed, images), make_learner(undisturbed, images)
    assert list(first.learn([indices(1)], first=5)) != list(second.learn([indices(1)], first=5))
    second.restore(first.state())
    assert list(first.learn([indices(2)], first=6)) == list(second.learn([indices(2)], first=6))
