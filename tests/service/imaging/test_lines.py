import contextlib
import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter
from PIL.PngImagePlugin import PngImageFile

from service.imaging import PictureError, PictureTooLarge
from service.imaging.lines import FoundDigit, TooManyDigits, TouchingDigits, digits_from_picture

SEVEN = ((0.1, 0.0), (0.8, 0.0), (0.3, 1.0))
Box = tuple[int, int, int, int]


def page(*boxes: Box, size: tuple[int, int] = (600, 200), bar: bool = False) -> Image.Image:
    """A seven in each box (left, top, width, height), dark on light; with `bar`, a separate stroke above each."""
    image = Image.new("L", size, 245)
    draw = ImageDraw.Draw(image)
    for left, top, width, height in boxes:
        points = [(left + x * width, top + y * height) for x, y in SEVEN]
        draw.line(points, fill=20, width=7, joint="curve")
        if bar:
            draw.line((left, top - 14, left + width * 0.8, top - 14), fill=20, width=7)
    return image


def found(
    image: Image.Image,
    max_digits: int = 100,
    exif: Image.Exif | None = None,
    pillow_format: str = "PNG",
    quality: int = 75,
) -> list[FoundDigit]:
    """The digits found on a picture."""
    file = io.BytesIO()
    image.save(file, format=pillow_format, quality=quality, **({} if exif is None else {"exif": exif}))
    return digits_from_picture(file.getvalue(), 4_000_000, max_digits)


@settings(max_examples=15)
@given(
    places=st.lists(st.tuples(st.integers(0, 25), st.integers(-12, 12), st.integers(50, 70)), min_size=1, max_size=7)
)
def test_each_digit_is_found_in_its_place(places: list[tuple[int, int, int]]) -> None:
    """They are found from left to right, on one line, each box around its ink, whatever the gaps and heights."""
    boxes = [(20 + 80 * index + gap, 60 + down, 45, height) for index, (gap, down, height) in enumerate(places)]

    digits = found(page(*boxes))

    assert len(digits) == len(boxes)
    for digit, (left, top, _, height) in zip(digits, boxes, strict=True):
        assert digit.line == 0
        assert digit.row.shape == (784,)
        assert 0.95 <= digit.row.max() <= 1
        assert digit.box == pytest.approx((left + 3, top - 3, 36, height + 4), abs=7)


@pytest.mark.parametrize("size", [(8, 3), (3, 8)])
def test_boxes_lie_on_the_smallest_pictures(size: tuple[int, int]) -> None:
    """They stay inside the picture even where less than half of its last pixel is ink."""
    for seed in range(60):
        levels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
        with contextlib.suppress(PictureError):
            for digit in found(Image.fromarray(levels.T)):
                left, top, width, height = digit.box
                assert 0 <= left < left + width <= size[0]
                assert 0 <= top < top + height <= size[1]


def test_lines_are_read_from_top_to_bottom() -> None:
    """Two lines of two and three digits."""
    lower = [(60 + 90 * index, 220, 45, 70) for index in range(3)]
    upper = [(200 + 90 * index, 60, 45, 70) for index in range(2)]

    digits = found(page(*lower, *upper, size=(500, 360)))

    assert [digit.line for digit in digits] == [0, 0, 1, 1, 1]
    assert [digit.box[0] for digit in digits] == pytest.approx([203, 293, 63, 153, 243], abs=6)


@pytest.mark.parametrize("up", [-20, -2, 0, 2, 20])
def test_words_far_apart_are_one_line(up: int) -> None:
    """Two digits on the left and two on the right, somewhat higher or lower, are one line, read left to right."""
    digits = found(page(*[(x, 70 - up * (x > 400), 36, 60) for x in (40, 100, 560, 620)], size=(800, 200)))

    assert [digit.line for digit in digits] == [0, 0, 0, 0]
    assert [digit.box[0] for digit in digits] == pytest.approx([43, 103, 563, 623], abs=6)


def test_digits_all_along_a_strip_are_one_line() -> None:
    """Each is ten times its height from the next."""
    digits = found(page(*[(100 + 480 * place, 10, 28, 40) for place in range(8)], size=(4000, 60)))

    assert [digit.line for digit in digits] == [0] * 8
    assert [digit.box[0] for digit in digits] == pytest.approx([103 + 480 * place for place in range(8)], abs=12)


@pytest.mark.parametrize("columns", [(40, 390), (40, 300, 560)])
@pytest.mark.parametrize("slope", [-0.05, 0.05])
def test_tilted_lines_of_words_far_apart_do_not_mix(columns: tuple[int, ...], slope: float) -> None:
    """A line's last word lies about as high on the page as the first word of the next line, or of the one before."""
    lines = [[x + 45 * place for x in columns for place in range(1 + line % 2)] for line in range(4)]
    boxes = [(x, round(60 + 45 * line + slope * x), 24, 32) for line, places in enumerate(lines) for x in places]

    digits = found(page(*boxes, size=(700, 300)))

    assert [digit.line for digit in digits] == [line for line, places in enumerate(lines) for _ in places]
    assert [digit.box[0] for digit in digits] == pytest.approx([x + 3 for line in lines for x in line], abs=7)


def test_a_bar_that_is_apart_belongs_to_its_digit() -> None:
    """A digit in two strokes is one digit."""
    assert len(found(page((50, 60, 60, 90), (200, 60, 60, 90), bar=True))) == 2


def test_a_digit_in_many_bits_is_one() -> None:
    """The pen skipped: of the four bits, the nearest ones join first, and then the two pairs."""
    image = page((50, 60, 60, 90), (300, 60, 60, 90))
    draw = ImageDraw.Draw(image)
    for top, bottom in ((60, 80), (85, 103), (115, 132), (137, 150)):
        draw.rectangle((200, top, 208, bottom), fill=20)

    assert len(found(image)) == 3


def test_a_digit_that_is_pale_in_two_places_is_one() -> None:
    """The two halves of a 0 are not taken for two 1s."""
    image = page((30, 60, 50, 70))
    draw = ImageDraw.Draw(image)
    draw.ellipse((150, 60, 200, 130), outline=20, width=7)
    for begin in (65, 245):
        draw.arc((150, 60, 200, 130), begin, begin + 50, fill=200, width=7)

    seven, zero = found(image)

    assert seven.box == pytest.approx((33, 57, 36, 74), abs=7)
    assert zero.box == pytest.approx((150, 60, 50, 70), abs=5)


def test_a_digit_in_thin_bits_beside_a_filled_one_is_found() -> None:
    """Each of its bits is less than a twentieth of the filled digit's area."""
    image = page((300, 60, 60, 90))
    draw = ImageDraw.Draw(image)
    draw.rectangle((50, 60, 120, 150), fill=20)
    for top, bottom in ((60, 80), (85, 103), (115, 132), (137, 150)):
        draw.rectangle((200, top, 211, bottom), fill=20)

    assert len(found(image)) == 3


def test_a_small_digit_close_to_another_is_one() -> None:
    """It is not taken for a part of the other: together they are wider than a digit."""
    assert len(found(page((50, 60, 60, 90), (200, 80, 80, 45), (276, 60, 60, 90)))) == 3


def test_a_wide_digit_is_one() -> None:
    """It is twice as wide as high, like the flattest of MNIST's; the network decides whether it is a digit."""
    wide = found(page((50, 60, 60, 90), (200, 80, 160, 55)))[1]

    assert 1.9 < wide.width_by_height < 2.5


def test_specks_and_dashes_are_no_digits() -> None:
    """Dust and a minus between the digits are left out."""
    image = page((50, 60, 60, 90), (400, 60, 60, 90))
    draw = ImageDraw.Draw(image)
    draw.line((220, 105, 270, 105), fill=20, width=6)
    draw.ellipse((300, 20, 306, 26), fill=20)

    assert len(found(image)) == 2


def test_lines_of_paper_that_is_not_flat_are_no_digits() -> None:
    """Such lines bend, so they are not found as rulings; they are as high as digits, but thin."""

    def crumpled(*boxes: Box) -> Image.Image:
        image = page(*boxes)
        for y in (20, 145):
            bent = [(x, y + 30 * (x / 600) ** 3 - 4 * np.sin(x / 90)) for x in range(25, 590, 5)]
            ImageDraw.Draw(image).line(bent, fill=60, width=3)
        return image

    assert len(found(crumpled((100, 70, 40, 60), (300, 70, 40, 60)))) == 2
    with pytest.raises(PictureError, match="There are only lines on the picture"):
        found(crumpled())


def test_a_digit_that_touches_a_line_is_not_left_out_with_it() -> None:
    """The other digits alone would be another number, and nobody would notice."""
    image = page(*((40 + 65 * place, 40, 40, 60) for place in range(8)))
    bent = [(x, 112 + 4 * np.sin(x / 60)) for x in range(25, 590, 5)]
    ImageDraw.Draw(image).line(bent, fill=20, width=3)
    assert len(found(image)) == 8

    ImageDraw.Draw(image).line((190, 90, 190, 120), fill=20, width=5)
    with pytest.raises(TouchingDigits):
        found(image)


def test_a_seven_whose_stem_is_upright_is_no_line() -> None:
    """Nearly all of its columns hold only its bar's ink."""
    image = Image.new("L", (300, 200), 245)
    ImageDraw.Draw(image).line((80, 40, 200, 40, 200, 160), fill=20, width=5, joint="curve")

    assert len(found(image)) == 1


def test_a_dash_close_to_a_digit_is_no_part_of_it() -> None:
    """It lies between two digits, hardly apart from them, at half their height."""
    image = page((50, 60, 60, 90), (168, 60, 60, 90))
    ImageDraw.Draw(image).line((114, 105, 154, 105), fill=20, width=7)

    assert [digit.box[2] for digit in found(image)] == pytest.approx([47, 47], abs=7)


def test_a_colon_is_no_digit() -> None:
    """Its dots are joined, but together they are only half as high as a digit."""
    image = page((50, 60, 60, 90), (300, 60, 60, 90))
    for top in (85, 119):
        ImageDraw.Draw(image).ellipse((200, top, 212, top + 12), fill=20)

    assert len(found(image)) == 2


@pytest.mark.parametrize("place", [0, 1])
def test_a_small_digit_beside_a_large_one_is_a_digit(place: int) -> None:
    """A narrow digit half as high, such as a small 1, is no part of the large one."""
    image = page((100, 60, 60, 90))
    left = (86, 165)[place]
    ImageDraw.Draw(image).line((left, 105, left, 150), fill=20, width=7)

    assert len(found(image)) == 2


@pytest.mark.parametrize("boxes", [((200, 80, 60, 90),), ((160, 80, 60, 90), (260, 80, 60, 90))])
def test_a_circle_around_digits_is_none(boxes: tuple[Box, ...]) -> None:
    """It marks one digit or a whole number; there may be several circles, and digits beside them."""
    image = page((430, 80, 60, 90), (30, 80, 50, 80), *boxes, size=(600, 250))
    draw = ImageDraw.Draw(image)
    draw.ellipse((120, 40, 360, 210), outline=20, width=6)
    draw.ellipse((400, 50, 520, 200), outline=20, width=6)

    digits = found(image)

    assert [digit.box[3] for digit in digits] == pytest.approx([84, *[94] * (1 + len(boxes))], abs=7)


def test_a_zero_with_a_slash_that_stands_apart_is_one_digit() -> None:
    """The slash is as high as a digit, but part of the zero around it."""
    image = page((50, 60, 60, 90))
    draw = ImageDraw.Draw(image)
    draw.ellipse((200, 50, 270, 160), outline=20, width=7)
    draw.line((224, 130, 246, 80), fill=20, width=7)

    assert [digit.box[3] for digit in found(image)] == pytest.approx([94, 110], abs=7)


def test_boxes_are_those_of_the_picture_as_sent() -> None:
    """On a picture of 1800 x 600 pixels that EXIF turns, boxes are given in its own pixels, upright."""
    upright = page((50, 60, 60, 90), (200, 60, 60, 90)).resize((1800, 600))
    exif = Image.Exif()
    exif[0x0112] = 6

    first, second = found(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)

    assert first.box == pytest.approx((167, 170, 140, 287), abs=12)
    assert second.box[0] - first.box[0] == pytest.approx(450, abs=6)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("pillow_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_boxes_are_upright_in_every_format(pillow_format: str, orientation: int) -> None:
    """Boxes are those of the upright picture, whether Pillow or the service turns it."""
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}.get(orientation)
    upright = page((150, 60, 60, 90)).resize((1800, 600))
    exif = Image.Exif()
    exif[0x0112] = orientation

    (digit,) = found(upright if turn is None else upright.transpose(turn), exif=exif, pillow_format=pillow_format)

    assert digit.box == pytest.approx((467, 170, 140, 287), abs=12)


def test_a_picture_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow decodes a PNG when asked for its EXIF, which may come last: this must not decode it a second time."""
    decoded = []
    prepare = PngImageFile.load_prepare

    def counted(image: PngImageFile) -> None:
        decoded.append(image)
        prepare(image)

    monkeypatch.setattr(PngImageFile, "load_prepare", counted)

    assert len(found(page((150, 60, 60, 90)))) == 1
    assert len(decoded) == 1


def test_digits_that_touch_are_refused() -> None:
    """Four sevens joined by a stroke are no digit."""
    image = page(*[(50 + 60 * index, 60, 60, 90) for index in range(4)])
    ImageDraw.Draw(image).line((50, 100, 300, 110), fill=20, width=7)

    with pytest.raises(TouchingDigits, match="Digit 1 looks like two"):
        found(image)


def test_ink_is_kept_of_what_may_be_two_digits() -> None:
    """The kept ink is the digit's alone, cropped to its box; a narrow digit cannot be two, and keeps none."""
    wide, narrow = found(page((50, 40, 90, 90), (300, 40, 40, 120)))

    assert narrow.ink is None
    assert wide.ink is not None
    assert wide.ink.max() == 255
    assert wide.ink.shape[1] / wide.ink.shape[0] == pytest.approx(wide.width_by_height, rel=0.05)
    assert np.flatnonzero((wide.ink > 127).any(axis=0)).tolist() == list(range(wide.ink.shape[1]))


def test_the_ink_that_is_kept_is_bounded() -> None:
    """Nested strokes, each as wide as the picture, keep no more ink in total than one picture's size."""
    image = Image.new("L", (500, 500), 245)
    for inset in range(0, 160, 14):  # open at one side, so that none goes around the others
        ImageDraw.Draw(image).line(
            [(inset + 20, 480), (inset + 20, inset + 20), (480, inset + 20)], fill=20, width=5, joint="curve"
        )

    kept = [digit.ink.nbytes for digit in found(image) if digit.ink is not None]
    assert kept
    assert sum(kept) <= 512 * 512


def test_more_digits_than_may_be_read() -> None:
    """The error states the number of digits found, and the limit."""
    image = page((50, 60, 60, 90), (200, 60, 60, 90), (350, 60, 60, 90))

    assert len(found(image, max_digits=3)) == 3
    with pytest.raises(TooManyDigits, match="shows 3 digits; at most 2"):
        found(image, max_digits=2)


@pytest.mark.parametrize("level", [0, 130, 255])
def test_a_blank_page_is_refused(level: int) -> None:
    """There is nothing to read on it."""
    with pytest.raises(PictureError, match="blank"):
        found(Image.new("L", (300, 200), level))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([(20, 20), (28, 28), (64, 64), (200, 130), (320, 240), (700, 500)]),
    spread=st.floats(1, 80),
    quality=st.sampled_from([None, 20, 30, 50, 75, 90]),
)
@example(seed=1, size=(320, 240), spread=8.0, quality=50)
@example(seed=1, size=(320, 240), spread=15.0, quality=20)
def test_noise_is_refused(seed: int, size: tuple[int, int], spread: float, quality: int | None) -> None:
    """Noise without strokes shows no digit, faint or strong, small or large, also where JPEG has smoothed it."""
    noise = np.random.default_rng(seed).normal(128, spread, size[::-1])
    page = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))

    with pytest.raises(PictureError, match=r"noise|stands out|blank") as raised:
        found(page) if quality is None else found(page, pillow_format="JPEG", quality=quality)
    assert raised.type is PictureError  # neither too many digits nor digits that touch


@pytest.mark.parametrize("blur", [1, 2])
def test_noise_out_of_focus_is_refused(blur: int) -> None:
    """Noise that is smooth without any JPEG is refused as well."""
    noise = np.random.default_rng(blur).normal(128, 60, (240, 320))
    page = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))

    with pytest.raises(PictureError, match=r"noise|stands out") as raised:
        found(page)
    assert raised.type is PictureError


@pytest.mark.parametrize(("ground", "ink"), [(180, 90), (190, 60), (200, 120)])
def test_digits_on_tiles_of_another_grey_are_no_noise(ground: int, ink: int) -> None:
    """Light tiles stand out in the opposite direction to the ink, in as many pieces; noise has more pieces."""
    image = Image.new("L", (600, 300), ground)
    draw = ImageDraw.Draw(image)
    for place in range(8):
        left, top = 25 + 145 * (place % 4), 20 + 140 * (place // 4)
        draw.rectangle((left, top, left + 70, top + 110), fill=255)
        draw.line((left + 35, top + 25, left + 35, top + 85), fill=ink, width=8)

    assert len(found(image)) == 8


def test_empty_ruled_paper_is_refused() -> None:
    """Lines alone are neither digits nor digits that touch."""
    paper = Image.new("L", (600, 400), 245)
    for top in range(25, 400, 50):
        ImageDraw.Draw(paper).line((0, top, 600, top), fill=150, width=2)
    with pytest.raises(PictureError, match="only lines") as raised:
        found(paper)
    assert raised.type is PictureError


def test_too_many_pixels() -> None:
    """A picture of several digits has the same limit as any other."""
    with pytest.raises(PictureTooLarge, match="at most 4000000"):
        found(Image.new("L", (2001, 2000)))
