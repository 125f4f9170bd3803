from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops

from service.engines.litert import LiteRTEngine
from service.imaging.joints import Part
from service.imaging.lines import FoundDigit, digits_from_picture
from service.inference import Inference
from service.parting import cuts_of_each, may_be_two, parted, rows_of
from tests.service.drawn_pictures import DIGITS, EIGHT, FIVE_IN_TWO, FOUR, MAX_PIXELS, NINE, SEVEN, drawn, encoded
from tests.service.drawn_pictures import inverted as dark_on_light

Strokes = tuple[tuple[tuple[float, float], ...], ...]
INK = np.full((40, 60), 255, np.uint8)
SURE, UNSURE = (0.9999, 0.9999), (0.6, 0.2)


def digit(left: int = 0, ink: NDArray[np.uint8] | None = INK) -> FoundDigit:
    """A digit of 60 x 40 pixels on the second line."""
    return FoundDigit(np.zeros(784, np.float32), (left, 100, 60, 40), 1, ink)


def inference(*told: tuple[int, tuple[float, float]], seconds: float = 1.0) -> Inference:
    """The answer for rows that are each read as the given digit, with the given confidence and score."""
    probabilities = np.zeros((len(told), 10), np.float32)
    for row, (read, (confidence, _)) in enumerate(told):
        probabilities[row] = (1 - confidence) / 9
        probabilities[row, read] = confidence
    scores = [score for _, (_, score) in told]
    return Inference(probabilities, [score > 0.9 for score in scores], seconds, 2 * seconds, scores)


def cut(level: float = 0.0) -> tuple[Part, Part]:
    """A cut at two thirds of the width, as its left and right part; `level` distinguishes it from other cuts."""
    row = np.full(784, level, np.float32)
    return Part(row, (0.0, 0.0, 1.0, 2 / 3)), Part(row, (0.5, 2 / 3, 1.0, 1.0))


def text(found: Inference) -> str:
    """The digits that were read, as text."""
    return "".join(str(row.argmax()) for row in found.probabilities)


@pytest.fixture(scope="module")
def engine(released_program: Path) -> LiteRTEngine:
    """The engine of the released model."""
    return LiteRTEngine(released_program, 16)


class TestMayBeTwo:
    """Which digits are worth cutting."""

    def test_what_the_network_doubts(self) -> None:
        """Not a digit that it is sure of, that is too narrow for two, or that surely is one digit, whichever it is."""
        digits = [digit(), digit(), digit(ink=None), digit(), digit()]
        told = inference((3, SURE), (3, UNSURE), (3, UNSURE), (3, (0.99, 0.9)), (3, (0.5, 0.999)))

        assert may_be_two(digits, told, 1000) == [1, 3]

    def test_not_more_than_a_few(self) -> None:
        """Only the ones that it doubts most, and fewer if the request has room for fewer digits."""
        told = inference(*((3, (0.5, 0.1 * place)) for place in range(9)))

        assert may_be_two([digit()] * 9, told, 1000) == [0, 1, 2, 3]
        assert may_be_two([digit()] * 9, told, 2) == [0, 1]
        assert may_be_two([digit()] * 9, told, 0) == []

    def test_nothing_for_a_version_that_does_not_tell(self) -> None:
        """Without a score, nothing tells whether half of a digit is itself a digit."""
        unsure = inference((3, UNSURE))
        assert may_be_two([digit()], unsure._replace(scores=None, is_digit=None), 1000) == []


class TestCuts:
    """Which halves are given to the network."""

    def test_rows_are_in_the_order_of_the_cuts(self) -> None:
        """The left half of each cut comes first."""
        rows = rows_of([[cut(0.1), cut(0.2)], [], [cut(0.3)]])
        assert rows[:, 0].tolist() == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
        assert rows_of([[]]).shape == (0, 784)

    def test_no_more_halves_than_rows_may_be_asked(self) -> None:
        """A digit whose cuts do not fit is not cut."""
        one, two = cuts_of_each([digit(), digit()], 1000)
        assert one
        assert len(one) == len(two)

        assert [len(cuts) for cuts in cuts_of_each([digit(), digit()], 3 * len(one))] == [len(one), 0]


class TestParted:
    """When two halves replace a digit."""

    def test_sure_halves_are_put_in_its_place(self) -> None:
        """They are in order, each with its box and what the network read; the other digits stay."""
        digits, told = [digit(0), digit(100), digit(200)], inference((7, SURE), (8, UNSURE), (9, SURE))
        halves = inference((1, UNSURE), (2, SURE), (3, SURE), (4, SURE), seconds=3.0)

        found, read = parted(digits, told, {1: [cut(0.1), cut(0.2)]}, halves)

        assert text(read) == "7349"
        assert [one.box for one in found[1:3]] == [(100, 100, 40, 40), (140, 120, 20, 20)]
        assert [one.row[0] for one in found] == pytest.approx([0, 0.2, 0.2, 0])
        assert {one.line for one in found} == {1}
        assert read.is_digit == [True] * 4
        assert read.scores == pytest.approx([0.9999] * 4)
        assert (read.queue_seconds, read.run_seconds) == (4, 8)

    def test_halves_of_a_digit_of_a_pixel_lie_within_it(self) -> None:
        """A picture may be so small that both come to the same pixel."""
        tiny = FoundDigit(np.zeros(784, np.float32), (9, 4, 1, 1), 0, INK)

        found, _ = parted([tiny], inference((8, UNSURE)), {0: [cut()]}, inference((2, SURE), (3, SURE)))

        assert [one.box for one in found] == [(9, 4, 1, 1)] * 2

    def test_cuts_belong_to_their_digits(self) -> None:
        """Two digits are parted; the one between them was cut in vain."""
        told = inference(*((8, UNSURE) for _ in range(3)))
        halves = inference((2, SURE), (3, SURE), (4, UNSURE), (4, SURE), (5, SURE), (6, SURE))

        found, read = parted([digit()] * 3, told, {0: [cut()], 1: [cut()], 2: [cut()]}, halves)

        assert text(read) == "23856"
        assert len(found) == 5

    @pytest.mark.parametrize(
        ("whole", "left", "right", "is_parted"),
        [
            ((0.6, 0.2), (2, 0.9999), (3, 0.99), True),
            ((0.6, 0.2), (2, 0.9999), (3, 0.98), False),  # one is unsure
            ((0.6, 0.2), (2, 0.9999), (1, 0.99), False),  # and a 1 is often a piece of another digit
            ((0.6, 0.2), (7, 0.99), (3, 0.9999), False),
            ((0.6, 0.2), (2, 0.9999), (1, 0.999), True),
            ((0.99, 0.95), (2, 0.9999), (3, 0.99), False),  # the whole may be one
            ((0.99, 0.95), (2, 0.9999), (3, 0.9999), True),
        ],
    )
    def test_only_halves_much_surer_than_the_whole(
        self, whole: tuple[float, float], left: tuple[int, float], right: tuple[int, float], *, is_parted: bool
    ) -> None:
        """The surer the network is of the whole, the surer it must be of both halves."""
        told = inference((8, whole))
        halves = inference((left[0], (left[1], 1.0)), (right[0], (right[1], 1.0)))

        found, read = parted([digit()], told, {0: [cut()]}, halves)

        assert text(read) == (f"{left[0]}{right[0]}" if is_parted else "8")
        assert len(found) == 1 + is_parted


class TestReleasedModel:
    """What the released network reads."""

    @pytest.mark.parametrize(
        ("left", "right", "apart", "expected"),
        [
            (FOUR, FOUR, 80, "44"),
            (EIGHT, NINE, 70, "89"),
            (SEVEN, SEVEN, 72, "77"),
            (SEVEN, FIVE_IN_TWO, 68, "75"),
            (FOUR, EIGHT, 70, "48"),
            (NINE, NINE, 72, "99"),
        ],
    )
    def test_two_digits_that_touch_are_read(
        self, engine: LiteRTEngine, left: Strokes, right: Strokes, apart: int, expected: str
    ) -> None:
        """Both are read, in order."""
        page = ImageChops.lighter(drawn(left, (420, 200)), drawn(right, (420, 200), (40 + apart, 40, 120)))

        assert read(engine, page) == expected

    @pytest.mark.parametrize(("strokes", "expected"), [*zip(DIGITS, "745", strict=True), (EIGHT, "8"), (NINE, "9")])
    def test_one_digit_stays_one(self, engine: LiteRTEngine, strokes: Strokes, expected: str) -> None:
        """A digit drawn alone is not parted, whether the pen is thin or thick."""
        for pen in (4, 10, 18):
            assert read(engine, drawn(strokes, pen=pen)) == expected


def read(engine: LiteRTEngine, page: Image.Image) -> str:
    """The digits that are read from a drawing, as text."""
    digits = digits_from_picture(encoded(dark_on_light(page)), MAX_PIXELS, 100)
    told = asked(engine, np.stack([one.row for one in digits]))
    suspects = may_be_two(digits, told, 100)
    cuts = cuts_of_each([digits[place] for place in suspects], 1000)
    if any(cuts):
        digits, told = parted(digits, told, dict(zip(suspects, cuts, strict=True)), asked(engine, rows_of(cuts)))
    return text(told)


def asked(engine: LiteRTEngine, rows: NDArray[np.float32]) -> Inference:
    """The released model's answer, with a threshold of 0.9 instead of its own."""
    outputs = engine.run(rows)
    scores = outputs[:, 10].tolist()
    return Inference(outputs[:, :10], [score > 0.9 for score in scores], 0.0, 0.0, scores)
