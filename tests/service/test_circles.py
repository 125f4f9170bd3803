from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from service.circles import marked_by
from service.strokes import connected_strokes

LINE = (20, 20, 180, 180)  # left, top, right, bottom


def marked(*inside: tuple[tuple[int, int], tuple[int, int]], opening: int = 0) -> list[bool]:
    """Which strokes, the line itself first, are marked by a line around straight ones; it leaves some degrees open."""
    image = Image.new("1", (200, 200))
    draw = ImageDraw.Draw(image)
    draw.arc(LINE, opening - 90, 270, fill=1, width=5)
    for stroke in inside:
        draw.line(stroke, fill=1, width=6)
    strokes = connected_strokes(np.asarray(image))
    heights = strokes.boxes[:, 2] - strokes.boxes[:, 0]
    line = int(np.argmax(heights))
    found = marked_by(strokes, line, np.ones(strokes.count, dtype=np.bool_), heights).tolist()
    return [found.pop(line), *found]


@pytest.mark.parametrize("opening", [0, 2])
def test_all_that_a_line_goes_around_is_marked(opening: int) -> None:
    """A digit in two strokes, of which one is small, also where the line's ends do not quite meet."""
    assert marked(((80, 60), (80, 140)), ((100, 60), (120, 60)), opening=opening) == [False, True, True]


def test_a_line_that_is_open_marks_nothing() -> None:
    """A 6 or a bracket goes around nothing."""
    assert marked(((80, 60), (80, 140)), opening=60) == [False, False]


def test_a_dot_is_not_marked() -> None:
    """It is a part of the zero around it."""
    assert marked(((100, 90), (100, 110))) == [False, False]


def test_a_slash_is_not_marked() -> None:
    """A straight stroke far aslant is a part of the zero around it, an upright one a 1."""
    assert marked(((145, 80), (55, 120))) == [False, False]
    assert marked(((110, 50), (90, 150))) == [False, True]
