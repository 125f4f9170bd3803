"""What happens to digits between the paper and the network: grounds, fog, noise, blur, lines, stripes.

They run inside TensorFlow's graph, after `trainer.augmentation`. Only a share of a batch is disturbed, and each
disturbance gets an equal part of that share: a network that sees more disturbed digits reads clean ones worse.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from trainer.data import IMAGE_SIDE

_PIXELS = IMAGE_SIDE**2

Disturbance: TypeAlias = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps images float32 [N, 28, 28] in 0 to 1 and a seed int32 [2] to images whose values may leave 0 to 1."""


def disturb(pixels: tf.Tensor, seed: tf.Tensor, fraction: float) -> tf.Tensor:
    """Disturbs some images of a batch, from a random place on.

    Not always from the first: `trainer.augmentation` also chooses the unmoved images by their place in the batch, and
    each disturbance should meet moved and unmoved ones.

    Args:
        pixels: float32 [N, 784] in 0 to 1; N must be known when the graph is built.
        seed: int32 [2].
        fraction: The share of the images that is disturbed.

    Returns:
        float32 [N, 784] in 0 to 1.
    """
    share = round(pixels.shape[0] * fraction / len(_DISTURBANCES))
    if share == 0:
        return pixels
    place_seed, *seeds = tf.unstack(tf.random.split(seed, 1 + len(_DISTURBANCES)))
    place = tf.random.stateless_uniform((), place_seed, 0, pixels.shape[0], tf.int32)
    pixels = tf.roll(pixels, place, axis=0)
    parts = []
    for index, (disturbance, part_seed) in enumerate(zip(_DISTURBANCES, seeds, strict=True)):
        images = tf.reshape(pixels[index * share : (index + 1) * share], (share, IMAGE_SIDE, IMAGE_SIDE))
        parts.append(tf.reshape(disturbance(images, part_seed), (share, _PIXELS)))
    disturbed = tf.clip_by_value(tf.concat(parts, axis=0), 0.0, 1.0)
    return tf.roll(tf.concat([disturbed, pixels[len(parts) * share :]], axis=0), -place, axis=0)


def _uniform(images: tf.Tensor, seed: tf.Tensor, number: int, low: float, high: float) -> list[tf.Tensor]:
    """Draws `number` random numbers for each image: each float32 [N, 1, 1]."""
    draws = tf.random.stateless_uniform((number, images.shape[0], 1, 1), seed, low, high)
    return list(tf.unstack(draws))


def _raised_ground(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A ground that is not black, below ink that is not white."""
    ground, contrast = _uniform(images, seed, 2, 0.0, 1.0)
    return images * (1.0 - 0.7 * contrast * ground) + 0.8 * ground


def _fog(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Clouds of all sizes over the whole image."""
    strength, thinning = _uniform(images, seed, 2, 0.2, 1.0)
    clouds = tf.zeros_like(images)
    for octave, octave_seed in enumerate(tf.unstack(tf.random.split(seed, 3))):
        clouds += _clouds(images, octave_seed, 2 + 3 * octave) / 2.0**octave
    mist = images * (1.0 - 0.5 * thinning) + strength * clouds * 0.8
    # If fog would exceed white, the whole image is darkened instead, which costs contrast.
    return mist / tf.maximum(1.0, tf.reduce_max(mist, axis=(1, 2), keepdims=True))


def _clouds(images: tf.Tensor, seed: tf.Tensor, cells: int) -> tf.Tensor:
    noise = tf.random.stateless_uniform((images.shape[0], cells, cells, 1), seed)
    return tf.image.resize(noise, (IMAGE_SIDE, IMAGE_SIDE), method="bilinear")[..., 0]


def _salt_and_pepper(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Pixels that are fully on or off, whatever was there."""
    (share,) = _uniform(images, seed, 1, 0.0, 0.35)
    draws = tf.random.stateless_uniform((2, *images.shape), seed + 1)
    return tf.where(draws[0] < share, tf.round(draws[1]), images)


def _grain(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Noise on every pixel, more on the bright ones, like a sensor's."""
    even, with_light = _uniform(images, seed, 2, 0.0, 0.35)
    noise = tf.random.stateless_normal(images.shape, seed + 1)
    return images + noise * (even + 2.0 * with_light * tf.sqrt(images))


def _blur(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A random mix of defocus, sideways motion and upward motion."""
    mix = tf.random.stateless_uniform((3, images.shape[0], 1, 1, 1), seed)
    maps = images[..., tf.newaxis]
    focus = tf.nn.avg_pool2d(tf.nn.avg_pool2d(maps, 3, 1, "SAME"), 3, 1, "SAME")
    across, along = tf.nn.avg_pool2d(maps, [1, 9], 1, "SAME"), tf.nn.avg_pool2d(maps, [7, 1], 1, "SAME")
    # Blur makes ink paler, and a camera then exposes longer: scale back to about full ink.
    return (mix[0] * focus + mix[1] * across + mix[2] * along)[..., 0] / tf.reduce_sum(mix, axis=0)[..., 0] * 1.4


def _shaken_glass(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Takes every pixel from a neighbour, as through frosted glass, and blurs a little."""
    (reach,) = _uniform(images, seed, 1, 0.5, 2.4)
    offsets = tf.random.stateless_uniform((2, *images.shape), seed + 1, -1.0, 1.0) * reach
    steps = tf.cast(tf.round(offsets), tf.int32)
    axis = tf.range(IMAGE_SIDE)
    rows = tf.clip_by_value(axis[:, tf.newaxis] + steps[0], 0, IMAGE_SIDE - 1)
    columns = tf.clip_by_value(axis + steps[1], 0, IMAGE_SIDE - 1)
    flat = tf.reshape(images, (-1, _PIXELS))
    shaken = tf.gather(flat, tf.reshape(rows * IMAGE_SIDE + columns, flat.shape), batch_dims=1)
    return tf.nn.avg_pool2d(tf.reshape(shaken, (*images.shape, 1)), 3, 1, "SAME")[..., 0] * 1.2


def _outline(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Only the edges of the strokes."""
    (strength,) = _uniform(images, seed, 1, 2.0, 6.0)
    maps = images[..., tf.newaxis]
    inside = -tf.nn.max_pool2d(-maps, 3, 1, "SAME")
    outside = tf.nn.max_pool2d(maps, 2, 1, "SAME")
    return tf.minimum((outside - inside)[..., 0] * strength - strength / 3.0, 1.0)


def _lines(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A straight, zigzag or dotted line across."""
    ends, zigzag, pace, dots = _uniform(images, seed, 4, 0.0, 1.0)
    turn, phase, width = _uniform(images, seed + 1, 3, 0.0, 1.0)
    rows = tf.range(IMAGE_SIDE, dtype=tf.float32)[:, tf.newaxis] - IMAGE_SIDE / 2
    columns = tf.range(IMAGE_SIDE, dtype=tf.float32) - IMAGE_SIDE / 2
    angle = turn * math.pi
    along = rows * tf.sin(angle) + columns * tf.cos(angle)
    across = rows * tf.cos(angle) - columns * tf.sin(angle)
    period = 3.0 + 7.0 * pace
    height = tf.where(zigzag < 0.35, 0.0, 5.0 * zigzag)
    cycle = along / period + phase
    wave = 4.0 * tf.abs(cycle - tf.floor(cycle) - 0.5) - 1.0
    # Where the line is steep, a pixel is nearer to it than the distance along the axis says.
    steepness = tf.sqrt(1.0 + tf.square(4.0 * height / period))
    distance = tf.abs(across - 16.0 * (ends - 0.5) - height * wave) / steepness
    line = tf.clip_by_value(0.9 + 0.8 * width - distance, 0.0, 1.0)
    gaps = tf.where(dots < 0.35, tf.clip_by_value(0.5 + tf.sin(along * 1.6), 0.0, 1.0), 1.0)
    return tf.maximum(images, line * gaps)


def _negative_stripe(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Swaps light and dark within an upright stripe or a rectangle, or everywhere outside it."""
    top, bottom, left, right = _uniform(images, seed, 4, -10.0, 38.0)
    full_height, outside = _uniform(images, seed + 1, 2, 0.0, 1.0)
    columns = tf.range(IMAGE_SIDE, dtype=tf.float32)
    rows = columns[:, tf.newaxis]
    within_rows = (rows >= tf.minimum(top, bottom)) & (rows <= tf.maximum(top, bottom))
    within_columns = (columns >= tf.minimum(left, right)) & (columns <= tf.maximum(left, right))
    within = (within_rows | (full_height < 0.5)) & within_columns
    return tf.where(within ^ (outside < 0.3), 1.0 - images, images)


def _spatter(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Drops of ink, or holes in it."""
    height, ink = _uniform(images, seed, 2, 0.0, 1.0)
    drops = tf.cast(_clouds(images, seed + 1, 11) > 0.72 + 0.2 * height, tf.float32)
    return tf.where(ink < 0.7, images + 0.9 * drops, images * (1.0 - drops))


_DISTURBANCES: tuple[Disturbance, ...] = (
    *(_raised_ground, _fog, _salt_and_pepper, _grain, _blur),
    *(_shaken_glass, _outline, _lines, _negative_stripe, _spatter),
)
