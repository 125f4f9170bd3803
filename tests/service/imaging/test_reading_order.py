import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.imaging.reading_order import text_lines


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    rise=st.floats(-0.15, 0.15),
    seed=st.integers(0, 2**32 - 1),
)
def test_lines_are_read_from_the_top_left(lengths: list[int], rise: float, seed: int) -> None:
    """Digits in any order, on lines that are level or tilted by up to a seventh, are put into reading order."""
    boxes = [
        (120 * line + round(rise * 30 * place), 30 * place, 120 * line + round(rise * 30 * place) + 40, 30 * place + 25)
        for line, length in enumerate(lengths)
        for place in range(length)
    ]
    shuffled = np.random.default_rng(seed).permutation(len(boxes))
    lines = text_lines(np.array(boxes)[shuffled])
    assert [[int(shuffled[place]) for place in line] for line in lines] == _numbered(lengths)


@pytest.mark.parametrize("gap", [30, 300, 3000])
def test_words_on_one_line_are_joined_over_any_gap(gap: int) -> None:
    """Two groups side by side are one line of text, however far apart."""
    boxes = [(0, 0, 40, 25), (2, 30, 42, 55), (0, 55 + gap, 40, 80 + gap)]
    assert text_lines(np.array(boxes)) == [[0, 1, 2]]


def test_digits_above_each_other_are_on_two_lines() -> None:
    """In a column, each digit is a line of its own."""
    assert text_lines(np.array([(50, 0, 90, 25), (0, 0, 40, 25)])) == [[1], [0]]


def _numbered(lengths: list[int]) -> list[list[int]]:
    """The digits of lines of these lengths, numbered consecutively across the lines."""
    ends = np.cumsum(lengths).tolist()
    return [list(range(end - length, end)) for end, length in zip(ends, lengths, strict=True)]
