"""The two networks, in Keras' functional form, and what they cost.

Both take `pixels` float32 [N, 784] in 0 to 1 and give logits float32 [N, 10]; a network that learns from outliers gives
an eleventh, which tells digits from other things. The strided network is built with batch normalisation for training,
and without it for serving: `fold_normalisation` puts the normalisation into the convolutions, where it costs nothing.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.data import DIGITS, IMAGE_SIDE
from trainer.profiles import Recipe, StridedRecipe, TutorialRecipe

# Small against a variance near 1; Keras' default.
_NORMALISATION_EPSILON = 1e-3


# Keras ships no types, so its classes are unknown to mypy.
class FusedBatchNormalization(keras.layers.Layer):  # type: ignore[misc]
    """Batch normalisation as one operation; Keras 3's own is several, and 1.1 to 1.6 times slower.

    Scale, offset and statistics stay float32 whatever precision the convolutions run in.
    """

    def __init__(self, momentum: float, **options: object) -> None:
        super().__init__(dtype="float32", autocast=False, **options)
        self.momentum = momentum

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the four variables, each float32 [channels]."""
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        self.mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape=shape, initializer="ones", trainable=False, name="variance")

    def call(self, inputs: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """Normalises by the batch and updates the statistics in training; otherwise normalises by the statistics."""
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        fused = tf.compat.v1.nn.fused_batch_norm
        if training:
            outputs, mean, variance = fused(inputs, gamma, beta, epsilon=_NORMALISATION_EPSILON)
            self.mean.assign(self.mean * self.momentum + mean * (1 - self.momentum))
            self.variance.assign(self.variance * self.momentum + variance * (1 - self.momentum))
            return outputs
        mean, variance = tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance)
        outputs, _, _ = fused(inputs, gamma, beta, mean, variance, epsilon=_NORMALISATION_EPSILON, is_training=False)
        return outputs


def build_tutorial(recipe: TutorialRecipe, seed: int) -> keras.Model:
    """Builds convolution, pooling, convolution, pooling, and one dense layer."""
    pixels = keras.Input((IMAGE_SIDE * IMAGE_SIDE,), name="pixels")
    maps = keras.layers.Reshape((IMAGE_SIDE, IMAGE_SIDE, 1))(pixels)
    for index, filters in enumerate(recipe.filters):
        maps = keras.layers.Conv2D(
            filters,
            3,
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=seed * 100 + index),
        )(maps)
        maps = keras.layers.MaxPooling2D()(maps)
    features = keras.layers.Dropout(recipe.dropout, seed=seed)(keras.layers.Flatten()(maps))
    return keras.Model(pixels, _dense(seed, DIGITS)(features))


def build_strided(
    recipe: StridedRecipe, seed: int, *, precision: str = "float32", normalised: bool = True
) -> keras.Model:
    """Builds the strided network in a precision, by Keras' name for it, with or without normalisation."""
    pixels = keras.Input((IMAGE_SIDE * IMAGE_SIDE,), name="pixels")
    maps = keras.layers.Reshape((IMAGE_SIDE, IMAGE_SIDE, 1))(pixels)
    for index, filters in enumerate(recipe.filters):
        maps = keras.layers.Conv2D(
            filters,
            kernel_size=5 if index == 0 else 3,
            strides=2 if index < 2 else 1,
            padding="same" if index < 2 else "valid",
            use_bias=not normalised,
            dtype=precision,
            kernel_initializer=keras.initializers.HeNormal(seed=seed * 100 + index),
        )(maps)
        if normalised:
            maps = FusedBatchNormalization(recipe.normalisation_momentum)(maps)
        maps = keras.layers.ReLU(dtype=precision)(maps)
    outputs = DIGITS + 1 if recipe.outliers_per_batch else DIGITS
    return keras.Model(pixels, _dense(seed, outputs)(keras.layers.Flatten()(maps)))


def build(recipe: Recipe, seed: int) -> keras.Model:
    """Builds the network that a recipe's version serves, in float32."""
    if isinstance(recipe, TutorialRecipe):
        return build_tutorial(recipe, seed)
    return build_strided(recipe, seed, normalised=False)


def fold_normalisation(network: keras.Model, folded: keras.Model) -> None:
    """Copies weights into a network built without normalisation, so that both answer the same.

    gamma (w x - mean) / sqrt(variance + epsilon) + beta is linear in x: a scaled kernel and a bias.
    """
    weights: list[NDArray[np.float32]] = []
    for layer in network.layers:
        if isinstance(layer, FusedBatchNormalization):
            weights.extend(_folded(weights.pop(), layer))
        else:
            weights.extend(layer.get_weights())
    folded.set_weights(weights)


def _folded(
    kernel: NDArray[np.float32], layer: FusedBatchNormalization
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Puts a normalisation into the convolution before it; returns kernel and bias."""
    gamma, beta, mean, variance = layer.get_weights()
    scale = gamma / np.sqrt(variance + _NORMALISATION_EPSILON)
    return kernel * scale, beta - mean * scale


def multiply_accumulates(network: keras.Model) -> int:
    """Counts an image's multiplications in convolutions and dense layers."""
    return sum(_layer_multiply_accumulates(layer) for layer in network.layers)


def _layer_multiply_accumulates(layer: Any) -> int:  # noqa: ANN401
    if isinstance(layer, keras.layers.Conv2D):
        _, height, width, _ = layer.output.shape
        return int(height * width * np.prod(layer.kernel.shape))
    return int(np.prod(layer.kernel.shape)) if isinstance(layer, keras.layers.Dense) else 0


def _dense(seed: int, outputs: int) -> keras.layers.Dense:
    initializer = keras.initializers.GlorotUniform(seed=seed * 100 + 99)
    return keras.layers.Dense(outputs, kernel_initializer=initializer, name="logits")
