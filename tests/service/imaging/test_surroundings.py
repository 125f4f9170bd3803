import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.imaging.strokes import connected_strokes
from service.imaging.surroundings import are_surroundings

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]

WIDTH, HEIGHT = 512, 288
ON_A_LINE = [(100 + 80 * place, 120, 40, 60) for place in range(4)]  # left, top, width, height


def number(boxes: list[Box], pen: int = 6) -> Image.Image:
    """A seven in each box."""
    image = Image.new("1", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    for left, top, width, height in boxes:
        draw.line([(left, top), (left + width, top), (left + width // 3, top + height)], fill=1, width=pen)
    return image


def left_over(image: Image.Image) -> Mask:
    """The mask of the strokes that are taken for digits."""
    strokes = connected_strokes(np.array(image, dtype=np.bool_))
    return strokes.mask_of(~are_surroundings(strokes))


@pytest.mark.parametrize(
    "corner",
    [
        [(470, 0), (511, 0), (511, 150)],
        [(0, 230), (60, 250), (90, 287), (0, 287)],
        [(200, 0), (380, 0), (330, 50), (260, 60)],
    ],
    ids=["higher than the number", "below it", "above it"],
)
def test_a_corner_of_the_table_is_no_digit(corner: list[tuple[int, int]]) -> None:
    """A stroke from the rim that is wider than several pens is removed, and the number stays whole."""
    with_table = number(ON_A_LINE)
    ImageDraw.Draw(with_table).polygon(corner, fill=1)

    assert np.array_equal(left_over(with_table), np.array(number(ON_A_LINE), dtype=np.bool_))


def test_a_line_along_the_rim_is_no_digit() -> None:
    """A ruling that is left at the edge of tilted paper is tall, and thin."""
    with_line = number(ON_A_LINE)
    ImageDraw.Draw(with_line).line([(1, 20), (0, 260)], fill=1, width=3)

    assert np.array_equal(left_over(with_line), np.array(number(ON_A_LINE), dtype=np.bool_))


@pytest.mark.parametrize("pen", [4, 14])
@pytest.mark.parametrize("cut", [0, 6])
def test_a_number_that_is_tightly_cropped_stays(pen: int, cut: int) -> None:
    """Its first and last digit meet the rim, or are cut off by it; they are as high as the others beside them."""
    boxes = [(0 - cut, 120, 40, 60), *ON_A_LINE, (WIDTH - 40 + cut, 110, 40, 80)]

    assert np.array_equal(left_over(number(boxes, pen)), np.array(number(boxes, pen), dtype=np.bool_))


def test_a_thick_digit_beside_thin_ones_stays() -> None:
    """One of the two pens is two and a half times as wide as the other."""
    image = number(ON_A_LINE, pen=6)
    image.paste(number([(0, 110, 40, 80)], pen=15).crop((0, 0, 60, HEIGHT)), (0, 0))

    assert np.array_equal(left_over(image), np.array(image, dtype=np.bool_))


@pytest.mark.parametrize("specks", [2, 3])
@pytest.mark.parametrize("pen", [16, 30, 45])
def test_a_tightly_cropped_number_with_specks_stays(pen: int, specks: int) -> None:
    """Pencil ticks that are clear of the rim do not show what a digit is like: they have much less ink."""
    image = number([(20, pen // 2, 150, HEIGHT - pen), (280, pen // 2, 200, HEIGHT - pen)], pen)
    draw = ImageDraw.Draw(image)
    for place in range(specks):
        draw.line((195 + 20 * place, 100 + 40 * place, 197 + 20 * place, 114 + 40 * place), fill=1, width=3)

    assert np.array_equal(left_over(image), np.array(image, dtype=np.bool_))


def test_a_pattern_has_no_surroundings() -> None:
    """Thousands of dashes are not compared with the strokes on the rim, which would take gigabytes."""
    pattern = np.zeros((512, 512), dtype=np.bool_)
    for row in range(3, 500, 15):
        pattern[row : row + 13, 3:508:3] = True
    pattern[0, ::2] = True

    assert not are_surroundings(connected_strokes(pattern)).any()


@pytest.mark.parametrize("digits", [0, 1])
def test_too_few_digits_tell_nothing(digits: int) -> None:
    """One digit, or none, is too little to tell what is not a digit."""
    image = number(ON_A_LINE[:digits])
    ImageDraw.Draw(image).polygon([(470, 0), (511, 0), (511, 150)], fill=1)

    assert np.array_equal(left_over(image), np.array(image, dtype=np.bool_))


def test_an_empty_page_has_no_surroundings() -> None:
    """There is no stroke at all."""
    strokes = connected_strokes(np.zeros((HEIGHT, WIDTH), dtype=np.bool_))

    assert are_surroundings(strokes).shape == (0,)
