"""The networks: their cost is as documented, and folding changes no answer."""

import numpy as np
import pytest

from trainer.data import Dataset, scale
from trainer.network import build, build_strided, fold_normalisation, multiply_accumulates
from trainer.profiles import RECIPES, Profile, StridedRecipe


@pytest.mark.parametrize(
    ("profile", "parameters", "operations"),
    # Counted by hand: training.md gives 99,802 and 193,090 before two of the four numbers per channel fold away;
    # the default's eleventh output adds 1,153.
    [(Profile.FAST, 99_130, 1_614_592), (Profile.DEFAULT, 193_307, 3_185_376)],
)
def test_cost(profile: Profile, parameters: int, operations: int) -> None:
    """A served network has as many parameters and multiplications as counted by hand from its layers."""
    network = build(RECIPES[profile], seed=0)
    assert (network.count_params(), multiply_accumulates(network)) == (parameters, operations)


def test_folding_changes_no_answer(recipe: StridedRecipe, dataset: Dataset) -> None:
    """A network with any statistics answers the same once its normalisation is folded, within 1e-5."""
    generator = np.random.default_rng(0)
    network = build_strided(recipe, seed=1)
    # Positive, because a variance is; away from 1, so that forgetting one of them shows.
    network.set_weights(
        [
            weight if weight.ndim > 1 else generator.uniform(0.5, 1.5, weight.shape).astype(np.float32)
            for weight in network.get_weights()
        ]
    )
    folded = build(recipe, seed=2)
    fold_normalisation(network, folded)
    pixels = scale(dataset.x_test)
    expected = network(pixels, training=False).numpy()
    np.testing.assert_allclose(folded(pixels).numpy(), expected, atol=1e-5 * np.abs(expected).max())


def test_normalisation_learns_its_statistics(recipe: StridedRecipe, dataset: Dataset) -> None:
    """A training pass moves the running statistics; an answering pass doesn't."""
    network = build_strided(recipe, seed=1)
    before = [weight.copy() for weight in network.get_weights()]
    network(scale(dataset.x_test), training=False)
    for weight, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    network(scale(dataset.x_test), training=True)
    changed = [not np.array_equal(weight, old) for weight, old in zip(network.get_weights(), before, strict=True)]
    assert sum(changed) == 2 * len(recipe.filters)


def test_seed_decides_the_weights(recipe: StridedRecipe) -> None:
    """The same seed gives the same initial weights, another gives others, and no two layers share theirs."""
    first, again, other = (build(recipe, seed).get_weights()[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
