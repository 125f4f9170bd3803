from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from service.imaging.circles import marked_by
from service.imaging.strokes import connected_strokes

LINE = (20, 20, 180, 180)  # left, top, right, bottom


def marked(*inside: tuple[tuple[int, int], tuple[int, int]], opening: int = 0) -> list[bool]:
    """Which strokes a line around straight ones marks, the line itself first; `opening` degrees of it are open."""
    image = Image.new("1", (200, 200))
    ImageDraw.Draw(image).arc(LINE, opening - 90, 270, fill=1, width=5)
    return marked_by_highest(image, *inside)


def marked_by_rest_of_box(*points: tuple[int, int], digit: tuple[tuple[int, int], tuple[int, int]]) -> list[bool]:
    """Which strokes a line through the points marks on a page of 200 x 200, the line itself first."""
    image = Image.new("1", (200, 200))
    ImageDraw.Draw(image).line(points, fill=1, width=5)
    return marked_by_highest(image, digit)


def marked_by_highest(image: Image.Image, *inside: tuple[tuple[int, int], tuple[int, int]]) -> list[bool]:
    """Draw straight strokes, and tell which strokes the highest of all marks, that one first."""
    for stroke in inside:
        ImageDraw.Draw(image).line(stroke, fill=1, width=6)
    strokes = connected_strokes(np.asarray(image))
    heights = strokes.boxes[:, 2] - strokes.boxes[:, 0]
    line = int(np.argmax(heights))
    found = marked_by(strokes, line, np.ones(strokes.count, dtype=np.bool_), heights).tolist()
    return [found.pop(line), *found]


@pytest.mark.parametrize(
    "points",
    [
        ((8, 0), (8, 190), (190, 190), (190, 0)),
        ((0, 8), (190, 8), (190, 190), (0, 190)),
        ((40, 199), (40, 8), (199, 8)),
        ((0, 150), (170, 170), (170, 0)),
    ],
)
def test_the_rim_closes_what_is_left_of_a_box(points: tuple[tuple[int, int], ...]) -> None:
    """A box that was not quite cut off has two or three sides left, from rim to rim; a 1 in it may lean."""
    assert marked_by_rest_of_box(*points, digit=((125, 50), (85, 135))) == [False, True]


def test_a_digit_cropped_to_its_edges_marks_nothing() -> None:
    """The detached bar across a 7 lies between the 7 and the rim; so does the slash of an open 0."""
    seven = ((0, 2), (197, 2), (90, 199))
    assert marked_by_rest_of_box(*seven, digit=((20, 100), (110, 100))) == [False, False]
    open_zero = ((90, 2), (2, 60), (2, 140), (100, 197), (197, 140), (197, 60), (120, 2))
    assert marked_by_rest_of_box(*open_zero, digit=((145, 80), (55, 120))) == [False, False]


@pytest.mark.parametrize("opening", [0, 2])
def test_all_that_a_line_goes_around_is_marked(opening: int) -> None:
    """Both strokes of a digit are marked, though one is small, and even where the line's ends do not quite meet."""
    assert marked(((80, 60), (80, 140)), ((100, 60), (120, 60)), opening=opening) == [False, True, True]


def test_a_line_that_is_open_marks_nothing() -> None:
    """A line as open as a 6 or a bracket encloses nothing."""
    assert marked(((80, 60), (80, 140)), opening=60) == [False, False]


def test_a_dot_is_not_marked() -> None:
    """A dot is a part of the zero around it."""
    assert marked(((100, 90), (100, 110))) == [False, False]


def test_a_slash_is_not_marked() -> None:
    """A strongly slanted straight stroke is a part of the zero around it; an upright one is a 1."""
    assert marked(((145, 80), (55, 120))) == [False, False]
    assert marked(((110, 50), (90, 150))) == [False, True]
