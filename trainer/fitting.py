"""Fits a network to the training images; the last of them are held out and only ever scored.

What comes back is the network to be served: float32, averaged, its normalisation folded. Judging
it is left to `evaluation.py`.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.augmentation import augment
from trainer.data import DIGITS, IMAGE_SIDE, Dataset
from trainer.errors import TrainerError
from trainer.network import build, build_strided, build_tutorial, fold_normalisation
from trainer.optimiser import AdamW, update_average
from trainer.profiles import Recipe, StridedRecipe, TutorialRecipe
from trainer.progress import FittingProgress
from trainer.runtime import training_precision

_SCORING_BATCH = 1_000  # images at once when nothing is learned: big enough to be fast, 20 MB of maps

Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Learns from the images at indices int32 [N], as step int32 (from 1); returns the loss."""

Scorer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images uint8 [N, 28, 28] to logits float32 [N, 10]."""


class DivergedError(TrainerError):
    """The loss is no number any more."""


@dataclass(frozen=True)
class Fitted:
    """A network to be served, and what it says of the images held out."""

    network: keras.Model
    training_images: int
    held_out_logits: NDArray[np.float32]
    seconds: float


def fit(recipe: Recipe, dataset: Dataset, seed: int, progress: FittingProgress) -> Fitted:
    """Fits a recipe's network.

    The same seed gives the same initial weights, order and augmentation; sums run in parallel, so
    the last bits of the result may differ.

    Raises:
        DivergedError: The loss is no number any more.
    """
    started = time.monotonic()
    if isinstance(recipe, TutorialRecipe):
        network, training_images = _fit_tutorial(recipe, dataset, seed, progress)
    else:
        network, training_images = _fit_strided(recipe, dataset, seed, progress)
    held_out = dataset.x_train[-dataset.held_out_images :]
    return Fitted(network, training_images, compile_scorer(network)(held_out), time.monotonic() - started)


def compile_scorer(network: keras.Model) -> Scorer:
    """Makes a function from images uint8 [N, 28, 28] to a network's logits float32 [N, 10]."""
    answer = tf.function(lambda pixels: network(pixels, training=False), reduce_retracing=True)

    def score(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches = np.split(scale(images), range(_SCORING_BATCH, len(images), _SCORING_BATCH))
        return np.concatenate([answer(tf.constant(batch)).numpy() for batch in batches])

    return score


def scale(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turns images uint8 [N, 28, 28] into the network's pixels: float32 [N, 784] in 0 to 1."""
    return images.reshape(len(images), IMAGE_SIDE * IMAGE_SIDE).astype(np.float32) / np.float32(255)


def _fit_tutorial(
    recipe: TutorialRecipe, dataset: Dataset, seed: int, progress: FittingProgress
) -> tuple[keras.Model, int]:
    network = build_tutorial(recipe, seed)
    network.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    keras.utils.set_random_seed(seed)  # Keras shuffles by the global generators
    training_images = int(len(dataset.x_train) * (1 - recipe.validation_split))
    progress.start(recipe.epochs, math.ceil(training_images / recipe.batch_size))
    network.fit(
        scale(dataset.x_train),
        dataset.y_train,
        validation_split=recipe.validation_split,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda _, logs: progress.step(logs["loss"]),
                on_epoch_end=lambda _, logs: progress.epoch(logs["loss"], logs["val_accuracy"]),
            ),
            keras.callbacks.TerminateOnNaN(raise_error=True),
        ],
    )
    return network, training_images


def _fit_strided(
    recipe: StridedRecipe, dataset: Dataset, seed: int, progress: FittingProgress
) -> tuple[keras.Model, int]:
    training_images = len(dataset.x_train) - dataset.held_out_images
    held_out, held_out_labels = dataset.x_train[training_images:], dataset.y_train[training_images:]
    batch_size = min(recipe.batch_size, training_images)
    steps = training_images // batch_size
    average = build_strided(recipe, seed)
    score = compile_scorer(average)
    step = _compile_step(recipe, dataset, seed, average, steps * recipe.epochs)
    progress.start(recipe.epochs, steps)
    number = 0
    for order in _shuffled(training_images, recipe.epochs, seed):
        loss = tf.zeros(())
        for indices in np.split(order[: steps * batch_size], steps):
            number += 1
            loss = step(tf.constant(indices), tf.constant(number))
            progress.step(float(loss))
        if not math.isfinite(float(loss)):
            raise DivergedError(f"the loss is {float(loss)} after step {number}: lower the learning rate")
        predicted = score(held_out).argmax(axis=1)
        progress.epoch(float(loss), float(np.mean(predicted == held_out_labels)))
    served = build(recipe, seed)
    fold_normalisation(average, served)
    return served, training_images


def _shuffled(images: int, epochs: int, seed: int) -> Iterator[NDArray[np.int32]]:
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        yield generator.permutation(images).astype(np.int32)


def _compile_step(recipe: StridedRecipe, dataset: Dataset, seed: int, average: keras.Model, total_steps: int) -> Step:
    """Compiles all of a step into one graph: from indices into memory to the averaged weights."""
    network = build_strided(recipe, seed, precision=training_precision())
    optimiser = AdamW(recipe, network.trainable_variables, total_steps)
    images, labels = tf.constant(dataset.x_train), tf.constant(dataset.y_train, tf.int32)
    average.set_weights(network.get_weights())

    def step(indices: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        pixels = augment(tf.gather(images, indices), tf.stack([seed, number]), recipe)
        with tf.GradientTape() as tape:
            logits = network(pixels, training=True)
            loss = _smoothed_loss(tf.gather(labels, indices), logits, recipe.label_smoothing)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimiser.apply(gradients, tf.cast(number, tf.float32))
        update_average(
            average.variables,
            network.variables,
            recipe.averaging_decay,
            tf.cast(number, tf.float32),
        )
        return loss

    compiled: Step = tf.function(step)
    return compiled


def _smoothed_loss(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
    targets = tf.one_hot(labels, DIGITS) * (1.0 - smoothing) + smoothing / DIGITS
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
