from __future__ import annotations

import contextlib
import io
import itertools
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageChops, ImageDraw

from service.imaging import (
    MEDIA_TYPES,
    PictureError,
    PictureTooLarge,
    picture_from_pixels,
    pixels_from_picture,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 4_000_000
PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")

# Strokes in a unit square, as (x, y) points.
SEVEN = (((0.2, 0.1), (0.8, 0.1), (0.4, 0.9)),)
FOUR = (((0.6, 0.9), (0.6, 0.1), (0.15, 0.6), (0.85, 0.6)),)
FIVE_IN_TWO = (
    ((0.3, 0.15), (0.28, 0.45), (0.6, 0.45), (0.75, 0.65), (0.6, 0.88), (0.25, 0.85)),
    ((0.4, 0.1), (0.75, 0.1)),
)
EIGHT = (
    ((0.5, 0.5), (0.7, 0.25), (0.5, 0.05), (0.3, 0.25), (0.5, 0.5), (0.8, 0.75), (0.5, 1.0), (0.2, 0.75), (0.5, 0.5)),
)
NINE = (((0.75, 0.3), (0.5, 0.5), (0.2, 0.3), (0.5, 0.1), (0.75, 0.3), (0.7, 1.0)),)
DIGITS = (SEVEN, FOUR, FIVE_IN_TWO)


def drawn(
    strokes: tuple[tuple[tuple[float, float], ...], ...] = SEVEN,
    canvas: tuple[int, int] = (200, 200),
    box: tuple[int, int, int] = (40, 40, 120),
    pen: int = 10,
) -> Image.Image:
    """White strokes on black, mode L; `box` is left, top and side of the square drawn in."""
    image = Image.new("L", canvas, 0)
    draw = ImageDraw.Draw(image)
    left, top, side = box
    for stroke in strokes:
        points = [(left + x * side, top + y * side) for x, y in stroke]
        draw.line(points, fill=255, width=pen, joint="curve")
        for x, y in points:
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    return image


def inverted(image: Image.Image) -> Image.Image:
    """Dark for light."""
    return image.point(lambda level: 255 - level)


def encoded(image: Image.Image, pillow_format: str = "PNG", **options: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    image.save(file, format=pillow_format, **options)
    return file.getvalue()


def cleaned(picture: Image.Image | bytes) -> NDArray[np.float32]:
    """What the service makes of a picture."""
    data = picture if isinstance(picture, bytes) else encoded(picture)
    return pixels_from_picture(data, MAX_PIXELS)


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Sum of absolute differences over the mean ink: 0 for equal rows, 2 for strokes apart.

    Taken at the best of the nine shifts by a pixel, because centring rounds to whole pixels.
    """
    still, moving = np.pad(one.reshape(28, 28), 1), np.pad(other.reshape(28, 28), 1)
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    smallest = min(np.abs(still - np.roll(moving, shift, (0, 1))).sum() for shift in shifts)
    return float(smallest / ((one.sum() + other.sum()) / 2))


def ink_box(row: NDArray[np.float32]) -> tuple[int, int]:
    """Height and width of what is inked."""
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


def bmp_in_runs(page: NDArray[np.uint8]) -> bytes:
    """A page of few colours as a BMP in run lengths; uint8 (height, width)."""
    rows = []
    for row in page[::-1]:
        starts = [0, *(np.flatnonzero(np.diff(row.astype(int))) + 1).tolist(), len(row)]
        for start, stop in itertools.pairwise(starts):
            lengths = [255] * ((stop - start) // 255) + [(stop - start) % 255]
            rows += [bytes((length, int(row[start]))) for length in lengths if length]
        rows.append(b"\0\0")
    runs, palette = b"".join(rows) + b"\0\1", b"".join(bytes((level, level, level, 0)) for level in range(256))
    height, width = page.shape
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 14 + 40 + 1024 + len(runs), 0, 0, 14 + 40 + 1024) + header + palette + runs


def tiff_of_strips(count: int) -> bytes:
    """A TIFF of one column, in which each row is a strip of its own, and all are the same byte."""
    offsets, counts = 9, 9 + 4 * count
    entries = [
        (256, 1, 1),  # width
        (257, 1, count),  # height
        (258, 1, 8),  # bits a sample
        (259, 1, 1),  # not compressed
        (262, 1, 1),  # 0 is black
        (273, count, offsets),
        (278, 1, 1),  # rows a strip
        (279, count, counts),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, 4, *rest) for tag, *rest in entries
    )
    body = b"\0" + struct.pack(f"<{count}I", *[8] * count) + struct.pack(f"<{count}I", *[1] * count) + directory
    return b"II*\0" + struct.pack("<I", 9 + 8 * count) + body + bytes(4)


class TestForm:
    """What comes out has the form of an MNIST image."""

    @settings(max_examples=20, deadline=None)
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
        """A digit in a corner, half as big, comes out as the one in the middle."""
        middle = cleaned(drawn(canvas=(400, 400), box=(100, 100, 200), pen=20))
        corner = cleaned(drawn(canvas=(400, 400), box=(8, 280, 100), pen=10))
        assert difference(middle, corner) < 0.15

    def test_a_tiny_digit_on_a_large_canvas_is_read_from_close(self) -> None:
        """A digit of 4 % of the canvas keeps its shape."""
        close = cleaned(drawn(FOUR, (200, 200), (40, 40, 120), 12))
        far = cleaned(drawn(FOUR, (1000, 1000), (700, 200, 40), 4))
        assert difference(close, far) < 0.3

    def test_a_speck_of_a_digit_keeps_its_edges_wherever_it_is(self) -> None:
        """A digit of 14 pixels, one or two in the first look, is whole whichever of them it falls between."""
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
        """Cut to its edges a digit is the same, though a thick pen fills half of the picture and meets the rim."""
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
        assert (rows[[5, 14, 23], 14] > 0.5).all()  # the segments that lie

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
        """Somebody marks the digit by a circle or a box, not quite closed: what is inside is the digit, all of it."""
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
        """The foot of a 2 that a pen skipped before begins below the rest and is no wider to the left."""
        two = (((0.2, 0.2), (0.5, 0.05), (0.8, 0.3), (0.2, 0.8)), ((0.2, 1.0), (0.9, 1.0)))
        assert difference(cleaned(drawn(two)), cleaned(drawn(two[:1]))) > 0.3

    @pytest.mark.parametrize("gap", [4, 8])
    @pytest.mark.parametrize("reach", [0, 20])
    def test_a_wide_foot_that_is_apart_stays(self, gap: int, reach: int) -> None:
        """It is wider than the top of the 2, but close below where the stroke ends."""
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
        """It ends short of the zero, and looks like a 1 by itself."""
        zero = Image.new("L", (300, 300))
        draw = ImageDraw.Draw(zero)
        draw.ellipse((150 - width // 2, 40, 150 + width // 2, 260), outline=255, width=12)
        plain = cleaned(zero)
        draw.line(slash, fill=255, width=12)
        assert 0.02 < difference(cleaned(zero), plain) < 0.5

    @pytest.mark.parametrize(("width", "lean"), [(130, 0), (190, -15), (190, 0), (190, 15), (190, 30)])
    def test_a_line_around_a_one_is_dropped(self, width: int, lean: int) -> None:
        """It is a straight stroke, too: in an oval it is upright, in a circle it may lean."""
        plain = Image.new("L", (300, 300))
        ImageDraw.Draw(plain).line((150 - lean, 220, 150 + lean, 80), fill=255, width=12)
        marked = plain.copy()
        ImageDraw.Draw(marked).ellipse((150 - width // 2, 55, 150 + width // 2, 245), outline=255, width=6)
        assert difference(cleaned(marked), cleaned(plain)) < 0.2

    def test_a_dot_in_a_zero_does_not_become_the_digit(self) -> None:
        """It is small beside what is around it, as is a dash."""
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
        """It is long, and clear of the rim, but has hardly any ink."""
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


class TestDecoding:
    """Every accepted format and mode decodes to the same digit."""

    def test_the_media_types_are_those_of_the_contract(self) -> None:
        """One media type for each of the six formats."""
        assert set(MEDIA_TYPES) == {f"image/{name}" for name in ("png", "jpeg", "webp", "bmp", "gif", "tiff")}

    @pytest.mark.parametrize("pillow_format", PILLOW_FORMATS)
    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_formats(self, pillow_format: str, mode: str) -> None:
        """All six formats give the row of the PNG."""
        picture = inverted(drawn()).convert(mode)
        assert difference(cleaned(encoded(picture, pillow_format)), cleaned(drawn())) < 0.05

    @pytest.mark.parametrize(
        ("mode", "pillow_format"),
        [
            ("1", "PNG"), ("1", "TIFF"), ("P", "PNG"), ("P", "GIF"), ("LA", "PNG"),
            ("RGBA", "PNG"), ("RGBA", "WEBP"), ("RGBA", "TIFF"), ("CMYK", "JPEG"),
            ("CMYK", "TIFF"), ("YCbCr", "TIFF"), ("LAB", "TIFF"), ("I", "TIFF"), ("F", "TIFF"),
        ],
    )  # fmt: skip
    def test_modes(self, mode: str, pillow_format: str) -> None:
        """Palette, 1-bit, CMYK, Lab, deep and opaque pictures with alpha give the same row."""
        picture = inverted(drawn())
        converted = (picture.convert("RGB") if mode == "LAB" else picture).convert(mode)
        if mode == "LAB":
            converted = Image.merge("LAB", (picture, picture.point(lambda _: 128),
                                            picture.point(lambda _: 128)))  # fmt: skip
        assert difference(cleaned(encoded(converted, pillow_format)), cleaned(drawn())) < 0.1

    @pytest.mark.parametrize("pillow_format", ["PNG", "TIFF"])
    def test_sixteen_bits(self, pillow_format: str) -> None:
        """16-bit grey is scaled, not clipped."""
        deep = Image.fromarray(np.asarray(inverted(drawn()), dtype=np.uint16) * 257)
        assert difference(cleaned(encoded(deep, pillow_format)), cleaned(drawn())) < 0.02

    @pytest.mark.parametrize("bits", [9, 10, 12, 14])
    @pytest.mark.parametrize("pillow_format", ["PNG", "TIFF"])
    def test_fewer_bits_in_sixteen(self, pillow_format: str, bits: int) -> None:
        """Scanners and cameras write 10 or 12 bits into 16 as they are: they are scaled by the range they use."""
        deep = Image.fromarray(np.asarray(inverted(drawn()), dtype=np.uint16) << (bits - 8))
        assert difference(cleaned(encoded(deep, pillow_format)), cleaned(drawn())) < 0.02

    @pytest.mark.parametrize("level", [0, 40, 700])
    def test_sixteen_bits_in_the_dark_are_no_digit(self, level: int) -> None:
        """A camera's black is blank or noise, whatever its range."""
        noise = np.random.default_rng(7).normal(level, level / 40, (200, 200))
        with pytest.raises(PictureError, match=r"blank|stands out|noise"):
            cleaned(Image.fromarray(np.clip(noise, 0, 65535).astype(np.uint16)))

    def test_floats_of_any_size(self) -> None:
        """Samples as far apart as float32 allows are scaled like others: their difference is no float32."""
        most = np.finfo(np.float32).max
        far_apart = (np.asarray(drawn(), dtype=np.float64) / 127.5 - 1) * most
        picture = encoded(Image.fromarray(far_apart.astype(np.float32)), "TIFF")
        assert difference(cleaned(picture), cleaned(drawn())) < 0.02

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "TIFF"])
    def test_exif_orientation(self, orientation: int, pillow_format: str) -> None:
        """A picture that EXIF turns equals the upright one."""
        undo = {
            2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }.get(orientation)  # fmt: skip
        upright = inverted(drawn(canvas=(240, 200)))
        stored = upright if undo is None else upright.transpose(undo)
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = encoded(stored, pillow_format, exif=exif)
        assert difference(cleaned(turned), cleaned(upright)) < 0.05

    def test_the_first_frame_of_an_animation_counts(self) -> None:
        """A GIF is read by its first frame."""
        frames = [inverted(drawn(strokes)) for strokes in (FOUR, SEVEN)]
        gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
        assert difference(cleaned(gif), cleaned(frames[0])) < 0.02

    def test_a_big_jpeg_is_reduced_while_it_decodes(self) -> None:
        """A drawing of 4 megapixels gives the row of the small one."""
        big = inverted(drawn(canvas=(2000, 2000), box=(400, 400, 1200), pen=100))
        small = big.resize((200, 200), Image.Resampling.BOX)
        assert difference(cleaned(encoded(big, "JPEG")), cleaned(small)) < 0.15

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
    def test_a_very_large_picture(self, mode: str) -> None:
        """Of most, pixels are left out; the row is that of the small picture, in every mode."""
        big = inverted(drawn(canvas=(3600, 1000), box=(1400, 150, 700), pen=60))
        small = big.resize((360, 100), Image.Resampling.BOX)
        sent = Image.fromarray(257 * np.asarray(big, np.uint16)) if mode == "I;16" else big.convert(mode)
        assert sent.mode == mode
        assert difference(cleaned(encoded(sent)), cleaned(small)) < 0.15

    def test_a_very_large_scan_in_black_and_white_keeps_its_fine_lines(self) -> None:
        """It is averaged as one in grey is: no pixel of a narrow line is left out."""
        scan = inverted(drawn(canvas=(3600, 1000), box=(1400, 150, 700), pen=4))
        assert difference(cleaned(scan.convert("1")), cleaned(scan)) < 1e-6

    @pytest.mark.parametrize("dots", [1, 2, 4])
    def test_a_very_large_picture_of_dots(self, dots: int) -> None:
        """The grey of a screen stays grey where pixels are left out: ink that is darker, or lighter, is read."""
        plain = drawn(canvas=(3600, 1000), box=(1400, 150, 700), pen=60)
        strokes = np.asarray(plain) > 127
        y, x = np.mgrid[:1000, :3600] // dots
        for ink in (0, 255):
            page = np.where(strokes, ink, 255 * ((x + y) % 2)).astype(np.uint8)
            assert difference(cleaned(Image.fromarray(page).convert("RGB")), cleaned(plain)) < 0.1


class TestTransparency:
    """Transparent pictures are read as what they show."""

    @pytest.mark.parametrize("ink", [0, 128, 255])
    def test_alpha_is_ink(self, ink: int) -> None:
        """Strokes of any colour on nothing equal strokes on paper."""
        strokes = drawn()
        transparent = Image.merge("LA", (strokes.point(lambda _: ink), strokes))
        assert difference(cleaned(transparent), cleaned(strokes)) < 0.02

    def test_a_sheet_with_cut_out_corners_is_paper(self) -> None:
        """Ink on a mostly opaque sheet is read; the sheet's outline is not."""
        alpha = Image.new("L", (200, 200), 0)
        ImageDraw.Draw(alpha).rounded_rectangle((0, 0, 199, 199), radius=60, fill=255)
        sheet = Image.merge("LA", (inverted(drawn()), alpha))
        assert difference(cleaned(sheet), cleaned(drawn())) < 0.05

    @pytest.mark.parametrize("ink", ["dark", "light"])
    @pytest.mark.parametrize("outline", ["disc", "star"])
    @pytest.mark.parametrize("size", [200, 400, 800])
    def test_a_sheet_of_any_outline_is_paper(self, outline: str, size: int, ink: str) -> None:
        """A round or torn sheet with a digit on it, on a canvas of which it covers half or far less."""
        strokes, alpha = drawn(box=(60, 60, 80)), Image.new("L", (200, 200), 0)
        corners = [(100 + reach * np.cos(angle), 100 + reach * np.sin(angle)) for reach, angle in
                   zip([98, 74] * 8, np.arange(16) * np.pi / 8, strict=True)]  # fmt: skip
        draw = ImageDraw.Draw(alpha)
        if outline == "disc":
            draw.ellipse((5, 5, 195, 195), fill=255)
        else:
            draw.polygon(corners, fill=255)
        sheet = Image.new("LA", (size, size))
        sheet.paste(Image.merge("LA", (strokes if ink == "light" else inverted(strokes), alpha)))
        assert difference(cleaned(sheet), cleaned(strokes)) < 0.1

    @pytest.mark.parametrize("strokes", DIGITS)
    @pytest.mark.parametrize("pen", [10, 30])
    def test_ink_of_two_colours_on_nothing_is_no_sheet(
        self, strokes: tuple[tuple[tuple[float, float], ...], ...], pen: int
    ) -> None:
        """Both are seen, though one is dark and one is not, and though a thick pen fills half of the picture."""
        shape = drawn(strokes, pen=pen)
        ink = Image.new("L", (200, 200), 110)
        ink.paste(0, (0, 0, 200, 110))
        picture = Image.merge("LA", (ink, shape)).crop(shape.getbbox())
        assert difference(cleaned(picture), cleaned(shape)) < 0.25

    def test_soft_edges_of_another_colour_are_no_strokes(self) -> None:
        """Programs that draw light ink on black, and then take the black away, leave dark edges."""
        soft = drawn(pen=16).resize((60, 60), Image.Resampling.BOX).resize((300, 300), Image.Resampling.BICUBIC)
        assert difference(cleaned(Image.merge("LA", (soft, soft))), cleaned(soft)) < 0.25

    def test_a_palette_with_a_transparent_colour(self) -> None:
        """A GIF whose paper is transparent is read."""
        flat = drawn().point(lambda level: 255 * (level > 127))
        gif = encoded(inverted(flat).convert("P"), "GIF", transparency=255)
        assert difference(cleaned(gif), cleaned(flat)) < 0.05


class TestPassThrough:
    """A picture that already has MNIST's form is not touched."""

    @pytest.mark.parametrize("strokes", DIGITS)
    @pytest.mark.parametrize("pen", [6, 12])
    def test_what_was_cleaned_once_stays(self, strokes: tuple[tuple[tuple[float, float], ...], ...], pen: int) -> None:
        """`picture_from_pixels` and back gives the row, to the 8 bits of a PNG."""
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
    """What is no digit image is refused with a sentence that says what to do."""

    @pytest.mark.parametrize("size", [(1, 1), (28, 28), (640, 480), (3000, 2)])
    @pytest.mark.parametrize("level", [0, 128, 255])
    def test_flat_pictures(self, size: tuple[int, int], level: int) -> None:
        """One flat grey has no digit on it."""
        with pytest.raises(PictureError, match=r"blank.*\."):
            cleaned(Image.new("L", size, level))

    def test_fully_transparent(self) -> None:
        """Nothing is drawn on nothing."""
        with pytest.raises(PictureError, match="blank"):
            cleaned(Image.new("RGBA", (100, 100), (0, 0, 0, 0)))

    @settings(max_examples=40, deadline=None)
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
        """Ruled and squared paper without a digit are refused with that; a digit on it is read."""
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
        """The steps of a JPEG's blocks are lines from edge to edge, and too faint to be any."""
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

    def test_too_many_pixels(self) -> None:
        """One pixel over the limit is over the limit; at the limit it is read."""
        picture = encoded(drawn(canvas=(200, 200)))
        pixels_from_picture(picture, 40_000)
        with pytest.raises(PictureTooLarge, match=r"200 x 200 pixels; at most 39999"):
            pixels_from_picture(picture, 39_999)

    @pytest.mark.parametrize("side", [3000, 10_000, 30_000])
    def test_a_bomb_is_judged_by_its_header(self, side: int) -> None:
        """A PNG that announces a huge picture is refused with no pixel in it to decode."""
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        chunks = b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in ((b"IHDR", header), (b"IDAT", b"not pixels"), (b"IEND", b""))
        )
        with pytest.raises(PictureTooLarge, match="at most"):
            cleaned(b"\x89PNG\r\n\x1a\n" + chunks)

    def test_a_jpeg_of_very_many_scans(self) -> None:
        """A scan of 42 bytes goes over all pixels once more: a JPEG that has thousands of them would take hours."""
        whole = encoded(Image.new("L", (800, 800), 200), "JPEG", progressive=True)
        last = whole[whole.rindex(b"\xff\xda") : -2]
        with pytest.raises(PictureError, match=r"goes over its pixels 20\d\d times"):
            cleaned(whole[:-2] + 2000 * last + whole[-2:])

    def test_a_jpeg_of_very_many_segments(self) -> None:
        """Each empty comment takes some time, too: a JPEG may have no more of them than any has segments."""
        whole = encoded(inverted(drawn()), "JPEG")
        assert cleaned(whole[:2] + 9000 * b"\xff\xfe\0\2" + whole[2:]).shape == (784,)
        with pytest.raises(PictureError, match="more than 10000 segments"):
            cleaned(whole[:2] + 4_000_000 * b"\xff\xfe\0\2" + whole[2:])

    @pytest.mark.parametrize("where", [2, -2], ids=["first", "last"])
    def test_a_jpeg_of_padding(self, where: int) -> None:
        """Pillow reads padding byte by byte, a second for each megabyte: there may be little of it."""
        whole = encoded(Image.new("L", (80, 80), 200), "JPEG")
        if where < 0:  # after the picture's scan, but in no scan
            whole = whole[:-2] + b"\xff\xfe\0\2" + whole[-2:]
        with pytest.raises(PictureError, match="too much between its segments"):
            cleaned(whole[:where] + 1024**2 * b"\xff" + b"\xff\xfe\0\2" + whole[where:])

    @pytest.mark.parametrize(
        "between", [b"\xff", b"no marker", b"\xff\x00", b"\xff\xd3", b"\xff\xfe\0\0", b"\xff\xfe\0\4\xff\xd9"]
    )
    def test_no_scan_is_hidden(self, between: bytes) -> None:
        """Padding, comments and whatever else libjpeg passes over hide no scan behind them."""
        whole = encoded(Image.new("L", (80, 80), 200), "JPEG", progressive=True)
        last = between + whole[whole.rindex(b"\xff\xda") : -2]
        with pytest.raises(PictureError, match=r"goes over its pixels 10\d times"):
            cleaned(whole[:-2] + 100 * last + whole[-2:])

    def test_a_film_behind_a_jpeg_holds_no_scans(self) -> None:
        """Eight megabytes behind the picture, as phones put them there, are not looked at, whatever bytes they are."""
        page = inverted(drawn())
        film = np.random.default_rng(7).bytes(8 * 1024**2)
        assert film.count(b"\xff\xda") > 50
        assert np.array_equal(cleaned(encoded(page, "JPEG") + film), cleaned(encoded(page, "JPEG")))

    def test_a_thumbnail_in_a_jpeg_holds_no_scans(self) -> None:
        """A JPEG inside EXIF, with an end and many scans of its own, is neither counted nor the end of the picture."""
        page = inverted(drawn())
        thumbnail = b"\xff\xd8" + 60 * b"\xff\xda\0\2" + b"\xff\xd9"
        whole = encoded(page, "JPEG", exif=Image.Exif().tobytes() + thumbnail)
        assert thumbnail in whole
        assert np.array_equal(cleaned(whole), cleaned(encoded(page, "JPEG")))
        last = whole[whole.rindex(b"\xff\xda") : -2]
        with pytest.raises(PictureError, match="goes over its pixels 101 times"):
            cleaned(whole[:-2] + 100 * last + whole[-2:])

    @pytest.mark.parametrize("progressive", [False, True])
    def test_an_ordinary_jpeg_has_few_scans(self, *, progressive: bool) -> None:
        """What programs write is read, in colour and with the most scans that they use."""
        page = inverted(drawn()).convert("RGB")
        assert difference(cleaned(encoded(page, "JPEG", progressive=progressive)), cleaned(page)) < 0.2

    @pytest.mark.parametrize("where", [33, -12], ids=["first", "last"])
    @pytest.mark.parametrize("name", [b"tEXt", b"IDAT", b"prVt"])
    def test_a_png_of_very_many_chunks(self, name: bytes, where: int) -> None:
        """An empty chunk takes as long as a full one: a PNG may have no more of them than any has."""
        whole, empty = encoded(drawn()), bytes(4) + name + struct.pack(">I", zlib.crc32(name))
        with pytest.raises(PictureError, match="more than 10000 chunks"):
            cleaned(whole[:where] + 10_000 * empty + whole[where:])

    def test_chunks_behind_the_end_of_a_png_are_not_counted(self) -> None:
        """As many as an ordinary PNG has are read, and what is behind its end is not looked at."""
        whole, empty = encoded(drawn()), bytes(4) + b"prVt" + struct.pack(">I", zlib.crc32(b"prVt"))
        chunky = whole[:33] + 9000 * empty + whole[33:] + 1_000_000 * empty
        assert np.array_equal(cleaned(chunky), cleaned(whole))

    def test_a_tiff_of_very_many_strips(self) -> None:
        """Each strip takes as long as a row of pixels, however small: a TIFF may have no more than a large page."""
        with pytest.raises(PictureError, match="cut into 40000 strips"):
            cleaned(tiff_of_strips(40_000))

    @pytest.mark.parametrize(("tags", "values"), [(60_000, 1), (0, 150_000)])
    def test_a_tiff_of_very_many_tags(self, tags: int, values: int) -> None:
        """Pillow takes each tag apart, and makes an object of each of its numbers: a TIFF may have few of both."""
        whole = tiff_of_strips(1)
        (at,) = struct.unpack_from("<I", whole, 4)
        (count,) = struct.unpack_from("<H", whole, at)
        entries = whole[at + 2 : at + 2 + 12 * count]
        more = [struct.pack("<HHII", 1000 + number, 3, 1, 1) for number in range(tags)]
        resolution = struct.pack("<HHII", 282, 5, values, 8)
        directory = struct.pack("<H", count + tags + 1) + entries + resolution + b"".join(more) + bytes(4)
        with pytest.raises(PictureError, match="10000 tags of 100000 numbers"):
            cleaned(whole[:4] + struct.pack("<I", len(whole)) + whole[8:] + directory)

    @pytest.mark.parametrize(
        ("marker", "begin"),
        [(b"\xe1", b"Exif\0\0"), (b"\xed", b"Photoshop 3.0\0"), (b"\xdb", b"\1" * 65), (b"\xc0", b"\x08\0\1\0\1\0")],
        ids=["Exif", "Photoshop", "tables", "frames"],
    )
    @pytest.mark.parametrize("hidden", [False, True])
    def test_a_jpeg_of_very_many_notes(self, marker: bytes, begin: bytes, *, hidden: bool) -> None:
        """Pillow takes some segments apart, Exif in a time that grows with their square: there may be few of them."""
        whole = encoded(inverted(drawn()), "JPEG")
        segment = b"\xff" + marker + struct.pack(">H", len(begin) + 2) + begin
        notes = segment * 33
        if hidden:  # libjpeg passes over what is in such a segment, Pillow does not
            notes = b"\xff\xf0" + struct.pack(">H", len(notes) + 2) + notes
        with pytest.raises(PictureError, match="does not decode" if hidden else "too many tables or notes"):
            cleaned(whole[:2] + notes + whole[2:])

    def test_a_jpeg_of_notes_behind_an_end(self) -> None:
        """Pillow reads on behind an end that comes before any picture; nothing of that is read."""
        started = time.process_time()
        with pytest.raises(PictureError, match="does not decode"):
            cleaned(
                b"\xff\xd8\xff\xd9" + b"\xff\xe1\x06\x48Exif\0\0" + 9000 * (b"\xff\xe1\x06\x48Exif\0\0" + bytes(1600))
            )
        assert time.process_time() - started < 1

    def test_a_jpeg_with_a_few_notes(self) -> None:
        """Exif over 64 kB comes in several segments: they are read, and turn the picture."""
        page = inverted(drawn())
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        whole = encoded(page, "JPEG", exif=exif.tobytes())
        more = b"\xff\xe1" + struct.pack(">H", 60_008) + b"Exif\0\0" + bytes(60_000)
        at = whole.index(b"\xff\xdb")
        assert np.array_equal(cleaned(whole[:at] + 9 * more + whole[at:]), cleaned(whole))
        assert not np.array_equal(cleaned(whole), cleaned(encoded(page, "JPEG")))

    @pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"iTXt"])
    def test_a_png_of_very_many_texts(self, name: bytes) -> None:
        """A text of a kilobyte may unpack to a megabyte: a PNG may have no more of them than any has."""
        whole = encoded(drawn())
        chunk = bytes(4) + name + struct.pack(">I", zlib.crc32(name))
        with pytest.raises(PictureError, match="more than 100 texts"):
            cleaned(whole[:33] + 101 * chunk + whole[33:])

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    def test_exif_of_megabytes_is_not_taken_apart(self) -> None:
        """An orientation of a million fractions is none, and costs nothing."""
        count = 1_000_000
        exif = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x112, 5, count, 26) + bytes(4) + b"\1" * (8 * count)
        chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
        whole = encoded(drawn())
        started = time.process_time()
        assert np.array_equal(cleaned(whole[:33] + chunk + whole[33:]), cleaned(whole))
        assert time.process_time() - started < 1

    @pytest.mark.parametrize("hidden", [b"\1" * 200_000, b"!\xfe" + b"\1a" * 200_000 + b"\0", b"!\xfe\0" * 200_000])
    def test_a_gif_of_very_many_blocks(self, hidden: bytes) -> None:
        """Pillow reads what is before the pixels byte by byte, or block by block: a GIF may have little of it."""
        whole = encoded(drawn(), "GIF")
        assert whole[10] & 128
        at = 13 + (3 << (whole[10] & 7) + 1)
        with pytest.raises(PictureError, match="too much before its pixels"):
            cleaned(whole[:at] + hidden + whole[at:])
        comment = b"!\xfe" + (b"\xff" + b"a" * 255) * 4000 + b"\0"  # a megabyte
        assert np.array_equal(cleaned(whole[:at] + comment + whole[at:]), cleaned(whole))

    @pytest.mark.parametrize(("side", "more"), [(1800, b""), (28, b"\0\0" * 600_000)])
    def test_a_bmp_of_very_long_runs(self, side: int, more: bytes) -> None:
        """Pillow decodes run lengths in Python: a BMP of them may be as large as a screen, others as any picture."""
        page = np.full((side, side), 255, np.uint8)
        page[side // 4 : 3 * side // 4, side * 3 // 7 : side * 4 // 7] = 0
        with pytest.raises(PictureError, match="A BMP in run lengths may have"):
            cleaned(bmp_in_runs(page) + more)

    @pytest.mark.parametrize("size", [(28, 28), (1200, 1600)])
    def test_a_bmp_in_run_lengths(self, size: tuple[int, int]) -> None:
        """One that a paint program writes is the same picture as without."""
        page = np.full(size, 255, np.uint8)
        page[size[0] // 4 : 3 * size[0] // 4, size[1] * 3 // 7 : size[1] * 4 // 7] = 0
        assert np.array_equal(cleaned(bmp_in_runs(page)), cleaned(encoded(Image.fromarray(page))))

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @settings(max_examples=60, deadline=None)
    @given(
        start=st.sampled_from(
            [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"BM", b"GIF89a", b"II*\0", b"MM\0*"]
        ),
        rest=st.binary(max_size=300),
    )
    @example(b"\xff\xd8\xff", b"\xf0")
    def test_random_bytes(self, start: bytes, rest: bytes) -> None:
        """Bytes that are no picture are a `PictureError`, whatever they begin with."""
        with pytest.raises(PictureError, match=r"decode|at most|blank|Nothing|noise"):
            cleaned(start + rest)

    @pytest.mark.parametrize("pillow_format", PILLOW_FORMATS)
    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @settings(max_examples=8, deadline=None)
    @given(share=st.floats(0, 0.7))
    def test_truncated_files(self, pillow_format: str, share: float) -> None:
        """A file of which the end is missing is never half read."""
        whole = encoded(inverted(drawn()).convert("RGB"), pillow_format)
        with pytest.raises(PictureError, match="truncated"):
            cleaned(whole[: int(share * len(whole))])

    @pytest.mark.parametrize("pillow_format", PILLOW_FORMATS)
    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @settings(max_examples=10, deadline=None)
    @given(flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1))
    def test_damaged_files(self, pillow_format: str, flips: list[tuple[float, int]]) -> None:
        """A file with changed bytes gives a row or a `PictureError`, nothing else."""
        data = bytearray(encoded(inverted(drawn()).convert("RGB"), pillow_format))
        for place, change in flips:
            data[int(place * len(data))] ^= change
        with contextlib.suppress(PictureError):
            assert cleaned(bytes(data)).shape == (784,)


def test_threads_do_not_disturb_each_other() -> None:
    """Many pictures on several threads give the rows of one thread."""
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
    """It may be a 2's foot, by what is above it, of which there is less than the line is thick."""
    page = np.full((128, 128), 255, np.uint8)
    page[2:7, 40:90] = page[25:52, 5:123] = 0
    file = io.BytesIO()
    Image.fromarray(page).save(file, "PNG")

    assert pixels_from_picture(file.getvalue(), 100_000).max() == 1  # a warning would be an error here
