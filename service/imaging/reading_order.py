"""Puts the digits of a picture into lines of text, and into order on each line; the lines may be tilted.

Knows only the digits' boxes; `lines` decides which strokes are a digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Boxes = NDArray[np.int64]  # [n, 4]: top, left, bottom, right; the ends exclusive

# Of the usual height: digits with smaller gaps are on one line if each overlaps in height with the next, even on a
# tilted line.
_WORD_GAP = 4.0
_SAME_LINE = 0.4  # of the shorter digit's height: two digits that overlap by that much are on one line
# On tilted lines, a distant digit may overlap in height with digits of two lines: being a pixel higher or lower counts
# as much as being this many pixels further away.
_ASLANT = 8.0


def text_lines(boxes: Boxes) -> list[list[int]]:
    """Put the digits into lines of text, top to bottom, and into order on each, left to right.

    Returns:
        For each line, the indices of its digits in `boxes`.
    """
    line = _across_gaps(boxes, _words(boxes))
    members = [np.flatnonzero(line == number) for number in np.unique(line)]
    members.sort(key=lambda own: float(boxes[own, ::2].mean()))
    return [own[np.argsort(boxes[own, 1], kind="stable")].tolist() for own in members]


def are_on_one_line(boxes: Boxes, others: Boxes) -> NDArray[np.bool_]:
    """Whether each of the boxes overlaps in height with each of the others: [boxes, others]."""
    common = np.minimum(boxes[:, None, 2], others[:, 2]) - np.maximum(boxes[:, None, 0], others[:, 0])
    lower = np.minimum(boxes[:, None, 2] - boxes[:, None, 0], others[:, 2] - others[:, 0])
    return np.asarray(common >= _SAME_LINE * lower)


def _words(boxes: Boxes) -> NDArray[np.int64]:
    """For each digit the number of its word, from 0: the digits on one line without a wide gap between them."""
    heights = boxes[:, 2] - boxes[:, 0]
    usual = float(np.median(heights))
    word = np.arange(len(boxes))
    for index, (_, left, _, right) in enumerate(boxes):
        apart = np.maximum(boxes[:, 1] - right, left - boxes[:, 3])
        beside = are_on_one_line(boxes, boxes[index : index + 1])[:, 0] & (apart <= _WORD_GAP * usual)
        word[np.isin(word, word[beside])] = word[index]
    return np.unique(word, return_inverse=True)[1]


def _across_gaps(boxes: Boxes, word: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join words into lines; return for each digit the number of its line.

    Two words are on one line if the last digit of the left one and the first of the right one overlap in height. The
    nearest are joined first. Words are not joined if that would put one digit above another on the same line: on a
    tilted page the end of a line may be as high as the beginning of the next.
    """
    words = [np.flatnonzero(word == number) for number in range(word.max() + 1)]
    last_digit = boxes[[own[np.argmax(boxes[own, 3])] for own in words]]
    first_digit = boxes[[own[np.argmin(boxes[own, 1])] for own in words]]
    gap = first_digit[:, 1] - last_digit[:, None, 3]
    off = np.abs(last_digit[:, None, 2] + last_digit[:, None, 0] - first_digit[:, 2] - first_digit[:, 0]) / 2
    may_follow = (gap > 0) & are_on_one_line(last_digit, first_digit)
    nearest_first = np.argsort((gap + _ASLANT * off)[may_follow], kind="stable")
    line_of_word = np.arange(len(words))
    for left, right in np.argwhere(may_follow)[nearest_first]:
        one, other = line_of_word[left], line_of_word[right]
        line = line_of_word[word]
        if one != other and not _above_each_other(boxes[line == one], boxes[line == other]):
            line_of_word[line_of_word == other] = one
    return line_of_word[word]


def _above_each_other(boxes: Boxes, others: Boxes) -> bool:
    """Whether some box has one of the others above or below it."""
    return bool(((boxes[:, None, 1] < others[:, 3]) & (others[:, 1] < boxes[:, None, 3])).any())
