"""Parts digits that touch: finds which may be two, and whether the network is sure enough of a cut's halves.

`service.imaging.joints` decides where to cut, the route when to ask the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.imaging.joints import cuts_of
from service.imaging.lines import FoundDigit
from service.inference import Inference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias, TypeVar

    from numpy.typing import NDArray

    from service.imaging.joints import Part

    Cuts: TypeAlias = list[tuple[Part, Part]]
    Told = TypeVar("Told", bool, float)

# Cutting one digit takes 25 ms, and its halves are up to 96 rows, mostly 50.
_MOST_AT_ONCE = 4

# A digit with a higher score counts as one, even if the network does not know which. Without this rule 1 of 100 pairs
# more are read, and 2 of 11,959 digits that touch no other are parted.
_SURELY_ONE = 0.995
# The network's doubt of a row is 1 minus its confidence times its score of being a digit, plus this: it is never surer
# than that.
_LEAST_DOUBT = 0.0003
# Most wrong halves that the network is sure of are simple strokes, cut off from another digit: a 1 or a 7.
_OFTEN_WRONG = np.ones(10, dtype=np.float32)
_OFTEN_WRONG[[1, 7]] = 7.0, 3.0
# A digit is parted if each half's doubt is less than this share of the whole's doubt. Chosen on the digits held out
# from training: of 1,476 strings in which two touch, 78.6 % of the pairs were parted correctly and 3.3 % wrongly; of
# 11,959 digits that touch no other, 3 were parted. At 0.015 it was 75.9 % and 2.6 %; at 0.03, 81.2 % and 3.9 %, and
# 8 digits.
_SURER = 0.02


def may_be_two(digits: Sequence[FoundDigit], inference: Inference, most: int) -> list[int]:
    """The places of the digits that are worth cutting, in order; at most `most`, the most doubtful ones.

    Empty if the version does not tell digits from other things: half of an 8 may surely be a 3, but not surely a digit.
    """
    if inference.scores is None:
        return []
    doubts = _doubts(inference).tolist()
    # Below this doubt, no cut's halves can be doubted so much less.
    suspects = [
        place
        for place, (digit, doubt, score) in enumerate(zip(digits, doubts, inference.scores, strict=True))
        if digit.ink is not None and score < _SURELY_ONE and doubt > _LEAST_DOUBT / _SURER
    ]
    return sorted(sorted(suspects, key=lambda place: -doubts[place])[: min(most, _MOST_AT_ONCE)])


def cuts_of_each(digits: Sequence[FoundDigit], most_rows: int) -> list[Cuts]:
    """The cuts of each digit, until their halves exceed `most_rows` in total; no cuts for the other digits."""
    cuts: list[Cuts] = []
    for digit in digits:
        found = [] if digit.ink is None or most_rows < 0 else cuts_of(digit.ink)
        most_rows -= 2 * len(found)
        cuts.append(found if most_rows >= 0 else [])
    return cuts


def rows_of(cuts: Sequence[Cuts]) -> NDArray[np.float32]:
    """The rows of all halves, float32 [n, 784], cut by cut, the left one first."""
    return np.array([half.row for own in cuts for pair in own for half in pair], dtype=np.float32).reshape(-1, 784)


def parted(
    digits: Sequence[FoundDigit], inference: Inference, cuts: dict[int, Cuts], halves: Inference
) -> tuple[list[FoundDigit], Inference]:
    """Replace each digit that is surely two with the halves of its best cut.

    Args:
        digits: The digits as found.
        inference: The network's answer for them.
        cuts: The cuts by their digit's place, in order.
        halves: The network's answer for `rows_of` these cuts.
    """
    doubts = _doubts(inference)
    doubts_of_halves = _doubts(halves) * _OFTEN_WRONG[halves.probabilities.argmax(axis=1)]
    doubts_of_cuts = doubts_of_halves.reshape(-1, 2).max(axis=1)
    found: list[FoundDigit] = []
    rows: list[int] = []  # indices into `inference` followed by `halves`
    at = 0  # index of the digit's first cut
    for place, digit in enumerate(digits):
        own = cuts.get(place, [])
        best = _best_cut(doubts[place], doubts_of_cuts[at : at + len(own)])
        if best is None:
            found.append(digit)
            rows.append(place)
        else:
            first_half = len(digits) + 2 * (at + best)
            found += [_found(digit, half) for half in own[best]]
            rows += [first_half, first_half + 1]
        at += len(own)
    return found, _chosen(inference, halves, rows)


def _best_cut(doubt: np.float32, of_cuts: NDArray[np.float32]) -> int | None:
    """The place of the least doubtful cut; None if there is none, or none that is much less doubtful than the whole."""
    is_two = bool(of_cuts.size) and of_cuts.min() < _SURER * doubt
    return int(of_cuts.argmin()) if is_two else None


def _doubts(inference: Inference) -> NDArray[np.float32]:
    scores = np.array(inference.scores, dtype=np.float32)
    return np.asarray(1 + _LEAST_DOUBT - inference.probabilities.max(axis=1) * scores, dtype=np.float32)


def _found(digit: FoundDigit, half: Part) -> FoundDigit:
    """One half, at its place on the picture."""
    left, top, width, height = digit.box
    first_row, first_column, last_row, last_column = half.place
    across, down = _part_of(width, first_column, last_column), _part_of(height, first_row, last_row)
    return FoundDigit(half.row, (left + across[0], top + down[0], across[1], down[1]), digit.line)


def _part_of(pixels: int, first: float, last: float) -> tuple[int, int]:
    """The pixel at which a part begins, and how many pixels it has: at least one, and none beyond the whole."""
    begin = min(round(first * pixels), pixels - 1)
    return begin, max(1, round(last * pixels) - begin)


def _chosen(one: Inference, other: Inference, rows: list[int]) -> Inference:
    """These rows of two inferences, one after the other, and the time that both took."""
    return Inference(
        np.concatenate([one.probabilities, other.probabilities])[rows],
        _of(rows, one.is_digit, other.is_digit),
        one.queue_seconds + other.queue_seconds,
        one.run_seconds + other.run_seconds,
        _of(rows, one.scores, other.scores),
    )


def _of(rows: list[int], first: list[Told] | None, second: list[Told] | None) -> list[Told] | None:
    both = (first or []) + (second or [])
    return [both[row] for row in rows] if both else None
