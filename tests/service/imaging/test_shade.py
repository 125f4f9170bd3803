from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from service.imaging.paper import ink_of, noise_of, relief_of
from service.imaging.shade import may_be_in_shade, out_of_shade, unshaded

if TYPE_CHECKING:
    from service.imaging.form import Grey
    from service.imaging.paper import Ink

WIDTH, HEIGHT = 128, 96
PAPER, INK = 220, 60
RING = (40, 28, 80, 72)
LEFT_OF_IT, ACROSS_IT = [(10, -1), (10, 80)], [(-1, 52), (95, 46)]
DARK = np.float32(-1)


def drawn(pen: int = INK) -> Image.Image:
    """A ring in pen on paper, away from the rim."""
    page = Image.new("L", (WIDTH, HEIGHT), PAPER)
    ImageDraw.Draw(page).ellipse(RING, outline=pen, width=6)
    return page


def shaded(page: Image.Image, bars: list[list[tuple[int, int]]], light: float = 0.7, width: int = 10) -> Grey:
    """The page under shadows with hard edges, out of focus by a pixel."""
    shade = Image.new("L", page.size)
    for bar in bars:
        ImageDraw.Draw(shade).line(bar, fill=255, width=width)
    edges = np.asarray(shade.filter(ImageFilter.GaussianBlur(0.7)), dtype=np.float32) / 255
    sheet = np.asarray(page.filter(ImageFilter.GaussianBlur(0.7)), dtype=np.float32)
    return np.asarray(sheet * (1 - (1 - light) * edges), dtype=np.float32)


def seen_in(seen: Grey) -> Ink:
    """The ink found if the light is taken to be smooth."""
    return ink_of(-relief_of(seen), noise_of(seen))


def box(ink: Ink) -> tuple[int, ...]:
    rows, columns = np.nonzero(ink.mask)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


@pytest.mark.parametrize("bars", [[LEFT_OF_IT], [ACROSS_IT], [LEFT_OF_IT, ACROSS_IT]], ids=["beside", "across", "both"])
@pytest.mark.parametrize("light", [0.58, 0.7])
def test_a_narrow_shadow_from_the_rim_is_no_ink(bars: list[list[tuple[int, int]]], light: float) -> None:
    """A hard-edged shadow as wide as a stroke, beside the ink or across it, is removed; exactly the ink is left."""
    seen = shaded(drawn(), bars, light)
    ink = seen_in(seen)
    assert may_be_in_shade(ink)

    left = out_of_shade(seen, ink)

    assert left is not None
    assert box(left) == pytest.approx(RING, abs=2)


def test_ink_without_a_shadow_need_not_be_looked_at_again() -> None:
    """No ink meets the rim."""
    assert not may_be_in_shade(seen_in(shaded(drawn(), [])))


def test_a_stroke_that_meets_the_rim_is_no_shadow() -> None:
    """The stroke is as dark as the rest of the ink."""
    page = drawn()
    ImageDraw.Draw(page).line((*RING[:2], -1, 0), fill=INK, width=6)
    seen = shaded(page, [])

    assert out_of_shade(seen, seen_in(seen)) is None


@pytest.mark.parametrize(
    ("line", "pen", "other_line", "other_pen"),
    [((64, 20, 64, 60), INK, (64, 60, 64, 100), 140), ((64, -1, 64, 80), 140, (64, 30, 64, 60), 90)],
    ids=["a stroke that turns pale towards the rim", "a marker that passes twice"],
)
def test_ink_that_is_darker_in_some_place_is_in_no_shadow(
    line: tuple[int, ...], pen: int, other_line: tuple[int, ...], other_pen: int
) -> None:
    """The pale part continues the dark one or lies under it; in a shadow, ink would be darker where they meet."""
    page = Image.new("L", (WIDTH, HEIGHT), PAPER)
    ImageDraw.Draw(page).line(line, fill=pen, width=8)
    ImageDraw.Draw(page).line(other_line, fill=other_pen, width=8)
    seen = shaded(page, [])

    assert out_of_shade(seen, seen_in(seen)) is None


def test_a_speck_does_not_make_a_shadow_of_a_pale_stroke() -> None:
    """The ink that would be left is too small for a digit."""
    page = Image.new("L", (WIDTH, HEIGHT), PAPER)
    pen = ImageDraw.Draw(page)
    pen.line((64, -1, 64, 80), fill=140, width=8)
    pen.rectangle((100, 40, 107, 47), fill=INK)
    seen = shaded(page, [])

    assert out_of_shade(seen, seen_in(seen)) is None


def test_nothing_but_a_shadow_leaves_nothing() -> None:
    """A shadow alone on the page may as well be a stroke."""
    seen = shaded(Image.new("L", (WIDTH, HEIGHT), PAPER), [ACROSS_IT])

    assert out_of_shade(seen, seen_in(seen)) is None


def test_flooding_keeps_what_the_rim_reaches() -> None:
    """A winding shadow is removed to its end; a spot that is not connected to the rim stays."""
    seen = np.full((40, 60), 200, np.float32)
    seen[5, :50] = seen[5:20, 50] = seen[20, 10:51] = 120
    seen[30, 30] = 80

    relief = DARK * unshaded(seen, DARK)

    assert relief[30, 30] == pytest.approx(120)
    assert np.count_nonzero(relief) == 1


def test_a_maze_is_not_followed_to_its_end() -> None:
    """A picture with a thousand bends must not take seconds; no shadow has so many."""
    seen = np.full((160, 80), 200, np.float32)
    seen[2:-2:4, 2:-2] = 120
    for row in range(2, 154, 4):
        side = slice(-5, -2) if row % 8 == 2 else slice(2, 5)
        seen[row : row + 5, side] = 120
    seen[:3, 2] = 120

    relief = DARK * unshaded(seen, DARK)

    assert relief[2, 40] == 0
    assert relief[154, 40] == pytest.approx(80)
