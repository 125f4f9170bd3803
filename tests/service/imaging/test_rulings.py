import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.imaging.rulings import are_all_there_is, is_ruled, without_rulings

Mask = NDArray[np.bool_]
Points = tuple[tuple[int, int], ...]

WIDTH, HEIGHT = 256, 192
SEVEN: Points = ((100, 50), (150, 50), (120, 140))
DIAGONAL: Points = ((90, 140), (150, 50))


def drawn(*strokes: Points, pen: int = 10) -> Mask:
    """Strokes with a round pen on an empty page."""
    image = Image.new("1", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    for stroke in strokes:
        draw.line(stroke, fill=1, width=pen, joint="curve")
        for x, y in stroke:
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=1)
    return np.array(image, dtype=np.bool_)


def ruled(*, every: int = 24, upright: bool = False, rise: int = 0) -> Mask:
    """Lines from edge to edge, two pixels thick."""
    rows = [((0, y), (WIDTH - 1, y + rise)) for y in range(10, HEIGHT, every)]
    columns = [((x, 0), (x, HEIGHT - 1)) for x in range(10, WIDTH, every)] if upright else []
    return drawn(*rows, *columns, pen=2)


def box(left: int, top: int, right: int, bottom: int) -> Mask:
    """A box of a form."""
    image = Image.new("1", (WIDTH, HEIGHT))
    ImageDraw.Draw(image).rectangle((left, top, right, bottom), outline=1, width=3)
    return np.array(image, dtype=np.bool_)


def share_kept(result: Mask, digit: Mask) -> float:
    """How much of the digit is still there."""
    return float((result & digit).sum() / digit.sum())


def assert_only_the_digit(result: Mask, digit: Mask) -> None:
    """Nearly all of the digit, and next to nothing else."""
    assert share_kept(result, digit) > 0.9
    assert (result & ~digit).sum() < 0.1 * digit.sum()


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("digit", [SEVEN, DIAGONAL])
def test_paper_is_taken_from_under_the_digit(digit: Points, *, upright: bool) -> None:
    """Ruled and squared paper go; the strokes that cross the lines stay whole."""
    alone = drawn(digit)

    assert is_ruled(ruled(upright=upright) | alone)
    assert_only_the_digit(without_rulings(ruled(upright=upright) | alone), alone)


def test_lines_may_be_tilted() -> None:
    """Paper that lies a little aslant is found, too."""
    alone = drawn(DIAGONAL)

    assert_only_the_digit(without_rulings(ruled(every=40, rise=8) | alone), alone)


@pytest.mark.parametrize("edges", [(80, 30, 180, 160), (70, 46, 190, 160), (97, 30, 180, 146), (105, 30, 180, 160)])
def test_a_box_goes_even_where_the_digit_touches_it(edges: tuple[int, int, int, int]) -> None:
    """The box is clear of the digit, touches it above or below, or is crossed by it."""
    alone = drawn(SEVEN)

    result = without_rulings(box(*edges) | alone)

    assert share_kept(result, alone) > 0.75
    assert (result & ~alone).sum() < 0.1 * alone.sum()


@pytest.mark.parametrize("boxes", [3, 4, 5])
@pytest.mark.parametrize("standing", [False, True], ids=["row", "column"])
def test_a_row_of_boxes_goes(boxes: int, *, standing: bool) -> None:
    """A row of small boxes, or a column of them, one of which holds the digit."""
    side, edge, top = 200 // boxes, 28, 20
    image = Image.new("1", (WIDTH, side + 2 * top))
    draw = ImageDraw.Draw(image)
    for place in range(boxes):
        draw.rectangle((edge + place * side, top, edge + (place + 1) * side, top + side), outline=1, width=2)
    empty = np.array(image, dtype=np.bool_)
    left, right, low = edge + side * 5 // 4, edge + side * 7 // 4, top + side * 4 // 5
    draw.line(((left, top + side // 5), (right, top + side // 5), (left + side // 6, low)), fill=1, width=5)
    filled = np.array(image, dtype=np.bool_)
    alone = filled & ~empty

    result = without_rulings(filled.T).T if standing else without_rulings(filled)

    assert_only_the_digit(result, alone)


def test_paper_goes_from_around_a_small_digit() -> None:
    """Written between the lines of a whole sheet, a digit is a fifteenth as high as the picture."""
    alone = drawn(((124, 101), (131, 101), (126, 113)), pen=2)

    assert_only_the_digit(without_rulings(ruled(every=16) | alone), alone)


def test_faint_rulings_go_in_pieces() -> None:
    """Lines that show only in pieces, whose ends meet nothing, are rulings if there are many of them."""
    alone = drawn(SEVEN)
    pieces = [((20 + 9 * at % 40, 14 + 24 * at), (120 + 31 * at % 90, 14 + 24 * at)) for at in range(7)]
    faint = drawn(*pieces, pen=2)

    assert is_ruled(faint | alone)
    assert_only_the_digit(without_rulings(faint | alone), alone)
    assert np.array_equal(without_rulings(drawn(*pieces[:4], pen=2) | alone), drawn(*pieces[:4], pen=2) | alone)


def test_one_form_line_goes() -> None:
    """A single line from edge to edge, through the foot of the digit."""
    alone = drawn(SEVEN)

    assert_only_the_digit(without_rulings(drawn(((0, 138), (WIDTH - 1, 138)), pen=2) | alone), alone)


@pytest.mark.parametrize(
    "strokes",
    [
        (SEVEN,),
        (((70, 60), (70, 110), (160, 110)), ((130, 40), (130, 160))),
        (((128, 30), (128, 160)), ((90, 160), (166, 160)), ((128, 30), (100, 60))),
        (((80, 40), (170, 40), (170, 150), (80, 150), (80, 40)),),
        (((80, 40), (170, 40), (170, 150), (80, 150), (80, 40)), ((80, 95), (170, 95))),
    ],
    ids=["7", "4", "1 with a foot", "a square 0", "a square 8"],
)
@pytest.mark.parametrize("pen", [3, 12])
def test_a_digit_of_straight_strokes_stays(strokes: tuple[Points, ...], pen: int) -> None:
    """No stroke of a digit is taken for a ruling."""
    digit = drawn(*strokes, pen=pen)

    assert np.array_equal(without_rulings(digit), digit)


@pytest.mark.parametrize("digit", ["1", "7", "4"])
def test_a_digit_cropped_to_its_edges_stays(digit: str) -> None:
    """Strokes from edge to edge belong to the digit if it fills the picture."""
    right, bottom = WIDTH - 1, HEIGHT - 1
    strokes: dict[str, tuple[Points, ...]] = {
        "1": (((128, 0), (128, bottom)),),
        "7": (((0, 2), (right, 2), (90, bottom)),),
        "4": (((0, 120), (right, 120)), ((180, 0), (180, bottom)), ((180, 0), (0, 120))),
    }
    cropped = drawn(*strokes[digit], pen=5)

    assert np.array_equal(without_rulings(cropped), cropped)


def test_upright_strokes_on_a_strip_stay() -> None:
    """Measured by the strip's length, they come near to both of its edges, but do not meet them."""
    strip = np.zeros((68, 512), dtype=np.bool_)
    strip[10:58, 60:64] = strip[10:58, 200:204] = strip[32:36, 180:220] = True

    assert np.array_equal(without_rulings(strip), strip)


def test_an_empty_page_stays_empty() -> None:
    """No rulings are found on it."""
    empty = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)

    assert not is_ruled(empty)
    assert not without_rulings(empty).any()


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("digit", [SEVEN, DIAGONAL, ((125, 80), (125, 100))])
def test_rulings_are_all_there_is_only_without_a_digit(digit: Points, *, upright: bool) -> None:
    """This holds for empty paper, but not for paper with a digit on it, however small."""
    assert are_all_there_is(ruled(upright=upright))
    assert not are_all_there_is(ruled(upright=upright) | drawn(digit))


def test_a_digit_of_lines_is_not_all_rulings() -> None:
    """A zero or an eight of straight strokes, or three ones from edge to edge, may be meant as digits."""
    for left, top, right, bottom in ((80, 30, 170, 160), (0, 0, WIDTH - 1, HEIGHT - 1)):
        zero = box(left, top, right, bottom)
        middle = drawn(((left, (top + bottom) // 2), (right, (top + bottom) // 2)), pen=3)
        assert not are_all_there_is(zero)
        assert not are_all_there_is(zero | middle)
    ones = [((x, 0), (x, HEIGHT - 1)) for x in (60, 120, 180)]
    assert not are_all_there_is(drawn(*ones, pen=3))
