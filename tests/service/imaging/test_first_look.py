import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from service.imaging.first_look import first_look
from service.imaging.picture_files import PictureError
from service.imaging.sight import Sight

WIDTH, HEIGHT = 400, 300
STROKE = (180, 60, 210, 240)


def sheet(ink: int = 40, paper: int = 225) -> Image.Image:
    """An upright stroke on paper."""
    page = Image.new("L", (WIDTH, HEIGHT), paper)
    page.paste(ink, STROKE)
    return page


def looked(page: Image.Image) -> Sight:
    return first_look(page, 128, 256)


def strokes_box(sight: Sight) -> tuple[float, float, float, float]:
    """Where on the page the ink of the sight lies: left, top, right, bottom."""
    rows, columns = np.nonzero(sight.mask)
    return sight.part((int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1))


def on_a_table(left: int, top: int, right: int, bottom: int, table: int = 60) -> tuple[Image.Image, tuple[int, ...]]:
    """The sheet with a table along its sides, and where the stroke lies on that page."""
    page = Image.new("L", (left + WIDTH + right, top + HEIGHT + bottom), table)
    page.paste(sheet(), (left, top))
    return page, (STROKE[0] + left, STROKE[1] + top, STROKE[2] + left, STROKE[3] + top)


@pytest.mark.parametrize(("ink", "paper", "polarity"), [(40, 225, -1), (225, 40, 1)])
def test_the_stroke_is_found_where_it_is(ink: int, paper: int, polarity: int) -> None:
    """A dark or a light stroke is found, with its polarity, on a look at the whole page."""
    sight = looked(sheet(ink, paper))

    assert sight.window == pytest.approx((0, 0, WIDTH, HEIGHT))
    assert int(sight.polarity) == polarity
    assert strokes_box(sight) == pytest.approx(STROKE, abs=5)
    assert not sight.has_lines
    assert not sight.in_shadow


@pytest.mark.parametrize(
    "sides", [(60, 0, 0, 0), (50, 40, 0, 0), (50, 40, 60, 50), (110, 90, 110, 90)], ids=["1", "2", "4", "mostly table"]
)
def test_only_the_sheet_is_looked_at(sides: tuple[int, int, int, int]) -> None:
    """A table along one, two or four sides is outside of the window, even if most of the picture is table."""
    page, stroke = on_a_table(*sides)

    sight = looked(page)

    assert strokes_box(sight) == pytest.approx(stroke, abs=6)


def test_a_shadow_across_the_sheet_is_no_ink() -> None:
    """A shadow with a soft edge, which no smooth surface fits."""
    levels = np.asarray(sheet(), dtype=np.float32)
    x = np.linspace(-1, 1, WIDTH)
    shaded = Image.fromarray((levels * (1 - 0.45 / (1 + np.exp(-14 * (x - 0.6))))).astype(np.uint8))

    assert strokes_box(looked(shaded)) == pytest.approx(STROKE, abs=8)


def test_the_narrow_shadow_of_a_phone_is_no_ink() -> None:
    """A bar with hard edges, as wide as the stroke, from the rim across the stroke."""
    shade = Image.new("L", (WIDTH, HEIGHT), 255)
    ImageDraw.Draw(shade).line((-1, 60, 330, 150), fill=160, width=30)
    sight = looked(ImageChops.multiply(sheet(), shade))

    assert sight.in_shadow
    assert strokes_box(sight) == pytest.approx(STROKE, abs=5)


def test_soft_edges_on_a_small_page_are_no_shadow() -> None:
    """A 7 of 14x14 pixels keeps its bar, which lies along the rim: scaled up, all its edges are soft."""
    levels = np.full((14, 14), 255, np.uint8)
    levels[0, :8], levels[1, :12], levels[2, :5] = 90, 0, 120
    for row in range(2, 12):
        levels[row, 11 - row : 14 - row] = (60, 0, 60)
    sight = looked(Image.fromarray(levels))

    assert not sight.in_shadow
    left, top, _, _ = strokes_box(sight)
    assert (left, top) == pytest.approx((0, 0.5), abs=0.6)


@pytest.mark.parametrize("side", [8, 10])
def test_the_strokes_on_a_page_of_few_pixels_are_no_noise(side: int) -> None:
    """An 8 that fills 8x8 or 10x10 pixels, as scikit-learn's digits do: each pixel differs from the next."""
    large = Image.new("L", (160, 160))
    draw = ImageDraw.Draw(large)
    draw.ellipse((50, 5, 115, 75), outline=255, width=22)
    draw.ellipse((40, 65, 125, 155), outline=255, width=22)
    sight = looked(large.resize((side, side), Image.Resampling.BOX))

    assert not sight.ink.is_noise
    left, top, right, bottom = strokes_box(sight)
    assert (left, top, right, bottom) == pytest.approx((side / 4, 0, side * 0.78, side), abs=0.8)


@pytest.mark.parametrize("size", [(5, 23), (8, 16), (8, 25)])
def test_the_stroke_on_a_narrow_page_is_no_noise(size: tuple[int, int]) -> None:
    """A 1 cropped to its edges: it takes up most of each row, and from row to row nothing changes."""
    width, height = size
    page = Image.new("L", size, 250)
    page.paste(20, (2, 2, width - 2, height - 2))
    sight = looked(page)

    assert not sight.ink.is_noise
    assert strokes_box(sight) == pytest.approx((2, 2, width - 2, height - 2), abs=0.8)


def test_a_lamp_that_the_board_mirrors_is_no_ink() -> None:
    """A bright spot with soft edges is light, though it stands out as much as the stroke."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    spot = 100 * np.exp(-(((x - 80) / 45) ** 2 + ((y - 150) / 45) ** 2))
    board = np.asarray(sheet(60, 150), dtype=np.float32) + spot

    sight = looked(Image.fromarray(np.clip(board, 0, 255).astype(np.uint8)))

    assert int(sight.polarity) == -1
    assert strokes_box(sight) == pytest.approx(STROKE, abs=8)


def test_a_sheet_of_many_strokes_is_no_ink() -> None:
    """Where light falls off, and a table shows along the rim, the sheet stands out too, and more than pencil does."""
    page = Image.new("L", (600, 800), 150)
    draw = ImageDraw.Draw(page)
    for x, y in [(x, y) for y in range(60, 800, 160) for x in range(60, 600, 150)]:
        draw.line((x, y, x, y + 70), fill=90, width=3)
        draw.line((x - 20, y + 70, x + 20, y + 70), fill=90, width=3)
    lit = np.asarray(page, dtype=np.float32) - np.linspace(0, 60, 600, dtype=np.float32)
    lit[:40] = lit[-40:] = lit[:, :40] = lit[:, -40:] = 110

    assert first_look(Image.fromarray(lit.astype(np.uint8)), 512, 512).mask.mean() < 0.2


def under_a_lamp(page: Image.Image, x: int, y: int, levels: float = 100) -> Image.Image:
    """The page with a soft-edged bright spot, such as a whiteboard mirrors; a dark one if `levels` is negative."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    spot = levels * np.exp(-(((columns - x) / 45) ** 2 + ((rows - y) / 45) ** 2))
    return Image.fromarray(np.clip(np.asarray(page, dtype=np.float32) + spot, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(("ink", "paper", "levels"), [(60, 140, 100), (195, 115, -100)], ids=["lamp", "shadow"])
@pytest.mark.parametrize("place", [(195, 130), (370, 270), (100, 20)], ids=["on the stroke", "corner", "rim"])
def test_light_that_stands_out_more_than_the_stroke_is_none(
    ink: int, paper: int, levels: float, place: tuple[int, int]
) -> None:
    """All of the stroke is seen, whether the lamp lies across it or elsewhere; likewise a light stroke and a shadow."""
    page = Image.new("L", (WIDTH, HEIGHT), paper)
    thin = (190, 60, 200, 240)
    page.paste(ink, thin)

    sight = looked(under_a_lamp(page, *place, levels=levels))

    assert np.sign(ink - paper) == sight.polarity
    assert strokes_box(sight) == pytest.approx(thin, abs=8)


@pytest.mark.parametrize("edge", [150, 210, 260])
def test_a_dark_shadow_with_an_edge_is_no_table(edge: int) -> None:
    """The stroke continues in the shadow: it is not cut at the edge."""
    page = np.asarray(sheet(), dtype=np.float32)
    slanted = np.arange(HEIGHT)[:, None] + 0.3 * np.arange(WIDTH) > edge
    shaded = Image.fromarray(np.where(slanted, page * 0.56, page).astype(np.uint8))

    assert strokes_box(looked(shaded)) == pytest.approx(STROKE, abs=8)


def test_lines_in_a_shadow_are_looked_at_in_even_light() -> None:
    """On ruled paper under a lamp, too, only the stroke is left."""
    page = sheet(40, 150)
    for row in range(20, HEIGHT, 40):
        ImageDraw.Draw(page).line((0, row, WIDTH, row), fill=60, width=2)

    sight = looked(under_a_lamp(page, 195, 130))

    assert sight.has_lines
    assert sight.in_shadow
    assert strokes_box(sight) == pytest.approx(STROKE, abs=8)


def test_lines_are_looked_at_from_closer_and_taken_away() -> None:
    """On ruled paper the look is scaled to the larger side, and its mask holds only the stroke."""
    page = sheet()
    for row in range(20, HEIGHT, 40):
        ImageDraw.Draw(page).line((0, row, WIDTH, row), fill=60, width=2)

    sight = looked(page)

    assert max(sight.mask.shape) == 256
    assert sight.has_lines
    assert strokes_box(sight) == pytest.approx(STROKE, abs=6)
    assert sight.ink.mask.sum() > 1.2 * sight.mask.sum()


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_blank_page_is_refused(level: int) -> None:
    """All of its pixels are alike."""
    with pytest.raises(PictureError, match="blank"):
        looked(Image.new("L", (WIDTH, HEIGHT), level))


def test_a_hairline_is_not_blank() -> None:
    """A stroke that nearly disappears when the page is averaged still counts."""
    page = Image.new("L", (WIDTH, HEIGHT), 255)
    ImageDraw.Draw(page).point([(200, row) for row in range(150, 153)], fill=200)

    assert looked(page).ink.mask.shape == (96, 128)


def test_a_part_is_given_in_the_page_s_pixels() -> None:
    """The box that is the whole look is the window; half of it is half of the window."""
    page, _ = on_a_table(60, 0, 0, 0)
    sight = looked(page)
    height, width = sight.mask.shape
    left, top, right, bottom = sight.window

    assert sight.part((0, 0, height, width)) == pytest.approx(sight.window)
    assert sight.part((0, 0, height, width // 2))[2] == pytest.approx((left + right) / 2, abs=right / width)
    assert top < bottom


def test_looking_twice_is_the_same() -> None:
    """A look changes nothing on the page."""
    page = sheet()
    before = np.asarray(page).copy()

    assert np.array_equal(looked(page).mask, looked(page).mask)
    assert np.array_equal(np.asarray(page), before)
