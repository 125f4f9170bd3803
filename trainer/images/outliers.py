"""Outliers for training: images of non-digits, which the network learns to tell from digits.

After the outlier exposure of Hendrycks et al. 2019 (arXiv:1812.04606), but with a separate output. Letters and signs
are drawn by pen, not printed in a font: the printed letters of `nondigits.py`, which measures the effect, must stay
unseen in training.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer.data import IMAGE_SIDE
from trainer.images.framing import INK_SIDE
from trainer.images.strokes import Figure, Hand, draw

Images: TypeAlias = NDArray[np.uint8]
Maker: TypeAlias = Callable[[int, Images, np.random.Generator], Images]

_HAND = Hand(wobble=0.04, widths=(0.5, 1.3))
_MARGIN = (IMAGE_SIDE - INK_SIDE) // 2  # around a digit's ink
# Only signs that look like no digit, so without B, D, G, I, J, O, Q, S, Z, b, g, i, j, l, o, q, s, y, z and !.
_SIGNS: list[Figure] = [
    [[(0.0, 1.0), (0.45, 0.0)], [(0.45, 0.0), (0.9, 1.0)], [(0.2, 0.6), (0.7, 0.6)]],  # A
    [[(0.9, 0.15), (0.5, 0.0), (0.1, 0.3), (0.1, 0.7), (0.5, 1.0), (0.9, 0.85)]],  # C
    [[(0.9, 0.0), (0.1, 0.0)], [(0.1, 0.0), (0.1, 1.0)], [(0.1, 1.0), (0.9, 1.0)], [(0.1, 0.5), (0.7, 0.5)]],  # E
    [[(0.9, 0.0), (0.1, 0.0)], [(0.1, 0.0), (0.1, 1.0)], [(0.1, 0.5), (0.7, 0.5)]],  # F
    [[(0.1, 0.0), (0.1, 1.0)], [(0.85, 0.0), (0.85, 1.0)], [(0.1, 0.5), (0.85, 0.5)]],  # H
    [[(0.1, 0.0), (0.1, 1.0)], [(0.85, 0.0), (0.1, 0.55)], [(0.3, 0.45), (0.9, 1.0)]],  # K
    [[(0.1, 0.0), (0.1, 1.0)], [(0.1, 1.0), (0.8, 1.0)]],  # L
    [[(0.0, 1.0), (0.1, 0.0)], [(0.1, 0.0), (0.5, 0.7)], [(0.5, 0.7), (0.9, 0.0)], [(0.9, 0.0), (1.0, 1.0)]],  # M
    [[(0.1, 1.0), (0.1, 0.0)], [(0.1, 0.0), (0.85, 1.0)], [(0.85, 1.0), (0.85, 0.0)]],  # N
    [[(0.1, 1.0), (0.1, 0.0)], [(0.1, 0.0), (0.7, 0.05), (0.8, 0.3), (0.6, 0.5), (0.1, 0.52)]],  # P
    [
        [(0.1, 1.0), (0.1, 0.0)],
        [(0.1, 0.0), (0.7, 0.05), (0.8, 0.25), (0.6, 0.48), (0.1, 0.5)],
        [(0.3, 0.5), (0.9, 1.0)],
    ],  # R
    [[(0.0, 0.0), (1.0, 0.0)], [(0.5, 0.0), (0.5, 1.0)]],  # T
    [[(0.1, 0.0), (0.12, 0.7), (0.5, 1.0), (0.85, 0.7), (0.9, 0.0)]],  # U
    [[(0.0, 0.0), (0.45, 1.0)], [(0.45, 1.0), (0.9, 0.0)]],  # V
    [[(0.0, 0.0), (0.25, 1.0)], [(0.25, 1.0), (0.5, 0.3)], [(0.5, 0.3), (0.75, 1.0)], [(0.75, 1.0), (1.0, 0.0)]],  # W
    [[(0.05, 0.0), (0.9, 1.0)], [(0.9, 0.0), (0.05, 1.0)]],  # X
    [[(0.05, 0.0), (0.5, 0.5)], [(0.95, 0.0), (0.5, 0.5)], [(0.5, 0.5), (0.5, 1.0)]],  # Y
    [[(0.8, 0.45), (0.4, 0.4), (0.1, 0.7), (0.4, 1.0), (0.8, 0.7)], [(0.8, 0.4), (0.8, 0.9), (0.95, 1.0)]],  # a
    [[(0.8, 0.5), (0.4, 0.45), (0.1, 0.75), (0.4, 1.0), (0.8, 0.75)], [(0.8, 0.0), (0.8, 1.0)]],  # d
    [[(0.1, 0.7), (0.85, 0.62), (0.5, 0.35), (0.12, 0.65), (0.4, 1.0), (0.85, 0.9)]],  # e
    [[(0.8, 0.05), (0.5, 0.0), (0.4, 0.3), (0.4, 1.0)], [(0.1, 0.42), (0.75, 0.42)]],  # f
    [[(0.1, 0.0), (0.1, 1.0)], [(0.1, 0.65), (0.5, 0.45), (0.8, 0.65), (0.8, 1.0)]],  # h
    [[(0.1, 0.0), (0.1, 1.0)], [(0.7, 0.4), (0.1, 0.7)], [(0.3, 0.62), (0.75, 1.0)]],  # k
    [
        [(0.0, 0.4), (0.0, 1.0)],
        [(0.0, 0.6), (0.3, 0.4), (0.5, 0.6), (0.5, 1.0)],
        [(0.5, 0.6), (0.8, 0.4), (1.0, 0.6), (1.0, 1.0)],
    ],  # m
    [[(0.1, 0.4), (0.1, 1.0)], [(0.1, 0.6), (0.5, 0.4), (0.8, 0.6), (0.8, 1.0)]],  # n
    [[(0.1, 0.4), (0.1, 1.3)], [(0.1, 0.5), (0.6, 0.4), (0.8, 0.65), (0.5, 0.95), (0.1, 0.85)]],  # p
    [[(0.2, 0.4), (0.2, 1.0)], [(0.2, 0.6), (0.5, 0.4), (0.75, 0.45)]],  # r
    [[(0.4, 0.0), (0.4, 0.85), (0.6, 1.0), (0.8, 0.9)], [(0.1, 0.35), (0.75, 0.35)]],  # t
    [[(0.1, 0.4), (0.15, 0.9), (0.5, 1.0), (0.75, 0.8)], [(0.75, 0.4), (0.78, 1.0)]],  # u
    [[(0.5, 0.0), (0.5, 1.0)], [(0.0, 0.5), (1.0, 0.5)]],  # plus
    [[(0.0, 0.3), (1.0, 0.3)], [(0.0, 0.7), (1.0, 0.7)]],  # equals
    [[(0.0, 0.5), (1.0, 0.5)]],  # minus
    [[(0.1, 0.2), (0.5, 0.0), (0.85, 0.25), (0.5, 0.5), (0.48, 0.7)], [(0.48, 0.95), (0.48, 1.0)]],  # question mark
    [
        [(0.3, 0.0), (0.2, 1.0)],
        [(0.75, 0.0), (0.65, 1.0)],
        [(0.0, 0.35), (1.0, 0.35)],
        [(0.0, 0.68), (0.95, 0.68)],
    ],  # #
    [[(0.5, 0.0), (0.5, 1.0)], [(0.05, 0.2), (0.95, 0.8)], [(0.95, 0.2), (0.05, 0.8)]],  # asterisk
    [[(0.0, 0.5), (1.0, 0.5)], [(0.65, 0.2), (1.0, 0.5)], [(1.0, 0.5), (0.65, 0.8)]],  # arrow
    [[(0.0, 0.55), (0.3, 0.95)], [(0.3, 0.95), (1.0, 0.0)]],  # tick
    [[(0.0, 0.0), (1.0, 0.0)], [(1.0, 0.0), (1.0, 1.0)], [(1.0, 1.0), (0.0, 1.0)], [(0.0, 1.0), (0.0, 0.0)]],  # box
    [[(0.5, 0.0), (0.0, 1.0)], [(0.0, 1.0), (1.0, 1.0)], [(1.0, 1.0), (0.5, 0.0)]],  # triangle
    [[(0.5, 0.95), (0.05, 0.4), (0.25, 0.05), (0.5, 0.3), (0.75, 0.05), (0.95, 0.4), (0.5, 0.95)]],  # heart
]


def make_outliers(count: int, digits: Images, generator: np.random.Generator) -> Images:
    """Makes images of non-digits, in fixed shares of each kind and in random order.

    Args:
        count: How many.
        digits: uint8 [N, 28, 28], to be cut up, joined and laid over one another.
        generator: The same state gives the same images.

    Returns:
        uint8 [count, 28, 28].
    """
    kinds: list[Maker] = [
        # Letters and scribbles are the hardest to tell, and by far the likeliest to be sent.
        *(_signs, _signs, _signs, _scribbles, _scribbles),
        *(_side_by_side, _side_by_side, _overlaid, _shuffled_blocks, _blobs, _noise, _patterns),
    ]
    share = -(-count // len(kinds))
    outliers = np.concatenate([make(share, digits, generator) for make in kinds])
    return np.asarray(generator.permutation(outliers)[:count])


def _signs(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    return draw(_SIGNS, count, _HAND, generator)


def _scribbles(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    """One to four strokes through random points, too long to be a digit's."""
    figures: list[Figure] = []
    for _ in range(count):
        strokes = int(generator.integers(1, 5))
        points = generator.integers((9, 7, 5, 4)[strokes - 1], 13)
        figures.append([[(float(x), float(y)) for x, y in generator.random((points, 2))] for _ in range(strokes)])
    return draw(figures, count, _HAND, generator)


def _side_by_side(count: int, digits: Images, generator: np.random.Generator) -> Images:
    """Two or three digits beside each other, made to fit into 20 pixels."""
    outliers = np.zeros((count, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    for index in range(count):
        number = 2 if index % 3 else 3
        row = np.concatenate([_cropped(digits[generator.integers(len(digits))]) for _ in range(number)], axis=1)
        height = round(INK_SIDE * INK_SIDE / max(row.shape[1], INK_SIDE))
        squeezed = row[_spread(INK_SIDE, height)][:, _spread(row.shape[1], INK_SIDE)]
        top = (IMAGE_SIDE - height) // 2
        outliers[index, top : top + height, _MARGIN:-_MARGIN] = squeezed
    return outliers


def _cropped(digit: Images) -> Images:
    """A digit's middle 20 rows, cut to the columns that have ink, so that its neighbours may touch it."""
    columns = np.flatnonzero(digit.any(axis=0))
    rows = digit[_MARGIN:-_MARGIN]
    return rows[:, columns[0] : columns[-1] + 1] if len(columns) else rows


def _spread(length: int, places: int) -> NDArray[np.intp]:
    return np.linspace(0, length - 1, places).round().astype(np.intp)


def _overlaid(count: int, digits: Images, generator: np.random.Generator) -> Images:
    """Two digits on top of each other, one of them turned."""
    first, second = digits[generator.integers(len(digits), size=(2, count))]
    return np.asarray(np.maximum(first, np.rot90(second, axes=(1, 2))))


def _shuffled_blocks(count: int, digits: Images, generator: np.random.Generator) -> Images:
    """A digit cut into 4 x 4 blocks, which change places."""
    blocks = digits[generator.integers(len(digits), size=count)].reshape(count, 4, 7, 4, 7).transpose(0, 1, 3, 2, 4)
    places = generator.random((count, 16)).argsort(axis=1)[..., np.newaxis]
    shuffled = np.take_along_axis(blocks.reshape(count, 16, 49), places, axis=1).reshape(count, 4, 4, 7, 7)
    return shuffled.transpose(0, 1, 3, 2, 4).reshape(count, IMAGE_SIDE, IMAGE_SIDE)


def _blobs(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    """Smooth hills, or a mask of their upper half; every other image within a digit's frame."""
    hills = _smooth_noise(count, generator)
    hills = np.where(generator.random((count, 1, 1)) < 0.5, hills > 0.5, hills)
    _clear_margin(hills[::2])
    return _to_bytes(hills)


def _noise(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    """Independent random pixels, few or many, faint or strong."""
    strength = generator.uniform(0.2, 1.0, (count, 1, 1))
    uniform = generator.random((count, IMAGE_SIDE, IMAGE_SIDE)) * strength
    sparse = np.where(generator.random(uniform.shape) < generator.uniform(0.02, 0.5, (count, 1, 1)), uniform, 0)
    noise = np.where(generator.random((count, 1, 1)) < 0.5, uniform, sparse)
    _clear_margin(noise[::2])
    return _to_bytes(noise)


def _patterns(count: int, _digits: Images, generator: np.random.Generator) -> Images:
    """Waves in one direction or two, which make stripes, checks and gradients; some images plain grey, some black."""
    rows, columns = np.mgrid[0:IMAGE_SIDE, 0:IMAGE_SIDE]
    angle, phase = generator.uniform(0, 2 * np.pi, (2, count, 1, 1))
    pace = 2 * np.pi / generator.uniform(3, 60, (count, 1, 1))
    first = np.sin((rows * np.cos(angle) + columns * np.sin(angle)) * pace + phase)
    second = np.sin((columns * np.cos(angle) - rows * np.sin(angle)) * pace + phase)
    waves = np.where(generator.random((count, 1, 1)) < 0.5, first * second, first)
    waves = np.where(generator.random((count, 1, 1)) < 0.5, np.sign(waves), waves) / 2 + 0.5
    waves[::8] = generator.random(waves[::8, :1, :1].shape)
    waves[::16] = 0.0
    _clear_margin(waves[::3])
    return _to_bytes(waves * generator.uniform(0.3, 1.0, (count, 1, 1)))


def _clear_margin(images: NDArray[np.float64]) -> None:
    """Leaves only the middle 20 x 20 pixels of images [N, 28, 28], where a digit's ink is."""
    images[:, :_MARGIN] = images[:, -_MARGIN:] = 0
    images[:, :, :_MARGIN] = images[:, :, -_MARGIN:] = 0


def _smooth_noise(count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Noise that changes over 3 to 10 pixels, from 0 to 1."""
    noise = generator.random((count, IMAGE_SIDE, IMAGE_SIDE))
    frequencies = np.fft.fftfreq(IMAGE_SIDE)
    distance = np.hypot(frequencies[:, np.newaxis], frequencies)
    width = generator.uniform(0.04, 0.15, (count, 1, 1))
    smooth = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((distance / width) ** 2) / 2)).real
    low, high = smooth.min(axis=(1, 2), keepdims=True), smooth.max(axis=(1, 2), keepdims=True)
    return np.asarray((smooth - low) / (high - low))


def _to_bytes(pixels: NDArray[np.float64]) -> Images:
    return np.asarray(np.rint(np.clip(pixels, 0.0, 1.0) * 255), np.uint8)
