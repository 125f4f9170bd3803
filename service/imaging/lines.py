"""Finds the digits of a picture that shows several: joins the strokes that belong together.

Digits that touch each other count as one here; `service.parting` may part them. `reading_order` puts the digits into
order, and `form` makes a row of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from service.imaging.circles import LEAST_MARKED, marked_by
from service.imaging.decoding import page_and_size
from service.imaging.first_look import NO_INK, ONLY_LINES, ONLY_NOISE, first_look
from service.imaging.form import grown, row_of
from service.imaging.joints import LEAST_WIDTH
from service.imaging.pale_strokes import with_pale_strokes
from service.imaging.picture_files import PictureError
from service.imaging.reading_order import text_lines
from service.imaging.strokes import connected_strokes
from service.imaging.surroundings import are_surroundings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.form import Grey
    from service.imaging.paper import Ink
    from service.imaging.sight import Sight
    from service.imaging.strokes import Strokes

    Boxes = NDArray[np.int64]  # [n, 4]: top, left, bottom, right; the ends exclusive

_LOOK_SIDE = 512  # a digit on a line of twenty still has 20 pixels
_MOST_STROKES = 1000  # more are a pattern or noise; joining takes time that grows with their square

# Share of the largest stroke's area below which a stroke is a speck. So small, because a stroke may be part of a digit
# in thin pen while the largest one is a whole digit in thick pen.
_LEAST_STROKE = 0.025
# Shares of the usual height of a stroke that is a digit by itself.
_FRAGMENT = 0.6  # less is a part of a digit, such as the bar of a 5
_LEAST_HEIGHT = 0.35  # less, with nothing to belong to, is a speck or a dash
_NEAR = 0.25
_TALLEST = 1.4  # two strokes that together are taller are two digits
_WIDEST = 1.2  # so are two beside each other that together are wider, if the smaller may be a digit
# A possible small digit or dash that is further beside a whole digit is no part of it. Of 60 telephone numbers with
# dashes 57 are read instead of 49, of 60 numbers of 1s and 7s from half to full size all instead of 53.
_BESIDE = 0.08

# By its length, a line is at most this thick, in this share of its columns, and its box at most this high. Lines of
# paper that is not quite flat are 0.01 as thick and 0.1 as high as long; three touching digits are a third as high.
_THIN, _ALMOST, _HIGHEST = 0.08, 0.9, 0.25

# A dash: its width by its height, and where its middle is between a digit's top and bottom. The bar of a 5 lies higher.
_FLAT = 2.0
_DASH_FROM, _DASH_TO = 0.3, 0.7

# Width by height: none of 10,000 MNIST digits is wider. For narrower ones `service.reading` asks the network.
_TOO_WIDE = 2.5

# Of the ink kept with the rows: enough for all of it, unless strokes lie around strokes. As much as 80 rows.
_MOST_INK_BYTES = _LOOK_SIDE * _LOOK_SIDE


class TooManyDigits(PictureError):
    """A picture that shows more digits than may be read at once."""


class TouchingDigits(PictureError):
    """A picture on which digits seem to touch each other."""

    def __init__(self, place: int) -> None:
        super().__init__(
            f"Digit {place + 1} looks like two that touch, or like none: leave a gap between the digits, or send a "
            "part of it."
        )


@dataclass(frozen=True)
class FoundDigit:
    """One digit of a picture.

    Attributes:
        row: float32 [784], in MNIST's form.
        box: Left, top, width and height in pixels of the upright picture as sent.
        line: The number of its line of text, from 0.
        ink: uint8 [height, width], full at 255, for `joints` to cut; None if it is not to be cut.
    """

    row: Grey
    box: tuple[int, int, int, int]
    line: int
    ink: NDArray[np.uint8] | None = None

    @property
    def width_by_height(self) -> float:
        """Large for two digits that touch, but also for a wide digit; the network's answer tells the two apart."""
        return self.box[2] / self.box[3]


def digits_from_picture(picture: bytes, max_image_pixels: int, max_digits: int) -> list[FoundDigit]:
    """Find the digits in reading order.

    Raises:
        PictureTooLarge: its header announces more than `max_image_pixels`.
        TooManyDigits: there are more than `max_digits`.
        TouchingDigits: one is far wider than a digit.
        PictureError: it does not decode, or there is nothing on it.
    """
    page, size = page_and_size(picture, max_image_pixels)
    sight = first_look(page, _LOOK_SIDE, _LOOK_SIDE)
    ink, strokes = _ink_and_strokes(sight)
    areas = np.where(are_surroundings(strokes), 0, strokes.areas)
    kept = np.flatnonzero(areas >= _LEAST_STROKE * areas.max())
    if len(kept) > _MOST_STROKES:
        detail = f"The picture shows {len(kept)} separate strokes; at most {_MOST_STROKES} are read: send a part of it."
        raise TooManyDigits(detail)
    groups = _groups(strokes, _without_circles(strokes, _without_lines(strokes, kept)))
    if not groups:
        raise PictureError(ONLY_NOISE)
    if len(groups) > max_digits:
        raise TooManyDigits(f"The picture shows {len(groups)} digits; at most {max_digits} may be read at once.")
    boxes = np.array([_union(strokes.boxes[group]) for group in groups])
    found: list[FoundDigit] = []
    kept_bytes = 0
    for number, line in enumerate(text_lines(boxes)):
        for index in line:
            own = _own_ink(ink, strokes, groups[index])
            kept_ink = _kept(own, _MOST_INK_BYTES - kept_bytes)
            kept_bytes += 0 if kept_ink is None else kept_ink.nbytes
            found.append(FoundDigit(row_of(own), _box_on_picture(sight, boxes[index], size), number, kept_ink))
    for place, digit in enumerate(found):
        if digit.width_by_height > _TOO_WIDE:
            raise TouchingDigits(place)
    return found


def _ink_and_strokes(sight: Sight) -> tuple[Ink, Strokes]:
    if sight.ink.is_faint:
        raise PictureError(NO_INK)
    if sight.ink.is_noise:
        raise PictureError(ONLY_NOISE)
    ink, mask = with_pale_strokes(sight.ink, sight.mask)
    return ink, connected_strokes(mask)


def _without_lines(strokes: Strokes, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out long thin lines across that were not straight enough for rulings. Takes and gives stroke numbers."""
    heights, widths = (strokes.boxes[kept, 2:] - strokes.boxes[kept, :2]).T
    tallest = {int(stroke): _tallest_if_thin(strokes, int(stroke)) for stroke in kept[heights <= _HIGHEST * widths]}
    lines = [stroke for stroke, height in tallest.items() if height is not None]
    others = np.setdiff1d(kept, lines)
    if not others.size:
        raise PictureError(ONLY_LINES)
    # A line that is somewhere as high as a digit has one standing on it or crossing it, which would be left out, too.
    least = _FRAGMENT * strokes.usual_height(others)
    return np.setdiff1d(kept, [line for line in lines if (tallest[line] or 0) < least])


def _tallest_if_thin(strokes: Strokes, stroke: int) -> int | None:
    """The greatest height of a stroke that is thin almost everywhere, in pixels; None if it is not thin."""
    top, left, bottom, right = strokes.boxes[stroke]
    pixels = strokes.numbers[top:bottom, left:right] == stroke
    heights = len(pixels) - pixels[::-1].argmax(axis=0) - pixels.argmax(axis=0)
    return int(heights.max()) if np.quantile(heights, _ALMOST) <= _THIN * (right - left) else None


def _without_circles(strokes: Strokes, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out the lines that go around others: they mark a digit, or a number. Takes and gives stroke numbers."""
    boxes = strokes.boxes[kept]
    heights = strokes.boxes[:, 2] - strokes.boxes[:, 0]
    # Most go around no box: they need no further check, which would take time.
    goes_around = heights[kept][:, None] <= heights[kept] / LEAST_MARKED
    for begin, end in ((0, 2), (1, 3)):
        goes_around &= (boxes[:, None, begin] < boxes[:, begin]) & (boxes[:, None, end] > boxes[:, end])
    is_kept = np.isin(np.arange(strokes.count), kept)
    lines = [line for line in kept[goes_around.any(axis=1)] if marked_by(strokes, int(line), is_kept, heights).any()]
    return np.setdiff1d(kept, lines)


def _groups(strokes: Strokes, kept: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Join each fragment with the nearest stroke that fits; drop groups that are no digit. Gives stroke numbers."""
    usual = strokes.usual_height(kept)
    groups = [kept[index : index + 1] for index in range(len(kept))]
    while True:  # two bits of a broken digit may find each other first
        boxes = np.array([_union(strokes.boxes[group]) for group in groups])
        joined = _joined(boxes, usual)
        numbers = np.unique(joined)
        if len(numbers) == len(groups):
            break
        groups = [np.concatenate([groups[index] for index in np.flatnonzero(joined == number)]) for number in numbers]
    return [group for group in groups if _is_digit(strokes.boxes[group], usual)]


def _is_digit(boxes: Boxes, usual: float) -> bool:
    """Whether the strokes are high enough together; dots and dashes, such as a colon, must be as high as a whole digit.

    Of 60 times of day 57 are read instead of 49; the bits of a digit in which the pen skipped are together as high.
    """
    highest = int((boxes[:, 2] - boxes[:, 0]).max())
    least = _LEAST_HEIGHT if highest >= _LEAST_HEIGHT * usual else _FRAGMENT
    return _height(_union(boxes)) >= least * usual


def _joined(boxes: Boxes, usual: float) -> NDArray[np.int64]:
    """For each box a number that it shares with the other boxes of its digit."""
    group = np.arange(len(boxes))
    for fragment in np.flatnonzero(boxes[:, 2] - boxes[:, 0] < _FRAGMENT * usual):
        owner = _owner(boxes, int(fragment), usual)
        if owner is not None:
            group[group == group[fragment]] = group[owner]
    return group


def _owner(boxes: Boxes, fragment: int, usual: float) -> int | None:
    """The nearest stroke that, together with the fragment, is no larger than a digit."""
    top, left, bottom, right = boxes[fragment]
    apart = np.maximum(np.maximum(boxes[:, 1] - right, left - boxes[:, 3]), 0)
    above = np.maximum(np.maximum(boxes[:, 0] - bottom, top - boxes[:, 2]), 0)
    tall = np.maximum(boxes[:, 2], bottom) - np.minimum(boxes[:, 0], top)
    wide = np.maximum(boxes[:, 3], right) - np.minimum(boxes[:, 1], left)
    distance = np.hypot(2.0 * apart, above)  # the parts of a digit lie above each other rather than side by side
    fits = (distance <= 2 * _NEAR * usual) & (apart <= _NEAR * usual)
    fits &= (tall <= _TALLEST * usual) & (wide <= _TALLEST * usual)
    fits &= (wide <= _WIDEST * usual) | (apart == 0) | (bottom - top < _LEAST_HEIGHT * usual)
    fits &= ~_stands_beside(boxes, fragment, apart, usual)
    fits[fragment] = False
    if not fits.any():
        return None
    return int(np.argmin(np.where(fits, distance, np.inf)))


def _stands_beside(boxes: Boxes, fragment: int, apart: NDArray[np.int64], usual: float) -> NDArray[np.bool_]:
    """Which whole digits the fragment stands beside: it may be a small digit, or is a dash at half their height."""
    top, left, bottom, right = boxes[fragment]
    heights = boxes[:, 2] - boxes[:, 0]
    clear = (heights >= _FRAGMENT * usual) & (apart > _BESIDE * usual)
    if bottom - top >= _LEAST_HEIGHT * usual:
        return np.asarray(clear)
    place = ((top + bottom) / 2 - boxes[:, 0]) / heights
    is_dash = right - left >= _FLAT * (bottom - top)
    return np.asarray(clear & is_dash & (place > _DASH_FROM) & (place < _DASH_TO))


def _own_ink(ink: Ink, strokes: Strokes, group: NDArray[np.int64]) -> Grey:
    """The group's ink, and no other stroke's, cropped to its box."""
    top, left, bottom, right = _union(strokes.boxes[group])
    own = np.isin(strokes.numbers[top:bottom, left:right], group)
    return np.asarray(ink.soft[top:bottom, left:right] * grown(own), dtype=np.float32)


def _kept(ink: Grey, most_bytes: int) -> NDArray[np.uint8] | None:
    """The ink, if it is wide enough to be two digits and no more than `most_bytes`."""
    height, width = ink.shape
    if width < LEAST_WIDTH * height or ink.size > most_bytes:
        return None
    return np.asarray(ink * np.float32(255) + np.float32(0.5), dtype=np.uint8)


def _box_on_picture(sight: Sight, box: NDArray[np.int64], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a box of the look lies on a picture of this width and height; at least one pixel."""
    top, left, bottom, right = box.tolist()
    x, y, end_x, end_y = sight.part((top, left, bottom, right))
    across, down = size[0] / sight.page.width, size[1] / sight.page.height
    first = min(round(x * across), size[0] - 1), min(round(y * down), size[1] - 1)
    return (*first, max(1, round(end_x * across) - first[0]), max(1, round(end_y * down) - first[1]))


def _union(boxes: Boxes) -> NDArray[np.int64]:
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _height(box: NDArray[np.int64]) -> int:
    return int(box[2] - box[0])
