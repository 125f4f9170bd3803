"""AdamW and the average of weights: they do what their papers say."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from trainer.optimiser import AdamW, update_average
from trainer.profiles import StridedRecipe


def test_rate_warms_up_and_anneals(recipe: StridedRecipe) -> None:
    """The rate rises linearly to its peak, then falls smoothly to zero at the last step."""
    optimiser = AdamW(replace(recipe, warm_up_fraction=0.2, peak_learning_rate=1.0), [], total_steps=100)
    rates = np.array([float(optimiser.learning_rate(tf.constant(float(step)))) for step in range(1, 101)])
    np.testing.assert_allclose(rates[:20], np.arange(1, 21) / 20, rtol=1e-5)
    assert np.all(np.diff(rates[20:]) < 0)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_first_step_has_the_size_of_the_rate(recipe: StridedRecipe) -> None:
    """Adam's first step has the size of the rate, against the gradient's sign, however small the gradient."""
    optimiser_recipe = replace(recipe, warm_up_fraction=0.1, peak_learning_rate=0.1)
    variable = tf.Variable([1.0, 1.0, 1.0])
    optimiser = AdamW(optimiser_recipe, [variable], total_steps=10)
    optimiser.apply([tf.constant([1e-2, -5.0, 0.0])], tf.constant(1.0))
    np.testing.assert_allclose(variable.numpy(), [0.9, 1.1, 1.0], atol=1e-4)


def test_steps_keep_their_size_while_the_gradient_does(recipe: StridedRecipe) -> None:
    """Both moments are corrected for starting at zero: under a constant gradient each step has the size of the rate."""
    optimiser_recipe = replace(recipe, warm_up_fraction=0.1, peak_learning_rate=0.1)
    variable = tf.Variable([1.0])
    optimiser = AdamW(optimiser_recipe, [variable], total_steps=10)
    for step in range(1, 9):
        before = variable.numpy().copy()
        optimiser.apply([tf.constant([0.3])], tf.constant(float(step)))
        rate = float(optimiser.learning_rate(tf.constant(float(step))))
        assert before - variable.numpy() == pytest.approx(rate, rel=1e-3)


def test_only_kernels_decay(recipe: StridedRecipe) -> None:
    """Without a gradient kernels shrink by rate times decay, and biases stay."""
    optimiser_recipe = replace(recipe, warm_up_fraction=0.1, peak_learning_rate=0.1, weight_decay=0.5)
    kernel, bias = tf.Variable(tf.ones((2, 2))), tf.Variable(tf.ones(2))
    AdamW(optimiser_recipe, [kernel, bias], total_steps=10).apply([tf.zeros((2, 2)), tf.zeros(2)], tf.constant(1.0))
    np.testing.assert_allclose(kernel.numpy(), 0.95)
    np.testing.assert_allclose(bias.numpy(), 1.0)


def test_average_follows_closely_at_first() -> None:
    """Early on the average moves most of the way; later by one part in 1 / (1 - decay)."""
    early, late, weight = tf.Variable(0.0), tf.Variable(0.0), tf.Variable(1.0)
    update_average([early], [weight], 0.99, tf.constant(1.0))
    update_average([late], [weight], 0.99, tf.constant(1e6))
    assert float(early) == pytest.approx(1 - 2 / 11)
    assert float(late) == pytest.approx(0.01, rel=1e-4)
