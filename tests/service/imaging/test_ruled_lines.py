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
    """Three sevens, about that row."""
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
    """Those across, and the upright ones of squared paper, at right angles to them."""
    across, upright = lines_of(ruled(degrees, upright=True))

    slope = np.tan(np.deg2rad(degrees))
    assert len(across) >= 5
    assert len(upright) >= 10
    np.testing.assert_allclose([line.slope for line in across], slope, atol=0.012)
    np.testing.assert_allclose([line.slope for line in upright], -slope, atol=0.03)


@DEGREES
@pytest.mark.parametrize("upright", [False, True])
def test_tilted_paper_goes_from_under_a_number(degrees: float, *, upright: bool) -> None:
    """Ruled or squared, however it is held; also the lines that a corner of the picture cuts short."""
    result = without_rulings(ruled(degrees, upright=upright) | number())

    assert (result & number()).sum() > 0.85 * number().sum()  # a line along a stroke takes a little of it
    assert (result & ~number()).sum() < 0.1 * number().sum()


@pytest.mark.parametrize("middle", [60, 120, 200])
def test_the_strokes_of_a_number_are_no_lines(middle: int) -> None:
    """Straight as they are, and all tilted alike."""
    assert lines_of(number(middle)) == ([], [])
