"""Shear, scale, rotation and shift about the image's centre; ink that leaves the image is lost."""

import numpy as np
from numpy.typing import NDArray

from trainer.corruptions.filters import bytes_of, floats_of
from trainer.data import IMAGE_SIDE

Images = NDArray[np.uint8]

# Each severity is the one that MNIST-C's published images were made with.
_SHEAR = 0.4  # sideways per height, the second of five: 22 degrees, about the steepest handwriting
_SCALE = 0.7  # the middle of five: a digit 14 pixels high
_TURN_RADIANS = 0.4  # the second of five: 23 degrees; a 6 is still a 6
_SHIFT_PIXELS = 3  # the middle of five: up or down, and left or right; a digit's own margin is 4

STRENGTHS = {
    "shear": f"by {_SHEAR:g} of the height",
    "scale": f"to {100 * _SCALE:g} % of the size",
    "rotate": f"by {np.degrees(_TURN_RADIANS):.0f} degrees",
    "translate": f"by {_SHIFT_PIXELS} pixels in both directions",
}


def shear(images: Images, generator: np.random.Generator) -> Images:
    """Leans to the left or to the right."""
    return _one_of(images, [np.array([[1.0, 0.0], [lean, 1.0]]) for lean in (-_SHEAR, _SHEAR)], generator)


def scale(images: Images, generator: np.random.Generator) -> Images:
    """Shrinks."""
    return _one_of(images, [np.eye(2) / _SCALE], generator)


def rotate(images: Images, generator: np.random.Generator) -> Images:
    """Turns to the left or to the right."""
    cosine, sine = np.cos(_TURN_RADIANS), np.sin(_TURN_RADIANS)
    turns = [np.array([[cosine, way * sine], [-way * sine, cosine]]) for way in (-1, 1)]
    return _one_of(images, turns, generator)


def translate(images: Images, generator: np.random.Generator) -> Images:
    """Shifts towards one of the corners, by whole pixels."""
    margin = _SHIFT_PIXELS
    padded = np.pad(images, [(0, 0), (margin, margin), (margin, margin)])
    starts = generator.integers(2, size=(2, len(images))) * 2 * margin
    rows, columns = starts[..., np.newaxis] + np.arange(IMAGE_SIDE)
    shifted = padded[np.arange(len(images))[:, np.newaxis, np.newaxis], rows[:, :, np.newaxis], columns[:, np.newaxis]]
    return np.asarray(shifted)


def _one_of(images: Images, matrices: list[NDArray[np.float64]], generator: np.random.Generator) -> Images:
    """Maps each image by one of these matrices [2, 2]: from a place (row, column) to where its ink comes from."""
    chosen = generator.integers(len(matrices), size=len(images))
    mapped = np.empty_like(images)
    for number, matrix in enumerate(matrices):
        pixels = floats_of(images[chosen == number]).reshape(-1, IMAGE_SIDE**2)
        mapped[chosen == number] = bytes_of(pixels @ _resampling(matrix).T).reshape(-1, IMAGE_SIDE, IMAGE_SIDE)
    return mapped


def _resampling(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """How much of each old pixel goes into each new one, bilinear: float32 [784 new, 784 old]."""
    places = np.stack(np.divmod(np.arange(IMAGE_SIDE**2), IMAGE_SIDE))
    centre = (IMAGE_SIDE - 1) / 2
    sources = matrix @ (places - centre) + centre
    nearness = np.maximum(0.0, 1.0 - np.abs(sources[:, :, np.newaxis] - places[:, np.newaxis]))
    return np.asarray(nearness.prod(axis=0), np.float32)
