"""Digits drawn from a 5x7 dot matrix, shifted and specked: MNIST's form, made in a millisecond, easy to learn."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_DOTS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00010 00100 01000 11111",
    "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)
_DOT_PIXELS = 3


def draw_digits(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draws images uint8 [N, 28, 28] with labels uint8 [N], every digit equally often; same seed, same images."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % 10).astype(np.uint8)
    images = generator.integers(0, 40, (count, 28, 28), np.uint8)  # specks
    glyphs = [_glyph(dots) for dots in _DOTS]
    height, width = glyphs[0].shape
    for image, label in zip(images, labels, strict=True):
        top, left = generator.integers(0, 28 - height + 1), generator.integers(4, 28 - width - 4 + 1)
        ink = generator.integers(180, 256)
        image[top : top + height, left : left + width][glyphs[label]] = ink
    return images, labels


def draw_arrays(training_images: int = 600, test_images: int = 100, seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Draws a small data set under the names that an mnist.npz has."""
    x_train, y_train = draw_digits(training_images, 2 * seed)
    x_test, y_test = draw_digits(test_images, 2 * seed + 1)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def write_npz(path: Path, **arrays: NDArray[np.generic]) -> Path:
    """Writes an mnist.npz; arrays that are not given are drawn."""
    np.savez_compressed(path, allow_pickle=False, **{**draw_arrays(), **arrays})
    return path


def _glyph(dots: str) -> NDArray[np.bool_]:
    matrix = np.array([[dot == "1" for dot in row] for row in dots.split()])
    return matrix.repeat(_DOT_PIXELS, axis=0).repeat(_DOT_PIXELS, axis=1)
