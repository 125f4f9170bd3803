"""Filters over whole sets of images; each filter is a matrix for the rows and one for the columns."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from trainer.data import IMAGE_SIDE

Floats = NDArray[np.float32]


def floats_of(images: NDArray[np.uint8]) -> Floats:
    """Turns bytes into float32 in 0 to 1, same shape."""
    return images.astype(np.float32) / np.float32(255)


def bytes_of(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Turns floats back into bytes; values outside 0 to 1 are clipped."""
    return np.asarray(np.rint(np.clip(images, 0.0, 1.0) * 255), np.uint8)


def blurred(images: Floats, sigma_pixels: float) -> Floats:
    """Blurs images float32 [N, 28, 28] with a Gaussian; nothing is lost at the edges."""
    matrix = _gaussian(sigma_pixels)
    return np.asarray(matrix @ images @ matrix.T)


def gradients(images: Floats) -> tuple[Floats, Floats]:
    """Sobel's slopes of images float32 [N, 28, 28], down and to the right; a step of 1 has a slope of 4."""
    smooth, slope = _banded((1.0, 2.0, 1.0)), _banded((-1.0, 0.0, 1.0))
    return np.asarray(slope @ images @ smooth.T, np.float32), np.asarray(smooth @ images @ slope.T, np.float32)


@cache
def _gaussian(sigma_pixels: float) -> Floats:
    places = np.arange(IMAGE_SIDE)
    weights = np.exp(-((places - places[:, np.newaxis]) ** 2) / (2 * sigma_pixels**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _banded(weights: tuple[float, float, float]) -> Floats:
    """The matrix that weighs each place's neighbours; beyond an edge the last place is repeated."""
    matrix = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.float32)
    for offset, weight in zip((-1, 0, 1), weights, strict=True):
        neighbours = np.clip(np.arange(IMAGE_SIDE) + offset, 0, IMAGE_SIDE - 1)
        matrix[np.arange(IMAGE_SIDE), neighbours] += weight
    return matrix
