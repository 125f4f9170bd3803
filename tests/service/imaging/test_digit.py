from __future__ import annotations

import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw

from service.imaging import (
    PictureError,
    picture_from_pixels,
    pixels_from_picture,
)
from tests.service.drawn_pictures import (
    DIGITS,
    EIGHT,
    FIVE_IN_TWO,
    FOUR,
    NINE,
    PILLOW_FORMATS,
    SEVEN,
    cleaned,
    difference,
    drawn,
    encoded,
    inverted,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ink_box(row: NDArray[np.float32]) -> tuple[int, int]:
    """Height and width of the ink."""
    image = row.reshape(28, 28)
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def centre_of_mass(row: NDArray[np.float32]) -> tuple[float, float]:
    """Row and column, as pixel indices."""
    image = row.reshape(28, 28).astype(np.float64)
    places = np.arange(28)
    total = image.sum()
    return (
        float(image.sum(axis=1) @ places / total),
        float(image.sum(axis=0) @ places / total),
    )


class TestForm:
    """A cleaned-up picture has the form of an MNIST image."""

    @settings(max_examples=20)
    @given(
        strokes=st.sampled_from(DIGITS),
        left=st.integers(0, 180),
        top=st.integers(0, 130),
        side=st.integers(40, 100),
        pen=st.integers(2, 14),
        ink=st.sampled_from(["light", "dark"]),
    )
    def test_any_drawing_takes_the_form_of_mnist(
        self,
        strokes: tuple[tuple[tuple[float, float], ...], ...],
        left: int,
        top: int,
        side: int,
        pen: int,
        ink: str,
    ) -> None:
        """784 values in [0, 1], longest side 20, centre of mass within half a pixel of (14, 14)."""
        picture = drawn(strokes, (300, 250), (left + 10, top + 10, side), pen)
        row = cleaned(inverted(picture) if ink == "dark" else picture)
        assert row.shape == (784,)
        assert row.dtype == np.float32
        assert row.min() == 0
        assert 0.95 <= row.max() <= 1
        assert 19 <= max(ink_box(row)) <= 20
        assert centre_of_mass(row) == pytest.approx((14, 14), abs=0.51)

    def test_place_and_size_do_not_matter(self) -> None:
        """A digit in a corner, half as big, gives nearly the same row as one in the middle."""
        middle = cleaned(drawn(canvas=(400, 400), box=(100, 100, 200), pen=20))
        corner = cleaned(drawn(canvas=(400, 400), box=(8, 280, 100), pen=10))
        assert difference(middle, corner) < 0.15

    def test_a_tiny_digit_on_a_large_canvas_is_read_from_close(self) -> None:
        """A digit of 4 % of the canvas keeps its shape."""
        close = cleaned(drawn(FOUR, (200, 200), (40, 40, 120), 12))
        far = cleaned(drawn(FOUR, (1000, 1000), (700, 200, 40), 4))
        assert difference(close, far) < 0.3

    def test_a_speck_of_a_digit_keeps_its_edges_wherever_it_is(self) -> None:
        """A digit of 14 pixels, one or two in the first look, stays whole wherever it lies on that look's grid."""
        speck = drawn(FOUR, box=(20, 20, 160), pen=16).resize((14, 14), Image.Resampling.BOX)
        close = Image.new("L", (100, 100))
        close.paste(speck, (40, 40))
        for left, top in ((498 + step, 498 + step) for step in range(8)):
            far = Image.new("L", (1000, 1000))
            far.paste(speck, (left, top))
            assert difference(cleaned(close), cleaned(far)) < 0.3, (left, top)

    @pytest.mark.parametrize("pen", [10, 20, 30])
    @pytest.mark.parametrize("strokes", [*DIGITS, EIGHT, NINE])
    @pytest.mark.parametrize("ink", ["light", "dark", "lamp"])
    def test_a_crop_to_the_digit_does_not_matter(
        self, strokes: tuple[tuple[tuple[float, float], ...], ...], pen: int, ink: str
    ) -> None:
        """A digit cropped to its edges is the same, though a thick pen fills half of the picture and meets the rim."""
        whole = drawn(strokes, (280, 280), (80, 80, 120), pen)
        cropped = whole.crop(whole.getbbox())
        if ink == "lamp":
            light = np.linspace(1, 0.75, cropped.width)
            cropped = Image.fromarray(((225 - 0.8 * np.asarray(cropped)) * light).astype(np.uint8))
        assert difference(cleaned(inverted(cropped) if ink == "dark" else cropped), cleaned(whole)) < 0.25

    @pytest.mark.parametrize("pen", [1, 2, 30])
    def test_hairlines_and_markers_get_a_usual_stroke_width(self, pen: int) -> None:
        """Very thin and very thick strokes end up about as wide as MNIST's."""
        row = cleaned(drawn(FOUR, pen=pen))
        usual = cleaned(drawn(FOUR, pen=13))
        assert 0.55 < row.sum() / usual.sum() < 1.7

    def test_a_bar_that_is_apart_stays(self) -> None:
        """The bar of a 5, drawn as a stroke of its own, is part of the digit."""
        with_bar, without = cleaned(drawn(FIVE_IN_TWO)), cleaned(drawn(FIVE_IN_TWO[:1]))
        assert difference(with_bar, without) > 0.3

    def test_a_bar_that_is_far_apart_stays(self) -> None:
        """Even if the gap is four tenths of the rest's size, as in one writer's digit redrawn with a fine pen."""
        below = FIVE_IN_TWO[0]
        bar = ((0.4, -0.2), (0.95, -0.2))
        assert difference(cleaned(drawn((below, bar), pen=3)), cleaned(drawn((below,), pen=3))) > 0.3

    def test_the_segments_of_a_display_are_one_digit(self) -> None:
        """An 8 of seven segments, each a seventh of its ink, keeps all of them."""
        page = Image.new("L", (200, 200), 0)
        draw = ImageDraw.Draw(page)
        for y in (36, 100, 164):
            draw.rectangle((68, y - 6, 112, y + 6), fill=255)
        for x, y in itertools.product((60, 120), (36, 100)):
            draw.rectangle((x - 6, y + 8, x + 6, y + 56), fill=255)
        rows = cleaned(page).reshape(28, 28)

        assert ink_box(rows) == (20, 10)
        assert (rows[[5, 14, 23], 14] > 0.5).all()  # the horizontal segments

    def test_where_a_pen_runs_dry_the_stroke_goes_on(self) -> None:
        """The loop of a 9 stays closed, though it is hardly visible on one side."""
        picture = drawn(NINE)
        dry = Image.new("L", picture.size, 255)
        ImageDraw.Draw(dry).rectangle((50, 50, 90, 80), fill=45)
        assert difference(cleaned(ImageChops.multiply(picture, dry)), cleaned(picture)) < 0.1

    def test_pale_rulings_do_not_cross_a_small_zero(self) -> None:
        """From close, only pieces of the rulings show, which lead from one side of the zero to the other."""
        plain = Image.new("L", (600, 600), 250)
        ImageDraw.Draw(plain).ellipse((270, 240, 310, 300), outline=30, width=6)
        lines = Image.new("L", plain.size, 255)
        for y in range(35, 600, 36):
            ImageDraw.Draw(lines).line((0, y, 600, y), fill=210, width=2)
        assert difference(cleaned(ImageChops.multiply(plain, lines)), cleaned(plain)) < 0.05

    def test_specks_are_dropped(self) -> None:
        """Dust in the corner doesn't shrink the digit."""
        dusty = drawn()
        ImageDraw.Draw(dusty).ellipse((5, 185, 9, 189), fill=255)
        assert difference(cleaned(dusty), cleaned(drawn())) < 0.05

    @pytest.mark.parametrize("strokes", [*DIGITS, EIGHT])
    @pytest.mark.parametrize("around", ["circle", "circle with a gap", "box askew"])
    def test_a_line_around_the_digit_is_dropped(
        self, strokes: tuple[tuple[tuple[float, float], ...], ...], around: str
    ) -> None:
        """A circle or a box, perhaps not quite closed, marks the digit: everything inside it is the digit."""
        plain, marked = drawn(strokes, (300, 300), (100, 100, 100)), drawn(strokes, (300, 300), (100, 100, 100))
        draw = ImageDraw.Draw(marked)
        if around == "box askew":
            draw.line(((80, 60), (250, 90), (220, 240), (60, 220), (80, 60)), fill=255, width=5)
        else:
            draw.arc((65, 65, 235, 235), 0, 360 - 5 * (around == "circle with a gap"), fill=255, width=6)
        assert difference(cleaned(marked), cleaned(plain)) < 0.2

    @pytest.mark.parametrize("strokes", [*DIGITS, EIGHT])
    @pytest.mark.parametrize("tilt", [-8, 0, 8])
    def test_a_line_below_the_digit_is_dropped(
        self, strokes: tuple[tuple[tuple[float, float], ...], ...], tilt: int
    ) -> None:
        """An underline reaches further than the digit to both sides."""
        plain, marked = drawn(strokes, (300, 300), (100, 100, 100)), drawn(strokes, (300, 300), (100, 100, 100))
        ImageDraw.Draw(marked).line((90, 220, 210, 220 + tilt), fill=255, width=8)
        assert difference(cleaned(marked), cleaned(plain)) < 0.1

    def test_a_foot_that_is_apart_stays(self) -> None:
        """The foot of a 2, before which the pen skipped, lies below the rest and reaches no further to the left."""
        two = (((0.2, 0.2), (0.5, 0.05), (0.8, 0.3), (0.2, 0.8)), ((0.2, 1.0), (0.9, 1.0)))
        assert difference(cleaned(drawn(two)), cleaned(drawn(two[:1]))) > 0.3

    @pytest.mark.parametrize("gap", [4, 8])
    @pytest.mark.parametrize("reach", [0, 20])
    def test_a_wide_foot_that_is_apart_stays(self, gap: int, reach: int) -> None:
        """The foot is wider than the top of the 2, but lies close below the end of its stroke."""
        top = ((95, 95), (110, 65), (150, 55), (185, 75), (185, 110), (110, 215))
        without, whole = Image.new("L", (300, 300)), Image.new("L", (300, 300))
        for image in (without, whole):
            ImageDraw.Draw(image).line(top, fill=255, width=14, joint="curve")
        y = 229 + gap
        ImageDraw.Draw(whole).line((85 - reach, y, 215 + reach, y), fill=255, width=14)
        assert difference(cleaned(whole), cleaned(without)) > 0.3
        assert ink_box(cleaned(whole))[1] > 13

    @pytest.mark.parametrize("width", [90, 120, 150])
    @pytest.mark.parametrize("slash", [((128, 205), (172, 95)), ((125, 180), (175, 120)), ((130, 110), (170, 200))])
    def test_a_slash_in_a_zero_does_not_become_the_digit(
        self, width: int, slash: tuple[tuple[int, int], tuple[int, int]]
    ) -> None:
        """The slash ends short of the zero, and by itself looks like a 1."""
        zero = Image.new("L", (300, 300))
        draw = ImageDraw.Draw(zero)
        draw.ellipse((150 - width // 2, 40, 150 + width // 2, 260), outline=255, width=12)
        plain = cleaned(zero)
        draw.line(slash, fill=255, width=12)
        assert 0.02 < difference(cleaned(zero), plain) < 0.5

    @pytest.mark.parametrize(("width", "lean"), [(130, 0), (190, -15), (190, 0), (190, 15), (190, 30)])
    def test_a_line_around_a_one_is_dropped(self, width: int, lean: int) -> None:
        """A 1 is a straight stroke, like a slash: in an oval it is upright, in a circle it may lean."""
        plain = Image.new("L", (300, 300))
        ImageDraw.Draw(plain).line((150 - lean, 220, 150 + lean, 80), fill=255, width=12)
        marked = plain.copy()
        ImageDraw.Draw(marked).ellipse((150 - width // 2, 55, 150 + width // 2, 245), outline=255, width=6)
        assert difference(cleaned(marked), cleaned(plain)) < 0.2

    def test_a_dot_in_a_zero_does_not_become_the_digit(self) -> None:
        """The dot, or a dash, is small compared with the zero around it."""
        zero = Image.new("L", (200, 200))
        draw = ImageDraw.Draw(zero)
        draw.ellipse((55, 30, 145, 170), outline=255, width=12)
        plain = cleaned(zero)
        draw.line((100, 90, 100, 110), fill=255, width=14)
        assert 0.02 < difference(cleaned(zero), plain) < 0.2

    @pytest.mark.parametrize("strokes", DIGITS)
    def test_what_is_far_from_the_digit_is_dropped(self, strokes: tuple[tuple[tuple[float, float], ...], ...]) -> None:
        """A thumb in the corner of the picture, and a label, are not part of the digit."""
        plain, held = drawn(strokes, (400, 400), (140, 140, 120)), drawn(strokes, (400, 400), (140, 140, 120))
        draw = ImageDraw.Draw(held)
        draw.ellipse((-60, 340, 60, 460), fill=255)
        draw.rectangle((320, 10, 350, 40), fill=255)
        assert difference(cleaned(held), cleaned(plain)) < 0.1

    def test_a_bar_well_above_the_rest_is_part_of_a_five(self) -> None:
        """The pen skipped between them: the gap is a third of the larger part's size and a little more."""
        bar, bow = ((0.3, 0.08), (0.8, 0.08)), ((0.3, 0.4), (0.7, 0.42), (0.8, 0.65), (0.65, 0.85), (0.25, 0.9))
        joined = ((0.3, 0.08), (0.3, 0.4))
        assert difference(cleaned(drawn((bar, bow))), cleaned(drawn((bar, bow, joined)))) < 0.3

    @pytest.mark.parametrize("strokes", DIGITS)
    @pytest.mark.parametrize("thing", ["pen", "keys"])
    def test_what_reaches_in_from_the_rim_is_dropped(
        self, strokes: tuple[tuple[tuple[float, float], ...], ...], thing: str
    ) -> None:
        """A pen on the page, close to the digit and with more ink than it, or the keys of a keyboard."""
        plain, beside = drawn(strokes, (400, 400), (120, 120, 120)), drawn(strokes, (400, 400), (120, 120, 120))
        draw = ImageDraw.Draw(beside)
        if thing == "pen":
            draw.line((260, 210, 410, 330), fill=255, width=26)
        else:
            for left in (60, 130, 200, 270):
                draw.rectangle((left, 262, left + 50, 399), fill=255)
        assert difference(cleaned(inverted(beside)), cleaned(plain)) < 0.3

    @pytest.mark.parametrize(("strokes", "right"), [(SEVEN, 0), (SEVEN, 8), (FIVE_IN_TWO, 14)])
    def test_a_box_that_touches_the_digit_is_dropped(
        self, strokes: tuple[tuple[tuple[float, float], ...], ...], right: int
    ) -> None:
        """A box of a form, small on the picture: from close, only pieces of it are seen around the digit."""
        plain = drawn(strokes, (640, 360), (300 + right, 140, 76), 5)
        boxed = plain.copy()
        ImageDraw.Draw(boxed).rectangle((293, 133, 383, 223), outline=255, width=2)
        assert difference(cleaned(inverted(boxed)), cleaned(plain)) < 0.3

    def test_a_scratch_beside_a_digit_that_meets_the_rim_is_no_digit(self) -> None:
        """The scratch is long and clear of the rim, but has hardly any ink."""
        cropped = drawn(canvas=(130, 150), box=(5, 10, 165), pen=24)
        scratched = cropped.copy()
        ImageDraw.Draw(scratched).line((6, 60, 10, 140), fill=255, width=5)
        assert difference(cleaned(scratched), cleaned(cropped)) < 0.2

    @pytest.mark.parametrize("strokes", DIGITS)
    @pytest.mark.parametrize("frame", [(0, 0, 199, 199), (30, 25, 170, 175)])
    def test_a_frame_around_the_digit_is_dropped(
        self,
        strokes: tuple[tuple[tuple[float, float], ...], ...],
        frame: tuple[int, int, int, int],
    ) -> None:
        """A box on a form, or the border of a canvas, is not part of the digit."""
        boxed = drawn(strokes)
        ImageDraw.Draw(boxed).rectangle(frame, outline=255, width=4)
        assert difference(cleaned(inverted(boxed)), cleaned(drawn(strokes))) < 0.2

    @pytest.mark.parametrize("strokes", DIGITS)
    @pytest.mark.parametrize("sides", [((30, 0), (0, 0)), ((0, 25), (40, 0)), ((20, 30), (25, 35))])
    def test_the_table_around_the_sheet_is_dropped(
        self,
        strokes: tuple[tuple[tuple[float, float], ...], ...],
        sides: tuple[tuple[int, int], tuple[int, int]],
    ) -> None:
        """A dark table along one, two or four sides of the picture is not part of the digit."""
        sheet = 230 - np.asarray(drawn(strokes), dtype=np.float32) * (190 / 255)
        table = np.pad(sheet, sides, constant_values=70)
        assert (
            difference(cleaned(Image.fromarray(table.astype(np.uint8))), cleaned(drawn(strokes))) < 0.35
        )  # another scale


class TestLight:
    """Ink is ink, whatever its colour and the light on the paper."""

    @pytest.mark.parametrize("strokes", DIGITS)
    @pytest.mark.parametrize("pen", [3, 10, 22])
    def test_polarity_does_not_matter(self, strokes: tuple[tuple[tuple[float, float], ...], ...], pen: int) -> None:
        """Dark on light gives nearly the row of light on dark."""
        light = drawn(strokes, pen=pen)
        assert difference(cleaned(light), cleaned(inverted(light))) < 0.02

    def test_uneven_light_does_not_matter(self) -> None:
        """A lamp gradient of 40 % changes little."""
        ink = np.asarray(drawn(), dtype=np.float32) / 255
        light = np.linspace(1.0, 0.6, 200, dtype=np.float32)[:, None]
        page = ((230 - 190 * ink) * light).astype(np.uint8)
        assert difference(cleaned(Image.fromarray(page)), cleaned(drawn())) < 0.25

    def test_faint_ink_is_read(self) -> None:
        """A contrast of 10 % of the range suffices."""
        ink = np.asarray(drawn(), dtype=np.float32) / 255
        page = (150 - 25 * ink).astype(np.uint8)
        assert difference(cleaned(Image.fromarray(page)), cleaned(drawn())) < 0.1

    def test_noise_hardly_matters(self) -> None:
        """Noise of 8 % leaves the digit and brings in nothing else."""
        noise = np.random.default_rng(7).normal(0, 20, (200, 200))
        page = np.clip(255 - np.asarray(drawn()) + noise, 0, 255).astype(np.uint8)
        assert difference(cleaned(Image.fromarray(page)), cleaned(drawn())) < 0.2

    def test_ink_as_light_as_its_paper_is_seen_by_its_colour(self) -> None:
        """Orange on sky blue of the same luminance is read."""
        ink = np.asarray(drawn(), dtype=np.float32)[..., None] / 255
        page = (1 - ink) * [160, 215, 235] + ink * [255, 195, 0]
        picture = Image.fromarray(page.astype(np.uint8), mode=None)
        assert difference(cleaned(picture), cleaned(drawn())) < 0.1

    def test_a_highlighter_is_seen_though_the_light_varies_more(self) -> None:
        """Yellow is about as light as the paper, which a lamp makes much darker at one end than at the other."""
        shape = np.asarray(drawn(), dtype=np.float32)[..., None] / 255
        light = np.linspace(1, 0.6, 200)[:, None, None]
        page = ((1 - shape) * [240, 238, 232] + shape * [255, 245, 75]) * light
        assert difference(cleaned(Image.fromarray(page.astype(np.uint8))), cleaned(drawn())) < 0.25


class TestPassThrough:
    """A picture that already has MNIST's form is not touched."""

    @pytest.mark.parametrize("strokes", DIGITS)
    @pytest.mark.parametrize("pen", [6, 12])
    def test_what_was_cleaned_once_stays(self, strokes: tuple[tuple[tuple[float, float], ...], ...], pen: int) -> None:
        """A row drawn by `picture_from_pixels` and cleaned up again is the same, to the 8 bits of a PNG."""
        row = cleaned(drawn(strokes, pen=pen))
        again = cleaned(picture_from_pixels(row))
        assert np.abs(again - row).max() <= 0.5 / 255 + 1e-6
        assert np.array_equal(cleaned(picture_from_pixels(again)), again)

    def test_what_the_model_saw_is_a_greyscale_png(self) -> None:
        """28x28, mode L, full ink white."""
        row = np.zeros(784, dtype=np.float32)
        row[28] = 1
        image = Image.open(io.BytesIO(picture_from_pixels(row)))
        assert (image.format, image.mode, image.size) == ("PNG", "L", (28, 28))
        assert image.getpixel((0, 1)) == 255
        assert image.getpixel((1, 0)) == 0


class TestRefusals:
    """A picture without a digit is refused with a sentence that says what to do."""

    @pytest.mark.parametrize("size", [(1, 1), (28, 28), (640, 480), (3000, 2)])
    @pytest.mark.parametrize("level", [0, 128, 255])
    def test_flat_pictures(self, size: tuple[int, int], level: int) -> None:
        """One flat grey has no digit on it."""
        with pytest.raises(PictureError, match=r"blank.*\."):
            cleaned(Image.new("L", size, level))

    def test_fully_transparent(self) -> None:
        """A fully transparent picture is blank."""
        with pytest.raises(PictureError, match="blank"):
            cleaned(Image.new("RGBA", (100, 100), (0, 0, 0, 0)))

    @settings(max_examples=40)
    @given(
        seed=st.integers(0, 2**32 - 1),
        side=st.sampled_from([20, 28, 64, 128, 300, 700]),
        spread=st.floats(1, 90),
        kind=st.sampled_from(["uniform", "normal"]),
        quality=st.sampled_from([None, 20, 30, 50, 75, 90]),
    )
    def test_noise(self, seed: int, side: int, spread: float, kind: str, quality: int | None) -> None:
        """Noise without strokes is refused, faint or strong, coarse or fine, also where JPEG has smoothed it."""
        numbers = np.random.default_rng(seed)
        draw = numbers.uniform if kind == "uniform" else numbers.normal
        noise = draw(-spread if kind == "uniform" else 0, spread, (side, side))
        page = Image.fromarray(np.clip(128 + noise, 0, 255).astype(np.uint8))
        with pytest.raises(PictureError, match=r"noise|stands out|blank"):
            cleaned(encoded(page) if quality is None else encoded(page, "JPEG", quality=quality))

    @pytest.mark.parametrize("squared", [False, True])
    def test_empty_paper_with_lines(self, *, squared: bool) -> None:
        """Empty ruled or squared paper is refused for having only lines; a digit on it is read."""
        paper = Image.new("L", (400, 300), 245)
        for place in range(20, 400, 40):
            ImageDraw.Draw(paper).line((0, place, 400, place), fill=160, width=2)
            if squared:
                ImageDraw.Draw(paper).line((place, 0, place, 300), fill=160, width=2)
        with pytest.raises(PictureError, match="only lines"):
            cleaned(paper)
        seven = drawn(canvas=(400, 300), box=(140, 70, 130), pen=12)
        assert difference(cleaned(ImageChops.darker(paper, inverted(seven))), cleaned(seven)) < 0.35

    def test_light_from_a_side_is_no_paper_with_lines(self) -> None:
        """The steps between a JPEG's blocks run from edge to edge, but are too faint to count as lines."""
        page = np.tile(200 * np.linspace(1, 0.7, 320), (240, 1))
        with pytest.raises(PictureError, match="stands out"):
            cleaned(encoded(Image.fromarray(page.astype(np.uint8)), "JPEG", quality=85))

    def test_a_gradient(self) -> None:
        """Uneven light on an empty page is not ink."""
        page = np.linspace(90, 230, 300)[:, None] * np.ones(200)
        with pytest.raises(PictureError, match="stands out"):
            cleaned(Image.fromarray(page.astype(np.uint8)))

    def test_a_pattern_of_which_no_stroke_stands_out(self) -> None:
        """Seven blots and some specks, none of them much larger than most, are no digit."""
        page = Image.new("L", (400, 400), 0)
        draw = ImageDraw.Draw(page)
        for place in range(7):
            left, top = 30 + 90 * (place % 4), 60 + 150 * (place // 4)
            draw.rectangle((left, top, left + 40, top + 60 + 8 * (place == 0)), fill=255)
        for place in range(6):
            draw.rectangle((30 + 60 * place, 350, 35 + 60 * place, 355), fill=255)
        with pytest.raises(PictureError, match=r"noise"):
            cleaned(page)


def test_threads_do_not_disturb_each_other() -> None:
    """Many pictures on several threads give the same rows as on one thread."""
    pictures = [
        encoded(inverted(drawn(strokes, pen=pen)), pillow_format)
        for strokes in DIGITS
        for pen in (3, 8, 16)
        for pillow_format in PILLOW_FORMATS
    ]
    alone = [cleaned(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(cleaned, pictures))
    assert np.array_equal(np.array(alone), np.array(together))


def test_a_thick_line_below_a_flat_one_at_the_top_is_looked_at() -> None:
    """Whether it is a 2's foot depends on the rows above it, which are fewer than the line is thick."""
    page = np.full((128, 128), 255, np.uint8)
    page[2:7, 40:90] = page[25:52, 5:123] = 0
    file = io.BytesIO()
    Image.fromarray(page).save(file, "PNG")

    assert pixels_from_picture(file.getvalue(), 100_000).max() == 1  # a warning would be an error here
