"""Fits a network to the training images; the last of them are held out and only ever scored.

It returns the network to be served: float32, averaged, its normalisation folded. Measuring that is left to
`evaluation.py`.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.calibration import calibrate
from trainer.data import DIGITS, Dataset, scale
from trainer.errors import TrainerError
from trainer.evaluation import count_errors, negative_log_likelihood
from trainer.images.training_images import gather
from trainer.learner import Learner
from trainer.network import build, build_tutorial, fold_normalisation
from trainer.profiles import Recipe, StridedRecipe, TutorialRecipe
from trainer.progress import Watcher
from trainer.run import Checkpoint, Run
from trainer.versions.manifest import EpochMetrics

_SCORING_BATCH = 1_000  # images at once when only scoring: big enough to be fast, 20 MB of feature maps

Scorer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images uint8 [N, 28, 28] to a network's outputs float32 [N, 10 or 11]."""


class DivergedError(TrainerError):
    """The loss is not a finite number any more."""


@dataclass(frozen=True)
class Fitted:
    """A network to be served, its outputs on the images held out, and its training history."""

    network: keras.Model
    training_images: int
    held_out_outputs: NDArray[np.float32]
    history: list[EpochMetrics]

    @property
    def seconds(self) -> float:
        """The time of all epochs, including those before an interruption."""
        return sum(epoch["seconds"] for epoch in self.history)


def fit(recipe: Recipe, dataset: Dataset, seed: int, watcher: Watcher, run: Run, *, resume: bool = False) -> Fitted:
    """Fits a recipe's network.

    The same seed, images and machine give the same weights, bit for bit.

    Args:
        recipe: Says what is trained, and how.
        dataset: Its test images are not used.
        seed: Decides the first weights, the images' order and their variation.
        watcher: Is told of every step and epoch.
        run: Keeps what a killed run needs to continue.
        resume: Continues after the run's last complete epoch. The tutorial takes a minute and starts anew.

    Raises:
        DivergedError: The loss is not a finite number any more.
    """
    if isinstance(recipe, TutorialRecipe):
        network, training_images, history = _fit_tutorial(recipe, dataset, seed, watcher, run)
    else:
        network, history = _fit_strided(recipe, dataset, seed, watcher, run, resume=resume)
        training_images = len(dataset.x_train) - dataset.held_out_images
    outputs = compile_scorer(network)(dataset.x_held_out)
    return Fitted(network, training_images, outputs, history)


def compile_scorer(network: keras.Model) -> Scorer:
    """Makes a function from images uint8 [N, 28, 28] to a network's outputs float32 [N, 10 or 11]."""
    answer = tf.function(lambda pixels: network(pixels, training=False), reduce_retracing=True)

    def score(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches = np.split(scale(images), range(_SCORING_BATCH, len(images), _SCORING_BATCH))
        return np.concatenate([answer(tf.constant(batch)).numpy() for batch in batches])

    return score


class _TutorialEpochs(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Passes the events of Keras' callbacks on to a watcher and the run."""

    def __init__(self, watcher: Watcher, run: Run, learning_rate: float) -> None:
        super().__init__()
        self._watcher, self._run, self._learning_rate = watcher, run, learning_rate
        self.history: list[EpochMetrics] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Starts the clock."""
        self._started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:  # noqa: ARG002
        """Counts a step; without this check Keras would go on with a loss of NaN, or fail with an error of its own."""
        if not math.isfinite(logs["loss"]):
            raise _diverged(logs["loss"], len(self.history) + 1, "learning_rate")
        self._watcher.step(logs["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Counts an epoch."""
        metrics: EpochMetrics = {
            "epoch": epoch + 1,
            "loss": logs["loss"],
            "learning_rate": self._learning_rate,
            "held_out_accuracy": logs["val_accuracy"],
            "held_out_nll": logs["val_loss"],
            "seconds": round(time.monotonic() - self._started, 2),
        }
        self.history.append(metrics)
        self._watcher.epoch(metrics)
        self._run.note(self.history)


def _fit_tutorial(
    recipe: TutorialRecipe, dataset: Dataset, seed: int, watcher: Watcher, run: Run
) -> tuple[keras.Model, int, list[EpochMetrics]]:
    network = build_tutorial(recipe, seed)
    network.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    keras.utils.set_random_seed(seed)  # Keras shuffles with the global random generators
    training_images = int(len(dataset.x_train) * (1 - recipe.validation_split))
    watcher.start(recipe.epochs, math.ceil(training_images / recipe.batch_size), 0)
    epochs = _TutorialEpochs(watcher, run, recipe.learning_rate)
    network.fit(
        scale(dataset.x_train),
        dataset.y_train,
        validation_split=recipe.validation_split,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        verbose=0,
        callbacks=[epochs],
    )
    return network, training_images, epochs.history


def _fit_strided(
    recipe: StridedRecipe, dataset: Dataset, seed: int, watcher: Watcher, run: Run, *, resume: bool
) -> tuple[keras.Model, list[EpochMetrics]]:
    images = gather(recipe, dataset, seed)
    batch_size = min(recipe.batch_size, len(images.digits))
    steps = len(images.digits) // batch_size
    learner = Learner(recipe, images, seed, steps * recipe.epochs)
    score = compile_scorer(learner.average)
    history = _resumed(learner, run) if resume else []
    watcher.start(recipe.epochs, steps, len(history))
    for epoch, order in enumerate(_shuffled(len(images.digits), recipe.epochs, seed)):
        if epoch < len(history):
            continue  # learned before the run was interrupted
        started, losses = time.monotonic(), []
        for index, indices in enumerate(np.split(order[: steps * batch_size], steps)):
            losses.append(learner.step(indices, epoch * steps + index + 1))
            watcher.step(losses[-1])
        loss = math.fsum(losses) / steps
        if not math.isfinite(loss):
            raise _diverged(loss, epoch + 1, "peak_learning_rate")
        rate = float(learner.optimiser.learning_rate(tf.constant(float((epoch + 1) * steps))))
        history.append(_describe_epoch(epoch + 1, loss, rate, score(dataset.x_held_out), dataset.y_held_out, started))
        watcher.epoch(history[-1])
        run.save(Checkpoint(history, learner.state()))
    served = build(recipe, seed)
    fold_normalisation(learner.average, served)
    return served, history


def _diverged(loss: float, epoch: int, rate: str) -> DivergedError:
    """Says what can be done; `rate` names the learning rate in the recipe, for which the command has no option."""
    advice = f"try another --seed, or a lower {rate} in trainer/profiles.py"
    return DivergedError(f"the loss is {loss} in epoch {epoch}: {advice}")


def _resumed(learner: Learner, run: Run) -> list[EpochMetrics]:
    """Restores the learner from the run's checkpoint, if there is one; returns the epochs until then."""
    checkpoint = run.resume()
    if checkpoint is None:
        return []
    learner.restore(checkpoint.state)
    return list(checkpoint.history)


def _describe_epoch(
    epoch: int, loss: float, rate: float, outputs: NDArray[np.float32], labels: NDArray[np.uint8], started: float
) -> EpochMetrics:
    probabilities = calibrate(outputs[:, :DIGITS], 1.0)
    return {
        "epoch": epoch,
        "loss": loss,
        "learning_rate": rate,
        "held_out_accuracy": 1 - count_errors(probabilities, labels) / len(labels),
        "held_out_nll": negative_log_likelihood(probabilities, labels),
        "seconds": round(time.monotonic() - started, 2),
    }


def _shuffled(images: int, epochs: int, seed: int) -> Iterator[NDArray[np.int32]]:
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        yield generator.permutation(images).astype(np.int32)
