"""Charts as SVG inside the page, which colours them by CSS class: so they follow its light and dark scheme.

They scale with the space they get; each has a title and a description for people who can't see it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer.evaluation import wilson_interval
from trainer.reports.diagnosis import Bin
from trainer.reports.markup import Html, element

_WIDTH, _HEIGHT = 320.0, 220.0  # units are CSS pixels on a phone
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 20.0, 26.0, 38.0
_STRIP, _STRIP_GAP = 44.0, 22.0  # the counts under the reliability diagram
_MOST_TICKS = 5
_MOST_DOTS = 30  # more of them hide the line


@dataclass(frozen=True)
class Line:
    """One line of a chart: a finite value for each epoch."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` to coordinates from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The coordinate of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def line_chart(
    key: str, title: str, epochs: Sequence[int], lines: Sequence[Line], word: Callable[[float], str]
) -> Html:
    """Draws values over epochs; `key` is unique on the page, `word` formats a value for the axis."""
    values = [value for line in lines for value in line.values]
    marks = ticks(min(values), max(values))
    across = Scale(*_widened(min(epochs), max(epochs)), _LEFT + 8, _WIDTH - _RIGHT - 8)
    up = Scale(marks[0], marks[-1], _HEIGHT - _BOTTOM, _TOP)
    whole = [mark for mark in ticks(min(epochs), max(epochs)) if mark.is_integer() and mark in epochs]
    described = "; ".join(
        f"{line.name}: {word(line.values[0])} at first, {word(line.values[-1])} at last" for line in lines
    )
    return _svg(
        key,
        title,
        described,
        _HEIGHT,
        *_upward_axis(up, marks, word),
        *_rightward_axis(across, whole or [float(epochs[0])], _HEIGHT - _BOTTOM, "epoch", "{:.0f}".format),
        *(part for at, line in enumerate(lines) for part in _line(line, epochs, across, up, at)),
    )


def reliability_chart(key: str, title: str, bins: Sequence[Bin]) -> Html:
    """Draws accuracy over confidence with intervals, and under it how many answers each bin has (logarithmic)."""
    across = Scale(0, 1, _LEFT, _WIDTH - _RIGHT)
    side = across.end - across.start
    up = Scale(0, 1, 8 + side, 8)
    floor = up.start + _STRIP_GAP + _STRIP
    filled = [each for each in bins if each.images]
    total = sum(each.images for each in filled)
    surest = filled[-1]
    described = (
        f"Of {total} answers, {surest.images} have a confidence over {_whole_percent(surest.low)}, "
        f"and {surest.right} of these are right."
    )
    most = max(each.images for each in filled)
    marks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    return _svg(
        key,
        title,
        described,
        floor + _BOTTOM,
        *_upward_axis(up, marks, _whole_percent),
        *(part for each in filled for part in _bin(each, across, up)),
        _straight("ideal", across.at(0), up.at(0), across.at(1), up.at(1)),
        *(_count(each, most, across, floor) for each in filled),
        _text(f"answers, up to {most:,}", _LEFT, floor - _STRIP - 6, "start"),
        *_rightward_axis(across, marks, floor, "confidence", _whole_percent),
    )


def ticks(low: float, high: float) -> list[float]:
    """Two to seven round values; the first is not above `low`, the last not below `high`."""
    low, high = _widened(low, high)
    step = 10.0 ** math.floor(math.log10((high - low) / _MOST_TICKS))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= _MOST_TICKS)
    # Without rounding, 0.30000000000000004 / 0.1 would add a step.
    first, last = math.floor(round(low / step, 6)), math.ceil(round(high / step, 6))
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(at * step, digits) for at in range(first, last + 1)]


def _widened(low: float, high: float) -> tuple[float, float]:
    """Widens a range of nearly equal values; downward, since no share is more than 100 %."""
    if high - low > 1e-6 * max(abs(low), abs(high)):
        return low, high
    return (low - 0.1 * abs(low), high) if low else (0.0, 1.0)


def _whole_percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _svg(key: str, title: str, described: str, height: float, *parts: Html) -> Html:
    return element(
        "svg",
        element("title", title, id=f"{key}-title"),
        element("desc", described, id=f"{key}-description"),
        *parts,
        viewBox=f"0 0 {_WIDTH:g} {height:g}",
        role="img",
        aria_labelledby=f"{key}-title",
        aria_describedby=f"{key}-description",
    )


def _upward_axis(up: Scale, marks: Sequence[float], word: Callable[[float], str]) -> list[Html]:
    parts = []
    for mark in marks:
        parts.append(_straight("grid", _LEFT, up.at(mark), _WIDTH - _RIGHT, up.at(mark)))
        parts.append(_text(word(mark), _LEFT - 6, up.at(mark) + 4, "end"))
    return parts


def _rightward_axis(
    across: Scale, marks: Sequence[float], floor: float, name: str, word: Callable[[float], str]
) -> list[Html]:
    numbers = [_text(word(mark), across.at(mark), floor + 16, "middle") for mark in marks]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [
        _straight("axis", _LEFT, floor, _WIDTH - _RIGHT, floor),
        *numbers,
        _text(name, middle, floor + 32, "middle"),
    ]


def _line(line: Line, epochs: Sequence[int], across: Scale, up: Scale, place: int) -> list[Html]:
    points = [(across.at(epoch), up.at(value)) for epoch, value in zip(epochs, line.values, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    start = _LEFT + 132 * place
    kind = f"line line-{place + 1}"
    dots = points if len(points) <= _MOST_DOTS else []
    return [
        element("polyline", points=path, class_=kind),
        *(element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="2.5", class_=f"dot dot-{place + 1}") for x, y in dots),
        _straight(kind, start, 10, start + 20, 10),
        _text(line.name, start + 26, 14, "start"),
    ]


def _bin(each: Bin, across: Scale, up: Scale) -> list[Html]:
    left, width = across.at(each.low) + 1, across.at(each.high) - across.at(each.low) - 2
    top, middle = up.at(each.right / each.images), left + width / 2
    low, high = wilson_interval(each.right, each.images)
    return [
        _box("bin", left, top, width, up.at(0) - top),
        _straight("interval", middle, up.at(low), middle, up.at(high)),
    ]


def _count(each: Bin, most: int, across: Scale, floor: float) -> Html:
    height = _STRIP * math.log1p(each.images) / math.log1p(most)
    left, width = across.at(each.low) + 1, across.at(each.high) - across.at(each.low) - 2
    return _box("count", left, floor - height, width, height)


def _box(kind: str, left: float, top: float, width: float, height: float) -> Html:
    return element("rect", x=f"{left:.1f}", y=f"{top:.1f}", width=f"{width:.1f}", height=f"{height:.1f}", class_=kind)


def _straight(kind: str, x1: float, y1: float, x2: float, y2: float) -> Html:
    return element("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=kind)


def _text(text: str, x: float, y: float, anchor: str) -> Html:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
