"""Noise, blur, brightness and fog: what a lens, a sensor and the air do to an image."""

import numpy as np
from numpy.typing import NDArray

from trainer.corruptions.filters import Floats, blurred, bytes_of, floats_of
from trainer.data import IMAGE_SIDE

Images = NDArray[np.uint8]

# Each severity is the one that MNIST-C's published images were made with.
_SHOT_PHOTONS = 3.0  # for full white: the hardest of five, because ink that is nearly all white shows little noise
_IMPULSE_SHARE = 0.17  # of all pixels, the fourth of five: at the fifth, people err too
_GLASS_SIGMA_PIXELS = 0.7  # this and the next two: the mildest of five, because strokes are 3 pixels wide
_GLASS_REACH_PIXELS = 1
_GLASS_PASSES = 2
_GLASS_SWAPPED_SHARE = 0.5
_MOTION_SIGMA_PIXELS = 3.0  # the mildest of five, and already half of a digit
_MOTION_PIXELS = 10  # beyond three sigma nothing is left
_MOTION_MAX_DEGREES = 45.0
_BRIGHTNESS = 0.5  # the hardest of five: the ground is grey, and the ink as white as before
_FOG_STRENGTH = 3.0  # times the ink: the hardest of five, a quarter of the contrast is left
_FOG_CELLS = (1, 2, 4, 8, 16)  # over the image's side, from a slope to grains of two pixels
_FOG_DECAY = 1.4**2  # each finer layer is weaker by this: 1.4 in the original, whose heights go with its square
# Measured on 28x28 pieces of the original's 256x256 maps: level 0.52, spread 0.19, and 0.06 within a piece.
_FOG_LEVELS = (0.2, 0.85)  # hills longer than the image shift the level of all of it
_FOG_DEPTH = 0.2

STRENGTHS = {
    "shot_noise": f"{_SHOT_PHOTONS:g} photons for full white",
    "impulse_noise": f"{100 * _IMPULSE_SHARE:g} % of the pixels",
    "glass_blur": f"{_GLASS_PASSES} rounds of swaps, a blur of {_GLASS_SIGMA_PIXELS:g} pixels",
    "motion_blur": f"over {_MOTION_SIGMA_PIXELS:g} pixels (sigma), within {_MOTION_MAX_DEGREES:g} degrees",
    "brightness": f"{100 * _BRIGHTNESS:g} % of full white added",
    "fog": f"{100 / (1 + _FOG_STRENGTH):g} % of the contrast left",
}


def shot_noise(images: Images, generator: np.random.Generator) -> Images:
    """Counts photons: grain where there is ink."""
    return bytes_of(generator.poisson(floats_of(images) * _SHOT_PHOTONS) / _SHOT_PHOTONS)


def impulse_noise(images: Images, generator: np.random.Generator) -> Images:
    """Sets random pixels to black or white, each equally often."""
    draws = generator.random(images.shape, np.float32)
    salted = np.where(draws < _IMPULSE_SHARE / 2, np.uint8(255), images)
    return np.where(draws > 1 - _IMPULSE_SHARE / 2, np.uint8(0), salted)


def glass_blur(images: Images, generator: np.random.Generator) -> Images:
    """Swaps pixels with their neighbours, as frosted glass does, and blurs before and after."""
    # Pixels first: values that are swapped in all images at once then lie together in memory.
    pixels = np.ascontiguousarray(blurred(floats_of(images), _GLASS_SIGMA_PIXELS).transpose(1, 2, 0))
    inside = np.arange(_GLASS_REACH_PIXELS, IMAGE_SIDE - _GLASS_REACH_PIXELS)
    places = np.array(np.meshgrid(inside, inside)).reshape(2, -1).T
    for _ in range(_GLASS_PASSES):
        # In random order, because in order the pixels would all drift one way.
        for row, column in generator.permutation(places):
            _swap_with_neighbours(pixels, int(row), int(column), generator)
    return bytes_of(blurred(np.ascontiguousarray(pixels.transpose(2, 0, 1)), _GLASS_SIGMA_PIXELS))


def _swap_with_neighbours(pixels: Floats, row: int, column: int, generator: np.random.Generator) -> None:
    """Swaps one pixel of some images with a random neighbour, drawn for each image; [28, 28, N] in place."""
    swapped = np.flatnonzero(generator.random(pixels.shape[2], np.float32) < _GLASS_SWAPPED_SHARE)
    reach = _GLASS_REACH_PIXELS
    offsets = generator.integers(-reach, reach, (2, len(swapped)), np.int8, endpoint=True)
    rows, columns = row + offsets[0], column + offsets[1]
    kept = pixels[row, column, swapped]
    pixels[row, column, swapped] = pixels[rows, columns, swapped]
    pixels[rows, columns, swapped] = kept


def motion_blur(images: Images, generator: np.random.Generator) -> Images:
    """Smears each image to one side, up to 45 degrees up or down."""
    angle = np.radians(generator.uniform(-_MOTION_MAX_DEGREES, _MOTION_MAX_DEGREES, len(images)))
    steps = np.arange(_MOTION_PIXELS)
    weights = np.exp(-(steps**2) / (2 * _MOTION_SIGMA_PIXELS**2))
    padding = [(0, 0), (_MOTION_PIXELS, _MOTION_PIXELS), (_MOTION_PIXELS, _MOTION_PIXELS)]
    padded = np.pad(floats_of(images), padding)
    numbers = np.arange(len(images))[:, np.newaxis, np.newaxis]
    places = np.arange(IMAGE_SIDE) + _MOTION_PIXELS
    smeared = np.zeros(images.shape, np.float32)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        rows = places[:, np.newaxis] + np.rint(step * np.sin(angle)).astype(np.intp)[:, np.newaxis, np.newaxis]
        columns = places + np.rint(step * np.cos(angle)).astype(np.intp)[:, np.newaxis, np.newaxis]
        smeared += np.float32(weight) * padded[numbers, rows, columns]
    return bytes_of(smeared)


def brightness(images: Images, _generator: np.random.Generator) -> Images:
    """Adds the same light everywhere."""
    return bytes_of(floats_of(images) + np.float32(_BRIGHTNESS))


def fog(images: Images, generator: np.random.Generator) -> Images:
    """Lays clouds of all sizes over an image, and darkens the whole so that it stays within white."""
    density = np.zeros(images.shape, np.float32)
    for layer, cells in enumerate(_FOG_CELLS):
        weights = _interpolation(cells)
        heights = generator.uniform(-1.0, 1.0, (len(images), cells + 1, cells + 1)).astype(np.float32)
        density += weights @ heights @ weights.T / np.float32(_FOG_DECAY**layer)
    density = np.clip(density * _FOG_DEPTH + generator.uniform(*_FOG_LEVELS, (len(images), 1, 1)), 0.0, 1.0)
    return bytes_of((floats_of(images) + _FOG_STRENGTH * density) / (1.0 + _FOG_STRENGTH))


def _interpolation(cells: int) -> Floats:
    """Weights float32 [28, cells + 1] that interpolate linearly between evenly spaced heights."""
    places = np.linspace(0.0, cells, IMAGE_SIDE)[:, np.newaxis]
    return np.maximum(0.0, 1.0 - np.abs(places - np.arange(cells + 1))).astype(np.float32)
