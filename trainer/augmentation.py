"""Varies digits as writers do: slant, size, place, wobble and pen, all inside TensorFlow's graph.

Rotation, scale, shear, shift and an elastic field add up to one map from each output pixel to a place in the image,
which is then sampled once, bilinearly: sampling once blurs less than sampling three times.
"""

import math

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.data import IMAGE_SIDE
from trainer.profiles import StridedRecipe

_SPLINE_CELLS = 5  # across the image: bends as wide as a stroke's curve, not as wide as a pixel
_SPLINE_KNOTS = _SPLINE_CELLS + 3  # a cubic B-spline needs three more knots than cells
_PADDED_SIDE = IMAGE_SIDE + 2  # one pixel of background on every side, for reading beyond the edge
_PIXELS = IMAGE_SIDE**2


def augment(images: tf.Tensor, seed: tf.Tensor, recipe: StridedRecipe) -> tf.Tensor:
    """Varies each image at random; the same seed gives the same variation.

    Args:
        images: uint8 [N, 28, 28]; N must be known when the graph is built.
        seed: int32 [2].
        recipe: Says how far each variation goes.

    Returns:
        float32 [N, 784] in 0 to 1.
    """
    pixels = tf.cast(images, tf.float32) / 255.0
    count = images.shape[0]
    pen_seed, affine_seed, elastic_seed = tf.unstack(tf.random.split(seed, 3))
    pixels = _vary_pen(pixels, pen_seed, round(count * recipe.thickness_fraction))
    affine = _draw_affine(count, affine_seed, recipe)
    knots = tf.random.stateless_normal((2, count, _SPLINE_KNOTS**2), elastic_seed, stddev=recipe.elastic_pixels)
    drawn = tf.concat([affine, knots], axis=-1)
    drawn = tf.where(_unmoved(count, recipe.unmoved_fraction), tf.constant(_in_place()), drawn)
    # The affine and the elastic map are linear in the drawn numbers: one product places every pixel of every image.
    places = drawn @ tf.constant(_basis())
    return _read_bilinearly(pixels, rows=places[0], columns=places[1])


def _vary_pen(pixels: tf.Tensor, seed: tf.Tensor, varied: int) -> tf.Tensor:
    """Thickens some images and thins others, from a random place in the batch on, so that outliers get their share."""
    half = varied // 2
    if half == 0:
        return pixels
    place_seed, strength_seed = tf.unstack(tf.random.split(seed, 2))
    place = tf.random.stateless_uniform((), place_seed, 0, pixels.shape[0], tf.int32)
    pixels = tf.roll(pixels, place, axis=0)
    thick, thin = pixels[:half, ..., tf.newaxis], pixels[half : 2 * half, ..., tf.newaxis]
    strength = tf.random.stateless_uniform((2, half, 1, 1, 1), strength_seed)
    thick += strength[0] * (tf.nn.max_pool2d(thick, 3, 1, "SAME") - thick)
    thin -= strength[1] * (thin + tf.nn.max_pool2d(-thin, 2, 1, "SAME"))
    return tf.roll(tf.concat([thick[..., 0], thin[..., 0], pixels[2 * half :]], axis=0), -place, axis=0)


def _draw_affine(count: int, seed: tf.Tensor, recipe: StridedRecipe) -> tf.Tensor:
    """Draws affine maps: how a pixel's row, its column and a constant add up to the place to read.

    Returns:
        float32 [2, N, 3]: first for the place's row, then for its column.
    """
    draws = tf.unstack(tf.random.stateless_uniform((6, count), seed, -1.0, 1.0))
    angle = draws[0] * math.radians(recipe.max_rotation_degrees)
    shear = draws[1] * recipe.max_shear
    height, width = tf.exp(draws[2] * recipe.max_log_scale), tf.exp(draws[3] * recipe.max_log_scale)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    # A rotation of [[height, 0], [shear * height, width]]: each row slides sideways in proportion to its height.
    row = [(cosine - sine * shear) * height, -sine * width, draws[4] * recipe.max_shift_pixels]
    column = [(sine + cosine * shear) * height, cosine * width, draws[5] * recipe.max_shift_pixels]
    return tf.stack([tf.stack(row, axis=-1), tf.stack(column, axis=-1)])


def _unmoved(count: int, fraction: float) -> NDArray[np.bool_]:
    """Which images stay where they are: evenly spread over the batch, bool [N, 1]."""
    reached = np.floor(np.arange(count + 1) * fraction)
    return np.asarray((reached[1:] > reached[:-1])[:, np.newaxis])


def _in_place() -> NDArray[np.float32]:
    """The drawn numbers that leave an image where it is: float32 [2, 1, 3 + knots]."""
    drawn = np.zeros((2, 1, 3 + _SPLINE_KNOTS**2), np.float32)
    drawn[0, 0, 0] = drawn[1, 0, 1] = 1.0
    return drawn


def _basis() -> NDArray[np.float32]:
    """How much each drawn number moves the place to read for each pixel: float32 [3 + knots, 784]."""
    positions = np.arange(IMAGE_SIDE, dtype=np.float32) - (IMAGE_SIDE - 1) / 2
    rows, columns = np.meshgrid(positions, positions, indexing="ij")
    affine = np.stack([rows.ravel(), columns.ravel(), np.ones(_PIXELS)])
    return np.concatenate([affine, np.kron(_spline_basis(), _spline_basis())]).astype(np.float32)


def _spline_basis() -> NDArray[np.float32]:
    """The uniform cubic B-spline's weight of each knot at each pixel: float32 [knots, 28]."""
    basis = np.zeros((_SPLINE_KNOTS, IMAGE_SIDE), np.float32)
    for pixel in range(IMAGE_SIDE):
        cell, t = divmod((pixel + 0.5) / IMAGE_SIDE * _SPLINE_CELLS, 1.0)
        weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
        basis[int(cell) : int(cell) + 4, pixel] = np.array(weights) / 6
    return basis


def _read_bilinearly(pixels: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Reads images [N, 28, 28] at places [N, 784], counted from the centre; beyond the edge is background.

    Rows and columns are separate tensors, because TensorFlow slices the last axis of a tensor slowly.
    """
    padded = tf.reshape(tf.pad(pixels, [[0, 0], [1, 1], [1, 1]]), (-1,))
    centre = (_PADDED_SIDE - 1) / 2
    rows = tf.clip_by_value(rows + centre, 0.0, _PADDED_SIDE - 1.001)
    columns = tf.clip_by_value(columns + centre, 0.0, _PADDED_SIDE - 1.001)
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = rows - top, columns - left
    images = tf.range(pixels.shape[0])[:, tf.newaxis] * _PADDED_SIDE**2
    corners = images + tf.cast(top * _PADDED_SIDE + left, tf.int32)
    upper_left, upper_right = tf.gather(padded, corners), tf.gather(padded, corners + 1)
    lower_left = tf.gather(padded, corners + _PADDED_SIDE)
    lower_right = tf.gather(padded, corners + _PADDED_SIDE + 1)
    upper = upper_left + (upper_right - upper_left) * right
    lower = lower_left + (lower_right - lower_left) * right
    return upper + (lower - upper) * down
