from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from service.imaging import (
    MEDIA_TYPES,
    PictureError,
)
from tests.service.drawn_pictures import (
    DIGITS,
    FOUR,
    PILLOW_FORMATS,
    SEVEN,
    cleaned,
    difference,
    drawn,
    encoded,
    inverted,
)


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
        """Scanners and cameras store 10 or 12 bits unscaled in 16: such samples are scaled by the range they use."""
        deep = Image.fromarray(np.asarray(inverted(drawn()), dtype=np.uint16) << (bits - 8))
        assert difference(cleaned(encoded(deep, pillow_format)), cleaned(drawn())) < 0.02

    @pytest.mark.parametrize("level", [0, 40, 700])
    def test_sixteen_bits_in_the_dark_are_no_digit(self, level: int) -> None:
        """A camera's black is blank or noise, whatever its range."""
        noise = np.random.default_rng(7).normal(level, level / 40, (200, 200))
        with pytest.raises(PictureError, match=r"blank|stands out|noise"):
            cleaned(Image.fromarray(np.clip(noise, 0, 65535).astype(np.uint16)))

    def test_floats_of_any_size(self) -> None:
        """Samples as far apart as float32 allows are scaled like others, though their difference exceeds float32."""
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
        """In most modes pixels are left out; in every mode the row is that of the small picture."""
        big = inverted(drawn(canvas=(3600, 1000), box=(1400, 150, 700), pen=60))
        small = big.resize((360, 100), Image.Resampling.BOX)
        sent = Image.fromarray(257 * np.asarray(big, np.uint16)) if mode == "I;16" else big.convert(mode)
        assert sent.mode == mode
        assert difference(cleaned(encoded(sent)), cleaned(small)) < 0.15

    def test_a_very_large_scan_in_black_and_white_keeps_its_fine_lines(self) -> None:
        """It is averaged like a grey one: no pixel of a narrow line is left out."""
        scan = inverted(drawn(canvas=(3600, 1000), box=(1400, 150, 700), pen=4))
        assert difference(cleaned(scan.convert("1")), cleaned(scan)) < 1e-6

    @pytest.mark.parametrize("dots", [1, 2, 4])
    def test_a_very_large_picture_of_dots(self, dots: int) -> None:
        """Dithered grey stays grey where pixels are left out: ink that is darker or lighter is read."""
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
        """Strokes of any colour on a transparent ground equal strokes on paper."""
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
        """A round or torn sheet with a digit on it is paper, though it covers half of its canvas or far less."""
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
        """Both colours are ink, though only one is dark, and though a thick pen fills half of the picture."""
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
