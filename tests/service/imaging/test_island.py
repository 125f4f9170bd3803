from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from service.imaging.island import laid_alone
from service.imaging.paper import look

if TYPE_CHECKING:
    from service.imaging.paper import Window

WIDTH, HEIGHT = 400, 300


def lying(degrees: float, sheet: int = 225, desk: int = 90) -> Image.Image:
    """A sheet of 240x180 with an upright stroke, in the middle of a desk."""
    paper = Image.new("L", (240, 180), sheet)
    ImageDraw.Draw(paper).rectangle((110, 40, 130, 140), fill=30)
    shape = Image.new("L", paper.size, 255).rotate(degrees, expand=True)
    page = Image.new("L", (WIDTH, HEIGHT), desk)
    page.paste(paper.rotate(degrees, expand=True), ((WIDTH - shape.width) // 2, (HEIGHT - shape.height) // 2), shape)
    return page


def found(page: Image.Image) -> tuple[Image.Image, Window] | None:
    return laid_alone(page, look(page, (0.0, 0.0, float(page.width), float(page.height)), 128))


@pytest.mark.parametrize("degrees", [0, 5, -12, 30])
@pytest.mark.parametrize(("sheet", "desk"), [(225, 90), (180, 240), (225, 30)])
def test_a_sheet_on_a_desk_is_laid_alone(degrees: float, sheet: int, desk: int) -> None:
    """However askew the sheet lies, on a darker, lighter or ink-dark desk, its stroke ends up with paper all around."""
    alone = found(lying(degrees, sheet, desk))

    assert alone is not None
    page, (left, top, right, bottom) = alone
    levels = np.asarray(page, dtype=np.float32)[round(top) : round(bottom), round(left) : round(right)]
    assert 0.02 < np.mean(levels < sheet / 2) < 0.2  # the stroke
    around = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    assert np.abs(around - sheet).max() < 12


@pytest.mark.parametrize("far", [80, 140])
def test_a_sheet_seen_aslant_is_laid_alone(far: int) -> None:
    """Its far edge looks shorter than its near one, down to a third."""
    page = Image.new("L", (WIDTH, HEIGHT), 90)
    draw = ImageDraw.Draw(page)
    draw.polygon([(200 - far / 2, 60), (200 + far / 2, 70), (320, 240), (80, 250)], fill=225)
    draw.line((200, 120, 190, 200), fill=30, width=12)

    alone = found(page)

    assert alone is not None
    levels = np.asarray(alone[0], dtype=np.float32)
    assert 0.005 < np.mean(levels < 112) < 0.02  # the stroke, and nothing of the desk


@pytest.mark.parametrize("bend", [8, 30])
def test_a_thick_stroke_is_no_sheet_seen_aslant(bend: int) -> None:
    """A thick stroke has outermost points in four directions, but not four straight sides."""
    page = Image.new("L", (WIDTH, HEIGHT), 240)
    ImageDraw.Draw(page).line([(130, 60), (270, 60), (200 - bend, 250)], fill=20, width=60, joint="curve")

    assert found(page) is None


def test_a_sheet_in_uneven_light_has_no_edge_afterwards() -> None:
    """The paper laid around the sheet is as dark as the sheet is there."""
    light = np.linspace(1, 0.7, WIDTH, dtype=np.float32)
    page = Image.fromarray((np.asarray(lying(-8)) * light).astype(np.uint8))

    alone = found(page)

    assert alone is not None
    row = np.asarray(alone[0], dtype=np.float32)[HEIGHT // 2 - 75]  # above the stroke, across the sheet's edges
    assert np.abs(np.diff(row)).max() < 20  # the desk's edge has 80 and more


@pytest.mark.parametrize("width", [6, 30, 60])
def test_a_large_zero_is_no_sheet(width: int) -> None:
    """A ring, thin or thick, is a digit, though its outline is judged as filled."""
    page = Image.new("L", (WIDTH, HEIGHT), 240)
    ImageDraw.Draw(page).ellipse((110, 30, 290, 270), outline=20, width=width)

    assert found(page) is None


@pytest.mark.parametrize("holes", [[(170, 90, 230, 210)], [(170, 80, 230, 130), (165, 170, 235, 220)]])
@pytest.mark.parametrize(("ink", "paper"), [(20, 240), (240, 0)])
def test_a_thick_digit_with_straight_sides_is_no_sheet(
    holes: list[tuple[int, int, int, int]], ink: int, paper: int
) -> None:
    """The paper shows through the holes of a 0 and of an 8: the holes are no strokes on a sheet."""
    page = Image.new("L", (WIDTH, HEIGHT), paper)
    draw = ImageDraw.Draw(page)
    draw.rounded_rectangle((115, 30, 285, 270), 20, fill=ink)
    for hole in holes:
        draw.rounded_rectangle(hole, 10, fill=paper)

    assert found(page) is None


@pytest.mark.parametrize("width", [4, 6])
def test_a_thick_one_cropped_to_its_edges_is_no_sheet(width: int) -> None:
    """It fills most of its picture, with paper all around, and is narrower than any sheet."""
    page = Image.new("L", (width + 4, 28), 250)
    page.paste(20, (2, 2, 2 + width, 26))

    assert found(page) is None


def test_a_printed_box_is_no_sheet() -> None:
    """The paper is the same inside of it and outside."""
    page = Image.new("L", (WIDTH, HEIGHT), 240)
    ImageDraw.Draw(page).rectangle((80, 40, 320, 260), outline=20, width=5)

    assert found(page) is None


def test_a_lamp_s_light_is_no_sheet() -> None:
    """A bright middle with soft edges is light on the paper."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]

    assert found(Image.fromarray((220 - 60 * (x * x + y * y)).astype(np.uint8))) is None
