"""One network being trained: its weights, their average, the optimiser, and a step compiled into one graph.

`fitting.py` decides how long it learns and what becomes of it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.augmentation import augment
from trainer.data import DIGITS
from trainer.images.disturbances import disturb
from trainer.images.training_images import TrainingImages
from trainer.network import build_strided
from trainer.optimiser import AdamW, update_average
from trainer.profiles import StridedRecipe
from trainer.runtime import training_precision


class Learner:
    """Learns from images chosen by index; `average` is the network to be scored and served."""

    def __init__(self, recipe: StridedRecipe, images: TrainingImages, seed: int, total_steps: int) -> None:
        self._recipe = recipe
        self._seed = seed
        self._last_disturbed_step = round(total_steps * recipe.disturbed_until)
        self._digits, self._labels = tf.constant(images.digits), tf.constant(images.labels, tf.int32)
        self._outliers = tf.constant(images.outliers)
        self._network = build_strided(recipe, seed, precision=training_precision())
        self.average = build_strided(recipe, seed)
        self.average.set_weights(self._network.get_weights())
        self.optimiser = AdamW(recipe, self._network.trainable_variables, total_steps)
        self._step = tf.function(self._learn)

    def step(self, indices: NDArray[np.int32], number: int) -> float:
        """Learns from the digits at indices int32 [N], as step `number` (from 1); returns the loss."""
        return float(self._step(tf.constant(indices), tf.constant(number)))

    def state(self) -> list[NDArray[np.float32]]:
        """Everything that the steps have changed, to continue from later."""
        return [np.asarray(variable) for variable in self._changing()]

    def restore(self, state: Sequence[NDArray[np.float32]]) -> None:
        """Restores the state of a learner of the same recipe."""
        for variable, value in zip(self._changing(), state, strict=True):
            variable.assign(value)

    def _changing(self) -> list[Any]:
        return [*self._network.variables, *self.average.variables, *self.optimiser.variables]

    def _learn(self, indices: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        labels = tf.gather(self._labels, indices)
        pixels = self._draw_batch(indices, number)
        with tf.GradientTape() as tape:
            outputs = self._network(pixels, training=True)
            loss = _loss(outputs, labels, self._recipe)
        gradients = tape.gradient(loss, self._network.trainable_variables)
        step = tf.cast(number, tf.float32)
        self.optimiser.apply(gradients, step)
        update_average(self.average.variables, self._network.variables, self._recipe.averaging_decay, step)
        return loss

    def _draw_batch(self, indices: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """The digits at these indices, followed by some outliers, each varied: float32 [N, 784]."""
        recipe = self._recipe
        seeds = tf.random.split(tf.stack([self._seed, number]), 3)
        variation_seed, disturbance_seed, outlier_seed = tf.unstack(seeds)
        images = tf.gather(self._digits, indices)
        if recipe.outliers_per_batch:
            count = self._outliers.shape[0]
            chosen = tf.random.stateless_uniform((recipe.outliers_per_batch,), outlier_seed, 0, count, tf.int32)
            images = tf.concat([images, tf.gather(self._outliers, chosen)], axis=0)
        # Outliers too: resampling blurs, and otherwise all sharp pictures would be taken for outliers.
        pixels = augment(images, variation_seed, recipe)
        digits, outliers = pixels[: indices.shape[0]], pixels[indices.shape[0] :]
        digits = tf.cond(
            number <= self._last_disturbed_step,
            lambda: disturb(digits, disturbance_seed, recipe.disturbed_fraction),
            lambda: digits,
        )
        return tf.concat([digits, outliers], axis=0)


def _loss(outputs: tf.Tensor, labels: tf.Tensor, recipe: StridedRecipe) -> tf.Tensor:
    """Cross-entropy of the digits; with outliers, also that of telling them from digits.

    The digits' logits are not trained on outliers, since such training would cost accuracy (docs/decisions/0009).
    """
    digits = labels.shape[0]
    loss = _smoothed_cross_entropy(labels, outputs[:digits, :DIGITS], recipe.label_smoothing)
    if recipe.outliers_per_batch:
        is_digit = tf.concat([tf.ones((digits,)), tf.zeros((recipe.outliers_per_batch,))], axis=0)
        telling = tf.nn.sigmoid_cross_entropy_with_logits(is_digit, outputs[:, DIGITS])
        loss += recipe.outlier_weight * tf.reduce_mean(telling)
    return loss


def _smoothed_cross_entropy(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
    targets = tf.one_hot(labels, DIGITS) * (1.0 - smoothing) + smoothing / DIGITS
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
