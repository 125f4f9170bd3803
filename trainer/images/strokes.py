"""Pen strokes as points, and the pictures that they draw: the basis of drawn digits and scribbles.

A figure is a list of strokes; a stroke is a list of points (x, y) in a unit square, y downwards, joined by a smooth
curve. Two strokes that meet make a corner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainer.data import IMAGE_SIDE
from trainer.images.framing import CENTRE, INK_SIDE

Stroke: TypeAlias = Sequence[tuple[float, float]]
Figure: TypeAlias = Sequence[Stroke]

_STEPS_PER_SPAN = 4  # segments between two points of a stroke: enough for bends to look round at 20 pixels
_CHUNK = 256  # pictures drawn at once: an array of 256 x 784 pixels is 0.8 MB, however many segments there are


@dataclass(frozen=True)
class Hand:
    """How far a writer strays from the model figure; each value is a standard deviation or a range."""

    wobble: float = 0.035  # of each point, in units of the figure
    max_slant: float = 0.3  # sideways per height; most people's writing leans to the right
    max_tilt_degrees: float = 8.0
    widths: tuple[float, float] = (0.55, 1.15)  # of the figure, for a height of 1; any narrower, a 7 looks like a 1
    pen_pixels: tuple[float, float] = (1.6, 4.0)  # from a fine liner to a marker, on 20 pixels


def draw(figures: Sequence[Figure], count: int, hand: Hand, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draws each figure equally often, each time by another hand, in MNIST's form: 20 pixels, centred by mass.

    Returns:
        Pictures uint8 [count, 28, 28], of the figures in random order.
    """
    chosen = generator.permutation(np.arange(count) % len(figures))
    paths = [_follow(figures[index], hand, generator) for index in chosen]
    parts = [_paint(paths[at : at + _CHUNK], hand, generator) for at in range(0, count, _CHUNK)]
    return np.concatenate([np.empty((0, IMAGE_SIDE, IMAGE_SIDE), np.uint8), *parts])


def _follow(figure: Figure, hand: Hand, generator: np.random.Generator) -> NDArray[np.float64]:
    """Follows a figure's strokes once, as a hand would: segments float64 [S, 2 ends, 2] in figure units."""
    meeting: dict[tuple[float, float], NDArray[np.float64]] = {}
    segments = []
    for stroke in figure:
        points = np.array([_placed(point, meeting, hand, generator) for point in stroke])
        curve = _smooth(points)
        segments.append(np.stack([curve[:-1], curve[1:]], axis=1))
    return np.concatenate(segments) @ _leaning(hand, generator).T


def _placed(
    point: tuple[float, float],
    meeting: dict[tuple[float, float], NDArray[np.float64]],
    hand: Hand,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Where the hand puts a point; strokes that share the point still meet there, roughly."""
    shared = meeting.setdefault(point, np.array(point) + generator.normal(0.0, hand.wobble, 2))
    return shared + generator.normal(0.0, hand.wobble / 3, 2)


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Catmull-Rom curve through points [P, 2]."""
    if len(points) < 3:
        return points
    before, after = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
    padded = np.concatenate([[before], points, [after]])
    t = (np.arange(_STEPS_PER_SPAN) / _STEPS_PER_SPAN)[:, np.newaxis, np.newaxis]
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2), points[-1:]])


def _leaning(hand: Hand, generator: np.random.Generator) -> NDArray[np.float64]:
    """One writer's slant, tilt and width: a matrix [2, 2]."""
    tilt = np.radians(generator.uniform(-1, 1) * hand.max_tilt_degrees)
    slant = generator.uniform(-1, 1) * hand.max_slant
    width = generator.uniform(*hand.widths)
    turned = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    return np.asarray(turned @ np.array([[width, -slant], [0.0, 1.0]]))


def _paint(paths: Sequence[NDArray[np.float64]], hand: Hand, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Paints paths, each [S, 2, 2], into pictures [N, 28, 28]."""
    radius = generator.uniform(*hand.pen_pixels, size=len(paths)) / 2
    longest = max(len(path) for path in paths)
    segments = np.stack(
        [
            # A shorter path repeats its last segment.
            np.pad(_framed(path, pen), [(0, longest - len(path)), (0, 0), (0, 0)], mode="edge")
            for path, pen in zip(paths, radius, strict=True)
        ]
    ).astype(np.float32)
    ink = np.clip(radius.astype(np.float32)[:, np.newaxis] + 0.5 - _distances(segments), 0.0, 1.0)
    return np.asarray(np.rint(ink * 255), np.uint8).reshape(-1, IMAGE_SIDE, IMAGE_SIDE)


def _framed(path: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Scales a path so that its ink is 20 pixels long, and centres it by stroke length, which stands for mass."""
    low, high = path.min(axis=(0, 1)), path.max(axis=(0, 1))
    scaled = path * (INK_SIDE - 2 * radius) / max(float((high - low).max()), 1e-6)
    length = np.linalg.norm(scaled[:, 1] - scaled[:, 0], axis=1, keepdims=True) + 1e-9
    centre = (scaled.mean(axis=1) * length).sum(axis=0) / length.sum()
    return np.asarray(scaled - centre + CENTRE)


def _distances(segments: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each pixel is from the nearest segment: [N, S, 2, 2] to [N, 784]."""
    rows, columns = np.divmod(np.arange(IMAGE_SIDE**2, dtype=np.float32), IMAGE_SIDE)
    nearest = np.full((len(segments), IMAGE_SIDE**2), np.inf, np.float32)
    for start, end in segments.transpose(1, 2, 0, 3):
        along = end - start
        x, y = columns - start[:, :1], rows - start[:, 1:]
        length = np.maximum((along**2).sum(axis=1, keepdims=True), 1e-9)
        share = np.clip((x * along[:, :1] + y * along[:, 1:]) / length, 0.0, 1.0)
        squared = (x - share * along[:, :1]) ** 2 + (y - share * along[:, 1:]) ** 2
        np.minimum(nearest, squared, out=nearest)
    return np.sqrt(nearest)
