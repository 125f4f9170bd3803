from __future__ import annotations

import contextlib
import itertools
import struct
import time
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from service.imaging import (
    PictureError,
    PictureTooLarge,
    pixels_from_picture,
)
from tests.service.drawn_pictures import (
    PILLOW_FORMATS,
    cleaned,
    difference,
    drawn,
    encoded,
    inverted,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def bmp_in_runs(page: NDArray[np.uint8]) -> bytes:
    """A page of few colours, uint8 (height, width), as a run-length encoded BMP."""
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
    """A TIFF one pixel wide, each row a strip of its own; all strips share the same byte."""
    offsets, counts = 9, 9 + 4 * count
    entries = [
        (256, 1, 1),  # width
        (257, 1, count),  # height
        (258, 1, 8),  # bits per sample
        (259, 1, 1),  # not compressed
        (262, 1, 1),  # 0 is black
        (273, count, offsets),
        (278, 1, 1),  # rows per strip
        (279, count, counts),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, 4, *rest) for tag, *rest in entries
    )
    body = b"\0" + struct.pack(f"<{count}I", *[8] * count) + struct.pack(f"<{count}I", *[1] * count) + directory
    return b"II*\0" + struct.pack("<I", 9 + 8 * count) + body + bytes(4)


class TestFiles:
    """A damaged or too large file, or one crafted to take long, is refused quickly."""

    def test_too_many_pixels(self) -> None:
        """A picture with as many pixels as the limit is read; with one more it is refused."""
        picture = encoded(drawn(canvas=(200, 200)))
        pixels_from_picture(picture, 40_000)
        with pytest.raises(PictureTooLarge, match=r"200 x 200 pixels; at most 39999"):
            pixels_from_picture(picture, 39_999)

    @pytest.mark.parametrize("side", [3000, 10_000, 30_000])
    def test_a_bomb_is_judged_by_its_header(self, side: int) -> None:
        """A PNG that announces a huge picture is refused by its header: the file holds no pixels to decode."""
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
        """Empty comments take time as well: a JPEG with more segments than any ordinary one is refused."""
        whole = encoded(inverted(drawn()), "JPEG")
        assert cleaned(whole[:2] + 9000 * b"\xff\xfe\0\2" + whole[2:]).shape == (784,)
        with pytest.raises(PictureError, match="more than 10000 segments"):
            cleaned(whole[:2] + 4_000_000 * b"\xff\xfe\0\2" + whole[2:])

    @pytest.mark.parametrize("where", [2, -2], ids=["first", "last"])
    def test_a_jpeg_of_padding(self, where: int) -> None:
        """Pillow reads padding byte by byte, a second for each megabyte: only a little is allowed."""
        whole = encoded(Image.new("L", (80, 80), 200), "JPEG")
        if where < 0:  # after the picture's scan, but outside any scan
            whole = whole[:-2] + b"\xff\xfe\0\2" + whole[-2:]
        with pytest.raises(PictureError, match="too much between its segments"):
            cleaned(whole[:where] + 1024**2 * b"\xff" + b"\xff\xfe\0\2" + whole[where:])

    @pytest.mark.parametrize(
        "between", [b"\xff", b"no marker", b"\xff\x00", b"\xff\xd3", b"\xff\xfe\0\0", b"\xff\xfe\0\4\xff\xd9"]
    )
    def test_no_scan_is_hidden(self, between: bytes) -> None:
        """Scans behind padding, comments or anything else that libjpeg skips are still counted."""
        whole = encoded(Image.new("L", (80, 80), 200), "JPEG", progressive=True)
        last = between + whole[whole.rindex(b"\xff\xda") : -2]
        with pytest.raises(PictureError, match=r"goes over its pixels 10\d times"):
            cleaned(whole[:-2] + 100 * last + whole[-2:])

    def test_a_film_behind_a_jpeg_holds_no_scans(self) -> None:
        """Eight megabytes after the picture's end, where phones put a film, are ignored, whatever they contain."""
        page = inverted(drawn())
        film = np.random.default_rng(7).bytes(8 * 1024**2)
        assert film.count(b"\xff\xda") > 50
        assert np.array_equal(cleaned(encoded(page, "JPEG") + film), cleaned(encoded(page, "JPEG")))

    def test_a_thumbnail_in_a_jpeg_holds_no_scans(self) -> None:
        """A JPEG inside EXIF, with its own end and many scans, adds no scans and does not end the picture."""
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
        """JPEGs as programs write them are read, in colour and with the most scans that programs use."""
        page = inverted(drawn()).convert("RGB")
        assert difference(cleaned(encoded(page, "JPEG", progressive=progressive)), cleaned(page)) < 0.2

    @pytest.mark.parametrize("where", [33, -12], ids=["first", "last"])
    @pytest.mark.parametrize("name", [b"tEXt", b"IDAT", b"prVt"])
    def test_a_png_of_very_many_chunks(self, name: bytes, where: int) -> None:
        """An empty chunk takes as long as a full one: a PNG with more chunks than any ordinary one is refused."""
        whole, empty = encoded(drawn()), bytes(4) + name + struct.pack(">I", zlib.crc32(name))
        with pytest.raises(PictureError, match="more than 10000 chunks"):
            cleaned(whole[:where] + 10_000 * empty + whole[where:])

    def test_chunks_behind_the_end_of_a_png_are_not_counted(self) -> None:
        """A PNG with as many chunks as an ordinary one is read; anything after its end is ignored."""
        whole, empty = encoded(drawn()), bytes(4) + b"prVt" + struct.pack(">I", zlib.crc32(b"prVt"))
        chunky = whole[:33] + 9000 * empty + whole[33:] + 1_000_000 * empty
        assert np.array_equal(cleaned(chunky), cleaned(whole))

    def test_a_tiff_of_very_many_strips(self) -> None:
        """A strip, however small, takes as long as a row of pixels: a TIFF may have no more than a large page has."""
        with pytest.raises(PictureError, match="cut into 40000 strips"):
            cleaned(tiff_of_strips(40_000))

    @pytest.mark.parametrize(("tags", "values"), [(60_000, 1), (0, 150_000)])
    def test_a_tiff_of_very_many_tags(self, tags: int, values: int) -> None:
        """Pillow parses each tag and makes an object of each of its numbers: the number of both is limited."""
        whole = tiff_of_strips(1)
        (at,) = struct.unpack_from("<I", whole, 4)
        (count,) = struct.unpack_from("<H", whole, at)
        entries = whole[at + 2 : at + 2 + 12 * count]
        more = [struct.pack("<HHII", 1000 + number, 3, 1, 1) for number in range(tags)]
        resolution = struct.pack("<HHII", 282, 5, values, 8)
        directory = struct.pack("<H", count + tags + 1) + entries + resolution + b"".join(more) + bytes(4)
        with pytest.raises(PictureError, match="over 10000 tags, or 100000 numbers in them"):
            cleaned(whole[:4] + struct.pack("<I", len(whole)) + whole[8:] + directory)

    @pytest.mark.parametrize(
        ("marker", "begin"),
        [(b"\xe1", b"Exif\0\0"), (b"\xed", b"Photoshop 3.0\0"), (b"\xdb", b"\1" * 65), (b"\xc0", b"\x08\0\1\0\1\0")],
        ids=["Exif", "Photoshop", "tables", "frames"],
    )
    @pytest.mark.parametrize("hidden", [False, True])
    def test_a_jpeg_of_very_many_notes(self, marker: bytes, begin: bytes, *, hidden: bool) -> None:
        """Pillow parses some segments, Exif in time that is quadratic in their number: only a few are allowed."""
        whole = encoded(inverted(drawn()), "JPEG")
        segment = b"\xff" + marker + struct.pack(">H", len(begin) + 2) + begin
        notes = segment * 33
        if hidden:  # libjpeg skips the contents of such a segment, Pillow does not
            notes = b"\xff\xf0" + struct.pack(">H", len(notes) + 2) + notes
        with pytest.raises(PictureError, match="does not decode" if hidden else "too many tables or notes"):
            cleaned(whole[:2] + notes + whole[2:])

    def test_a_jpeg_of_notes_behind_an_end(self) -> None:
        """Pillow reads on after an end that comes before any picture; the service refuses such a file at once."""
        started = time.process_time()
        with pytest.raises(PictureError, match="does not decode"):
            cleaned(
                b"\xff\xd8\xff\xd9" + b"\xff\xe1\x06\x48Exif\0\0" + 9000 * (b"\xff\xe1\x06\x48Exif\0\0" + bytes(1600))
            )
        assert time.process_time() - started < 1

    def test_a_jpeg_with_a_few_notes(self) -> None:
        """Exif over 64 kB, which comes in several segments, is read, and its orientation applied."""
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
        """A text of a kilobyte may unpack to a megabyte: a PNG with more texts than any ordinary one is refused."""
        whole = encoded(drawn())
        chunk = bytes(4) + name + struct.pack(">I", zlib.crc32(name))
        with pytest.raises(PictureError, match="more than 100 texts"):
            cleaned(whole[:33] + 101 * chunk + whole[33:])

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    def test_exif_of_megabytes_is_not_taken_apart(self) -> None:
        """An orientation of a million fractions counts as none, and costs no time."""
        count = 1_000_000
        exif = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x112, 5, count, 26) + bytes(4) + b"\1" * (8 * count)
        chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
        whole = encoded(drawn())
        started = time.process_time()
        assert np.array_equal(cleaned(whole[:33] + chunk + whole[33:]), cleaned(whole))
        assert time.process_time() - started < 1

    @pytest.mark.parametrize("hidden", [b"\1" * 200_000, b"!\xfe" + b"\1a" * 200_000 + b"\0", b"!\xfe\0" * 200_000])
    def test_a_gif_of_very_many_blocks(self, hidden: bytes) -> None:
        """Pillow reads the part before a GIF's pixels in bytes or small blocks: the number of reads is limited."""
        whole = encoded(drawn(), "GIF")
        assert whole[10] & 128
        at = 13 + (3 << (whole[10] & 7) + 1)
        with pytest.raises(PictureError, match="too much before its pixels"):
            cleaned(whole[:at] + hidden + whole[at:])
        comment = b"!\xfe" + (b"\xff" + b"a" * 255) * 4000 + b"\0"  # a megabyte
        assert np.array_equal(cleaned(whole[:at] + comment + whole[at:]), cleaned(whole))

    @pytest.mark.parametrize(("side", "more"), [(1800, b""), (28, b"\0\0" * 600_000)])
    def test_a_bmp_of_very_long_runs(self, side: int, more: bytes) -> None:
        """Pillow decodes run lengths in Python: such a BMP may be as large as a screen, others as any picture."""
        page = np.full((side, side), 255, np.uint8)
        page[side // 4 : 3 * side // 4, side * 3 // 7 : side * 4 // 7] = 0
        with pytest.raises(PictureError, match="A run-length encoded BMP may have at most"):
            cleaned(bmp_in_runs(page) + more)

    @pytest.mark.parametrize("size", [(28, 28), (1200, 1600)])
    def test_a_bmp_in_run_lengths(self, size: tuple[int, int]) -> None:
        """A run-length encoded BMP, as a paint program writes it, gives the same row as a PNG."""
        page = np.full(size, 255, np.uint8)
        page[size[0] // 4 : 3 * size[0] // 4, size[1] * 3 // 7 : size[1] * 4 // 7] = 0
        assert np.array_equal(cleaned(bmp_in_runs(page)), cleaned(encoded(Image.fromarray(page))))

    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @settings(max_examples=60)
    @given(
        start=st.sampled_from(
            [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"BM", b"GIF89a", b"II*\0", b"MM\0*"]
        ),
        rest=st.binary(max_size=300),
    )
    @example(b"\xff\xd8\xff", b"\xf0")
    def test_random_bytes(self, start: bytes, rest: bytes) -> None:
        """Bytes that are no picture raise `PictureError`, whatever they begin with."""
        with pytest.raises(PictureError, match=r"decode|at most|blank|Nothing|noise"):
            cleaned(start + rest)

    @pytest.mark.parametrize("pillow_format", PILLOW_FORMATS)
    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @settings(max_examples=8)
    @given(share=st.floats(0, 0.7))
    def test_truncated_files(self, pillow_format: str, share: float) -> None:
        """A file whose end is missing is refused, never half read."""
        whole = encoded(inverted(drawn()).convert("RGB"), pillow_format)
        with pytest.raises(PictureError, match="truncated"):
            cleaned(whole[: int(share * len(whole))])

    @pytest.mark.parametrize("pillow_format", PILLOW_FORMATS)
    @pytest.mark.filterwarnings("ignore::UserWarning:PIL")
    @settings(max_examples=10)
    @given(flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1))
    def test_damaged_files(self, pillow_format: str, flips: list[tuple[float, int]]) -> None:
        """A file with changed bytes gives a row or a `PictureError`, nothing else."""
        data = bytearray(encoded(inverted(drawn()).convert("RGB"), pillow_format))
        for place, change in flips:
            data[int(place * len(data))] ^= change
        with contextlib.suppress(PictureError):
            assert cleaned(bytes(data)).shape == (784,)
