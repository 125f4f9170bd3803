"""Stripes, spatter, lines and bare edges: corruptions that cover the ink or leave only part of it."""

import numpy as np
from numpy.typing import NDArray

from trainer.corruptions.filters import Floats, blurred, bytes_of, floats_of, gradients
from trainer.data import IMAGE_SIDE

Images = NDArray[np.uint8]

# Each severity is the one that MNIST-C's published images were made with.
_STRIPE_PIXELS = 7  # on each side: together half of the image, including the edge of the ink

_DROP_SIGMA_PIXELS = 1.0  # how fine the liquid's surface is
_DROP_EDGE_SIGMA_PIXELS = 1.5  # how round the drops are
_DROP_FLOOR = 0.8  # anything thinner is no drop
_DROP_SHARE = 0.14  # share of the image that these three values cover
_DROP_GREY = 63 / 255  # mud: darker than ink, lighter than the ground

_LINE_RADIUS_PIXELS = 1.45  # at which a line has faded out: as wide as a thin pen's
_DOT_PIXELS = 2  # dots and gaps alike
_ZIGZAG_REACH_PIXELS = 2.0  # up and down from its middle
_ZIGZAG_PERIOD_PIXELS = 8.0
_ZIGZAG_ENDS = (2, 25)  # its first and last column
_ZIGZAG_MAX_FALL_PIXELS = 5  # from end to end

_EDGE_SIGMA_PIXELS = 1.0  # Canny 1986 with the usual settings: this blur,
_EDGE_STRONG = 0.2  # edges wherever it is steeper than this,
_EDGE_WEAK = 0.1  # and, where it is steeper than this, if they continue those

STRENGTHS = {
    "stripe": f"{_STRIPE_PIXELS} columns at each side",
    "spatter": f"{100 * _DROP_SHARE:g} % of the image covered",
    "dotted_line": f"dots and gaps of {_DOT_PIXELS} pixels",
    "zigzag": f"teeth of {2 * _ZIGZAG_REACH_PIXELS:g} by {_ZIGZAG_PERIOD_PIXELS:g} pixels",
    "canny_edges": f"edges steeper than {_EDGE_STRONG:g}, or {_EDGE_WEAK:g} beside these",
}


def stripe(images: Images, _generator: np.random.Generator) -> Images:
    """Swaps black and white on the left and on the right."""
    striped = 255 - images
    striped[:, :, _STRIPE_PIXELS:-_STRIPE_PIXELS] = images[:, :, _STRIPE_PIXELS:-_STRIPE_PIXELS]
    return striped


def spatter(images: Images, generator: np.random.Generator) -> Images:
    """Covers ink and ground with drops of mud."""
    surface = blurred(generator.standard_normal(images.shape, np.float32), _DROP_SIGMA_PIXELS)
    drops = blurred((surface > 0).astype(np.float32), _DROP_EDGE_SIGMA_PIXELS)
    drops[drops < _DROP_FLOOR] = 0
    return bytes_of(floats_of(images) * (1 - drops) + np.float32(_DROP_GREY) * drops)


def dotted_line(images: Images, generator: np.random.Generator) -> Images:
    """Draws a dotted line from the left edge to the right."""
    first, last = generator.integers(IMAGE_SIDE, size=(2, len(images), 1))
    columns = np.arange(IMAGE_SIDE)
    slope = (last - first) / (IMAGE_SIDE - 1)
    line = _line(first + slope * columns, slope)
    return bytes_of(floats_of(images) + line * (columns // _DOT_PIXELS % 2))


def zigzag(images: Images, generator: np.random.Generator) -> Images:
    """Draws a zigzag from left to right."""
    height = generator.integers(IMAGE_SIDE, size=(len(images), 1))
    fall = generator.integers(-_ZIGZAG_MAX_FALL_PIXELS, _ZIGZAG_MAX_FALL_PIXELS, size=(len(images), 1), endpoint=True)
    start, end = _ZIGZAG_ENDS
    columns = np.arange(IMAGE_SIDE)
    along = (columns - start) / (end - start)
    phase = (columns - start) / _ZIGZAG_PERIOD_PIXELS
    teeth = _ZIGZAG_REACH_PIXELS * (4 * np.abs((phase - 0.25) % 1 - 0.5) - 1)
    # The teeth have a slope of 1, beside which the fall of the whole line hardly counts.
    steepness = np.full_like(height, 4 * _ZIGZAG_REACH_PIXELS / _ZIGZAG_PERIOD_PIXELS, np.float64)
    line = _line(height + fall * along + teeth, steepness)
    return bytes_of(floats_of(images) + line * ((columns >= start) & (columns <= end)))


def _line(heights: NDArray[np.float64], slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draws lines that pass each column at a height [N, 28] with a slope [N, 1]: ink [N, 28, 28]."""
    below = np.abs(np.arange(IMAGE_SIDE)[:, np.newaxis] - heights[:, np.newaxis])
    # A steep line is nearer to a pixel than their vertical distance.
    distance = below / np.sqrt(1 + slope[:, np.newaxis] ** 2)
    return np.maximum(0.0, 1.0 - distance / _LINE_RADIUS_PIXELS)


def canny_edges(images: Images, _generator: np.random.Generator) -> Images:
    """Leaves only the edges of the ink, one pixel wide (Canny 1986)."""
    down, right = gradients(blurred(floats_of(images), _EDGE_SIGMA_PIXELS))
    steepness = np.hypot(down, right)
    crests = _crests(steepness, np.arctan2(down, right))
    edges = crests & (steepness > _EDGE_STRONG)
    candidates = crests & (steepness > _EDGE_WEAK)
    while True:
        grown = _grown(edges) & candidates
        if np.array_equal(grown, edges):
            return np.where(edges, np.uint8(255), np.uint8(0))
        edges = grown


def _crests(steepness: Floats, direction: Floats) -> NDArray[np.bool_]:
    """Where an image is at least as steep as at both neighbours across the edge."""
    padded = np.pad(steepness, [(0, 0), (1, 1), (1, 1)])
    # Which of the four pairs of opposite neighbours lies nearest to the direction.
    eighth = np.rint(direction / (np.pi / 4)).astype(np.intp) % 4
    crests = np.zeros(steepness.shape, np.bool_)
    for number, (row, column) in enumerate([(0, 1), (1, 1), (1, 0), (1, -1)]):
        ahead, behind = _shifted(padded, row, column), _shifted(padded, -row, -column)
        # Of two that are equally steep, only one.
        crests |= (eighth == number) & (steepness > ahead) & (steepness >= behind)
    return crests


def _grown(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Grows by one pixel into all eight directions."""
    padded = np.pad(edges, [(0, 0), (1, 1), (1, 1)])
    rows = padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]
    return np.asarray(rows[:, :, :-2] | rows[:, :, 1:-1] | rows[:, :, 2:])


def _shifted(padded: Floats, row: int, column: int) -> Floats:
    """The neighbours at this offset, in images with a margin of one pixel."""
    return padded[:, 1 + row : 1 + row + IMAGE_SIDE, 1 + column : 1 + column + IMAGE_SIDE]
