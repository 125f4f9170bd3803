from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from service.imaging.pale_strokes import with_pale_strokes
from service.imaging.paper import ink_of
from service.imaging.strokes import reached_from_rim

if TYPE_CHECKING:
    from service.imaging.form import Box, Grey
    from service.imaging.paper import Ink, Mask

WIDTH, HEIGHT = 128, 96
FULL, PALE = 200, 30
RING, PEN = (44, 24, 84, 72), 6
WIDE = (20, 4, 108, 92)
PALE_ARC = (20, 75)  # degrees from the right, clockwise
BESIDE = ((84, 46), (120, 46))  # begins at the ring, ends on paper


def ring(arc: tuple[int, int] | None = PALE_ARC, pale: int = PALE, box: Box = RING, pen: int = PEN) -> Image.Image:
    """A ring in full ink, a part of it pale, on a ground of 0."""
    page = Image.new("L", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(page)
    draw.ellipse(box, outline=FULL, width=pen)
    if arc is not None:
        draw.arc(box, *arc, fill=pale, width=pen)
    return page


def bars(*boxes: Box, link: Box) -> Image.Image:
    """Bars in full ink, and a pale one that leads from one to another."""
    page = Image.new("L", (WIDTH, HEIGHT))
    for box in boxes:
        ImageDraw.Draw(page).rectangle(box, fill=FULL)
    ImageDraw.Draw(page).rectangle(link, fill=PALE)
    return page


def relief_of(page: Image.Image, blur: float = 0.7) -> Grey:
    """The page, blurred as by a camera."""
    return np.asarray(page.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32)


def seen_on(page: Image.Image, blur: float = 0.7) -> Ink:
    """The ink of a drawn page, which has no noise."""
    return ink_of(relief_of(page, blur), 0.0)


def drawn_mask(page: Image.Image) -> Mask:
    """Where something was drawn."""
    return np.asarray(page) > 0


def assert_nothing_is_added(ink: Ink) -> None:
    """The ink and its mask stay what they are."""
    result, mask = with_pale_strokes(ink, ink.mask)
    assert result is ink
    assert mask is ink.mask


@given(begin=st.integers(0, 359), degrees=st.integers(48, 58), pale=st.integers(30, 45))
def test_a_ring_that_is_pale_somewhere_is_closed(begin: int, degrees: int, pale: int) -> None:
    """Wherever the pale part is, it becomes ink as full as the rest, and nothing beside it does."""
    page = ring((begin, begin + degrees), pale)
    ink = seen_on(page)
    middle = RING[1] + RING[3] >> 1, RING[0] + RING[2] >> 1

    result, mask = with_pale_strokes(ink, ink.mask)

    assert reached_from_rim(~ink.mask)[middle]
    assert not reached_from_rim(~mask)[middle]
    assert result.soft[mask & ~ink.mask].mean() > 0.7
    assert (mask & ~drawn_mask(page)).sum() < 0.12 * mask.sum()
    assert np.array_equal(result.mask, mask)
    assert np.array_equal(result.soft[ink.mask], ink.soft[ink.mask])


def test_what_is_pale_stays_out_of_what_cannot_be_a_digit() -> None:
    """A ring that was removed from the mask, as a ruling is, is not continued, and stays out."""
    ink = seen_on(ring())
    aside = np.zeros_like(ink.mask)
    aside[10:20, 10:16] = True

    result, mask = with_pale_strokes(ink, aside)

    assert result is ink
    assert mask is aside


def test_a_fold_that_begins_at_the_ink_is_none() -> None:
    """The fold leads nowhere."""
    page = ring(None)
    ImageDraw.Draw(page).line(BESIDE, fill=PALE, width=3)

    assert_nothing_is_added(seen_on(page))


def test_a_shadow_between_strokes_is_none() -> None:
    """The shadow leads from one stroke to the other, but is thicker than they are."""
    page = bars((51, 20, 56, 74), (71, 20, 76, 74), link=(57, 40, 70, 49))

    assert_nothing_is_added(seen_on(page))


def test_what_is_shorter_than_strokes_are_wide_is_none() -> None:
    """It may be the soft edges of two strokes that nearly touch."""
    page = bars((50, 10, 60, 39), (50, 50, 60, 79), link=(52, 40, 56, 49))

    assert_nothing_is_added(seen_on(page))


@pytest.mark.parametrize("box", [RING, WIDE])
def test_pale_rulings_are_none(box: Box) -> None:
    """They lead through a ring from one side of it to the other, and on to the page's edges."""
    page = Image.new("L", (WIDTH, HEIGHT))
    for y in range(6, HEIGHT, 30):
        ImageDraw.Draw(page).line((0, y, WIDTH, y), fill=PALE + 10, width=2)
    with_ring = np.maximum(np.asarray(page), np.asarray(ring(None, box=box)))

    assert_nothing_is_added(seen_on(Image.fromarray(with_ring), blur=0.3))


def test_a_ring_that_is_pale_somewhere_stays_open_among_folds() -> None:
    """Where nearly all pale strokes lead nowhere, the rest may be folds, too."""
    page = ring((20, 75))
    for y in (10, 16, 80, 86):
        ImageDraw.Draw(page).line((30, y, 110, y + 4), fill=PALE + 10, width=4)

    assert_nothing_is_added(seen_on(page))


def test_more_than_a_bit_is_another_thing() -> None:
    """A pale line closes the ring, but is nearly half as long as the rest of it."""
    assert_nothing_is_added(seen_on(ring((10, 110))))


def test_a_blurred_picture_is_left_alone() -> None:
    """All edges are pale and wide on such a picture."""
    page = ring((20, 95), 70, WIDE, pen=8)

    assert_nothing_is_added(seen_on(page, blur=5))


def test_what_may_be_noise_is_left_alone() -> None:
    """The pale part is less than five times as strong as the noise."""
    assert_nothing_is_added(ink_of(relief_of(ring()), 9.0))
