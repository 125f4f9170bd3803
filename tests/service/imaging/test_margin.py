from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from service.imaging.decoding import page_from_picture
from service.imaging.margin import with_margin
from tests.service.drawn_pictures import EIGHT, MAX_PIXELS, NINE, SEVEN, cleaned, difference, drawn, encoded, inverted

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Strokes: TypeAlias = tuple[tuple[tuple[float, float], ...], ...]

THREE = (((0.25, 0.1), (0.7, 0.15), (0.65, 0.4), (0.4, 0.5), (0.7, 0.6), (0.7, 0.85), (0.25, 0.9)),)
CROPPED = pytest.mark.parametrize("strokes", [SEVEN, NINE, EIGHT, THREE], ids=["7", "9", "8", "3"])


def thick(strokes: Strokes) -> Image.Image:
    """White strokes on black, on a large canvas, with a pen a quarter as wide as the digit is high."""
    return drawn(strokes, canvas=(480, 480), box=(90, 90, 300), pen=64)


def cut_out(page: Image.Image, inside: int = 0) -> Image.Image:
    """The page cropped to the edges of its digit, or to `inside` pixels within them."""
    left, top, right, bottom = page.getbbox() or (0, 0, *page.size)
    return page.crop((left + inside, top + inside, right - inside, bottom - inside))


def in_the_light_of_a_lamp(page: Image.Image) -> Image.Image:
    """The page, a third darker at the bottom."""
    rows = np.linspace(1, 0.67, page.height)[:, None]
    return Image.fromarray((np.asarray(page, np.float64) * rows).astype(np.uint8))


@CROPPED
@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("inside", [0, 4])
def test_a_thick_digit_that_is_cut_out_comes_out_as_with_a_margin(
    strokes: Strokes, *, is_dark: bool, inside: int
) -> None:
    """The digit may be dark or light, and cropped to its edges or a little inside them."""
    whole = inverted(thick(strokes)) if is_dark else thick(strokes)
    cut = cut_out(thick(strokes), inside)

    assert difference(cleaned(inverted(cut) if is_dark else cut), cleaned(whole)) < 0.25


@CROPPED
def test_a_digit_that_is_cut_out_may_be_small(strokes: Strokes) -> None:
    """It may have some twenty pixels, as when programs cut digits out of a scan."""
    cut = inverted(cut_out(thick(strokes)))
    cut.thumbnail((24, 24))

    assert difference(cleaned(cut), cleaned(thick(strokes))) < 0.5


@CROPPED
def test_the_margin_has_the_light_of_the_paper(strokes: Strokes) -> None:
    """No edge shows where the page's own paper ends, though that is darker at the bottom."""
    cut = in_the_light_of_a_lamp(inverted(cut_out(thick(strokes))))

    page = with_margin(cut)

    margin = (page.width - cut.width) // 2
    laid, own = np.asarray(page, np.float64), np.asarray(cut, np.float64)
    beside = laid[margin : margin + cut.height, [margin - 1, margin + cut.width]]
    is_paper = own[:, [0, -1]] > 150
    assert margin > 0
    assert is_paper.any()
    assert np.abs(beside - own[:, [0, -1]])[is_paper].max() < 8
    assert difference(cleaned(cut), cleaned(thick(strokes))) < 0.25


def beside_a_table(digit: Image.Image) -> Image.Image:
    """The digit beside a table along two adjacent sides."""
    page = digit.copy()
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 70, page.height), fill=0)
    draw.rectangle((0, page.height - 60, page.width, page.height), fill=0)
    return page


def on_squared_paper(digit: Image.Image) -> Image.Image:
    """The digit on squared paper with lines as dark as the ink."""
    page = digit.copy()
    draw = ImageDraw.Draw(page)
    for place in range(20, page.width, 48):
        draw.line((place, 0, place, page.height), fill=0, width=6)
        draw.line((0, place, page.width, place), fill=0, width=6)
    return page


def in_a_frame(digit: Image.Image) -> Image.Image:
    """A thick frame along the picture's rim."""
    page = digit.copy()
    ImageDraw.Draw(page).rectangle((0, 0, page.width - 1, page.height - 1), outline=0, width=40)
    return page


def in_a_shadow(digit: Image.Image) -> Image.Image:
    """A soft shadow across the picture, from one corner to the other."""
    shadow = Image.new("L", digit.size, 235)
    ImageDraw.Draw(shadow).line((0, 0, *digit.size), fill=110, width=150)
    return ImageChops.darker(digit, shadow.filter(ImageFilter.GaussianBlur(60)))


def with_corners_cut_off(digit: Image.Image) -> Image.Image:
    """A sheet that lies askew and fills the picture, so that a dark table shows only in the picture's corners."""
    page = Image.new("L", digit.size, 40)
    side = digit.width
    ImageDraw.Draw(page).polygon(
        [(0.3 * side, -1), (side, 0.25 * side), (0.7 * side, side), (-1, 0.7 * side)], fill=235
    )
    return ImageChops.darker(page, digit)


def half_in_a_shadow(digit: Image.Image) -> Image.Image:
    """A shadow over the upper part, its slanted edge from the left to the right side below the middle."""
    shadow = Image.new("L", digit.size, 235)
    width, height = digit.size
    ImageDraw.Draw(shadow).polygon([(0, 0), (width, 0), (width, 0.75 * height), (0, 0.6 * height)], fill=120)
    return ImageChops.darker(digit, shadow.filter(ImageFilter.GaussianBlur(4)))


@CROPPED
@pytest.mark.parametrize("pen", [14, 40])
def test_a_sheet_of_which_only_corners_are_cut_off_is_no_digit(strokes: Strokes, pen: int) -> None:
    """The sheet reaches all sides, as a cropped digit does; with a margin of table around it, it is found."""
    digit = drawn(strokes, canvas=(400, 400), box=(130, 130, 140), pen=pen)

    assert difference(cleaned(with_corners_cut_off(inverted(digit))), cleaned(digit)) < 0.4


@pytest.mark.parametrize(
    "around", [beside_a_table, on_squared_paper, in_a_frame, in_a_shadow, half_in_a_shadow, inverted]
)
@pytest.mark.parametrize("pen", [12, 40])
def test_a_page_that_is_not_cropped_to_its_digit_stays_as_it_is(
    around: Callable[[Image.Image], Image.Image], pen: int
) -> None:
    """Neither a table nor lines nor a shadow is taken for a digit that fills the picture."""
    page = around(inverted(drawn(SEVEN, canvas=(400, 400), box=(130, 130, 140), pen=pen)))

    assert with_margin(page) is page


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 2), (28, 28)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_page_stays_as_it_is(size: tuple[int, int], level: int) -> None:
    """It gets no margin, however small or narrow it is."""
    page = Image.new("L", size, level)

    assert with_margin(page) is page


def test_a_page_of_sixteen_bits_gets_a_margin_of_its_own_levels() -> None:
    """The greys of such a page are fractions: the margin has them too."""
    cut = inverted(cut_out(thick(NINE))).convert("F").point(lambda level: level * 0.9 + 0.25)

    laid = with_margin(cut)

    assert laid.mode == "F"
    assert laid.width > cut.width
    assert laid.getpixel((0, 0)) == pytest.approx(0.9 * 255 + 0.25, abs=1)


@pytest.mark.parametrize("seed", range(20))
def test_any_page_is_given_back_whole(seed: int) -> None:
    """Its pixels and its mode stay the same, whether paper is laid around it or not."""
    random = np.random.default_rng(seed)
    levels = random.integers(0, 256, (int(random.integers(1, 6)), int(random.integers(1, 6))), dtype=np.uint8)
    page = page_from_picture(encoded(Image.fromarray(levels)), MAX_PIXELS)

    laid = with_margin(page)

    margin = (laid.width - page.width) // 2
    inside = laid.crop((margin, margin, margin + page.width, margin + page.height))
    assert laid.mode == page.mode
    np.testing.assert_array_equal(np.asarray(inside), np.asarray(page))
