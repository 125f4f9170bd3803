import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from service.imaging.ruled_lines import lines_of
from service.imaging.rulings import without_rulings

Mask = NDArray[np.bool_]

WIDTH, HEIGHT = 512, 240
DEGREES = pytest.mark.parametrize("degrees", [-5, -2, 0, 1, 3, 5])


def number(middle: int = 120) -> Mask:
    """Three sevens, centred on that row."""
    image = Image.new("1", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    for left in (150, 230, 310):
        draw.line([(left, middle - 35), (left + 40, middle - 30), (left + 12, middle + 35)], fill=1, width=9)
    return np.array(image, dtype=np.bool_)


def ruled(degrees: float, *, upright: bool = False) -> Mask:
    """Lines two pixels thick, 40 apart, through all edges."""
    image = Image.new("1", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    slope = np.tan(np.deg2rad(degrees))
    for at in range(-70, 700, 40):
        draw.line([(0, at), (WIDTH, at + slope * WIDTH)], fill=1, width=2)
        if upright:
            draw.line([(at, 0), (at - slope * HEIGHT, HEIGHT)], fill=1, width=2)
    return np.array(image, dtype=np.bool_)


@DEGREES
def test_lines_have_the_slope_of_the_paper(degrees: float) -> None:
    """The lines across have the paper's slope; the upright ones of squared paper are at right angles to them."""
    across, upright = lines_of(ruled(degrees, upright=True))

    slope = np.tan(np.deg2rad(degrees))
    assert len(across) >= 5
    assert len(upright) >= 10
    np.testing.assert_allclose([line.slope for line in across], slope, atol=0.012)
    np.testing.assert_allclose([line.slope for line in upright], -slope, atol=0.03)


@DEGREES
@pytest.mark.parametrize("upright", [False, True])
def test_tilted_paper_goes_from_under_a_number(degrees: float, *, upright: bool) -> None:
    """Ruled or squared paper is removed, however it is tilted, even lines that a corner of the picture cuts short."""
    result = without_rulings(ruled(degrees, upright=upright) | number())

    assert (result & number()).sum() > 0.85 * number().sum()  # a line along a stroke takes a little of it
    assert (result & ~number()).sum() < 0.1 * number().sum()


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("rise", [0, 10, 25])
def test_the_bars_of_digits_in_a_row_are_no_lines(rows: int, rise: int) -> None:
    """Twelve sevens from edge to edge, their bars in line, stay whole: in one row or several, tilted or not."""
    image = Image.new("1", (WIDTH, 70 * rows + 2 * rise))
    draw = ImageDraw.Draw(image)
    for row in range(rows):
        for place in range(12):
            left, top = 4 + 42 * place, 10 + 70 * row + rise * place // 12
            draw.line([(left, top), (left + 32, top + rise // 12), (left + 10, top + 50)], fill=1, width=4)
    text = np.array(image, dtype=np.bool_)

    assert np.array_equal(without_rulings(text), text)


@pytest.mark.parametrize("flat", range(0, 60, 4))
@pytest.mark.parametrize("slope", [0.04, 0.06, 0.08])
def test_a_line_over_a_fold_is_survived(flat: int, slope: float) -> None:
    """The two sides of the fold are joined to a line that lies below all of its ink; it is not kept."""
    mask = np.zeros((512, 512), dtype=np.bool_)
    side = np.concatenate([np.zeros(flat), slope * np.arange(124)])
    roof = np.concatenate([side, side[::-1]])
    mask[np.rint(300 - roof).astype(int), 20 + np.arange(len(roof))] = True

    for line in lines_of(mask)[0]:
        assert mask[np.rint(line.rows_at(np.arange(512))).astype(int), np.arange(512)].any()


def test_a_pattern_is_not_looked_at_piece_by_piece() -> None:
    """Thousands of dashes would each take some time, and are not lines."""
    pattern = np.zeros((512, 512), dtype=np.bool_)
    for row in range(0, 512, 3):
        for column in range((row * 5) % 18, 500, 18):
            pattern[row, column : column + 13] = True

    assert lines_of(pattern) == ([], [])
