"""The charts: well-formed, inside their frame, and described in words, whatever the numbers are."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.reports.charts import Line, line_chart, reliability_chart, ticks
from trainer.reports.diagnosis import Bin

values = st.floats(-1e9, 1e9, allow_subnormal=False)


def read(svg: str) -> ET.Element:
    """The chart as XML; fails if it is not well-formed."""
    return ET.fromstring(svg)  # noqa: S314 - our own chart


def assert_inside(root: ET.Element) -> None:
    """Every coordinate is a number within the frame."""
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for part in root.iter():
        across = [part.attrib[name] for name in ("x", "x1", "x2", "cx") if name in part.attrib]
        down = [part.attrib[name] for name in ("y", "y1", "y2", "cy") if name in part.attrib]
        for point in part.attrib.get("points", "").split():
            x, y = point.split(",")
            across.append(x)
            down.append(y)
        assert all(0 <= float(x) <= width for x in across)
        assert all(0 <= float(y) <= height for y in down)


@settings(max_examples=200)
@given(values, values)
def test_ticks_hold_the_values(one: float, other: float) -> None:
    """Ticks ascend evenly around the values, and are few."""
    low, high = min(one, other), max(one, other)
    marks = ticks(low, high)
    step = marks[1] - marks[0]
    assert 2 <= len(marks) <= 7
    assert marks[0] <= low + 1e-5 * step
    assert marks[-1] >= high - 1e-5 * step
    assert all(math.isclose(b - a, step, rel_tol=1e-3) for a, b in pairwise(marks))


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0.9713, 0.9954, [0.97, 0.975, 0.98, 0.985, 0.99, 0.995, 1.0]),
        (0, 0.8, [0, 0.2, 0.4, 0.6, 0.8]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1, 1, [0.9, 0.92, 0.94, 0.96, 0.98, 1.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, marks: list[float]) -> None:
    """Steps are 1, 2 or 5 of a power of ten, and accuracy does not go over 100 %."""
    assert ticks(low, high) == marks


@settings(max_examples=50)
@given(st.integers(1, 60).flatmap(lambda count: st.lists(values, min_size=count, max_size=count)), st.text())
def test_line_chart_is_sound(losses: list[float], name: str) -> None:
    """Any losses, of one epoch or many, under any name give a well-formed chart inside its frame."""
    name = re.sub(r"[^\x20-\ud7ff\ue000-\ufffd]", "", name)  # XML cannot hold the others at all
    epochs = list(range(1, len(losses) + 1))
    root = read(line_chart("loss", name, epochs, [Line(name, losses), Line("b", losses)], "{:g}".format))
    assert_inside(root)
    assert root.findtext("title") == name
    line = next(root.iter("polyline"))
    assert len(line.attrib["points"].split()) == len(losses)


def test_better_is_higher() -> None:
    """Larger values lie higher, later epochs further to the right."""
    root = read(line_chart("a", "A", [1, 2], [Line("a", [0.2, 0.9])], "{:g}".format))
    (x1, y1), (x2, y2) = (
        map(float, point.split(",")) for point in next(root.iter("polyline")).attrib["points"].split()
    )
    assert x1 < x2
    assert y1 > y2


@settings(max_examples=50)
@given(st.lists(st.integers(0, 10_000), min_size=15, max_size=15).filter(any), st.data())
def test_reliability_chart_is_sound(counts: list[int], data: st.DataObject) -> None:
    """Any counts give a well-formed chart inside its frame, with a bar for each bin that is not empty."""
    bins = [
        Bin(at / 15, (at + 1) / 15, images, data.draw(st.integers(0, images)), (at + 0.5) / 15)
        for at, images in enumerate(counts)
    ]
    root = read(reliability_chart("r", "Reliability", bins))
    assert_inside(root)
    filled = sum(count > 0 for count in counts)
    for kind in ("bin", "count"):
        assert sum(part.attrib.get("class") == kind for part in root.iter("rect")) == filled


def test_charts_are_told_in_words() -> None:
    """To a screen reader a chart is one picture, with a title and a description."""
    root = read(line_chart("loss", "Loss", [1, 2], [Line("training", [0.5, 0.25])], "{:g}".format))
    assert root.attrib["role"] == "img"
    said = {part.attrib["id"]: part.text for part in root if "id" in part.attrib}
    assert said[root.attrib["aria-labelledby"]] == "Loss"
    assert said[root.attrib["aria-describedby"]] == "training: 0.5 at first, 0.25 at last"
