"""Judges a picture's file: which format it has, and whether it may be decoded at all.

Looks at its header and its segments, chunks or tags before any pixel is decoded: a small file must not take long.
"""

from __future__ import annotations

import re
import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageFile, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import STRIPOFFSETS, TILEOFFSETS, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

if TYPE_CHECKING:
    from collections.abc import Iterator

MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff")

# A progressive JPEG has 6 to 14 scans; each takes 26 ms for 25 million pixels.
_MOST_SCANS = 50
# Segments hold up to 64 kB each, so files need far fewer. Each takes 3 us of Python here and in Pillow.
_MOST_SEGMENTS = 10_000
# Programs write none, or one to make a length even. Pillow reads padding byte by byte: a second for a megabyte.
_MOST_PADDING_BYTES = 10_000
# The marker of a JPEG's segment, or of the picture's end. Not a zero or a restart marker, which follow 0xff among
# compressed pixels, nor the start of a picture, which has no length.
_SEGMENT = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
_SEARCHED_BYTES = 64 * 1024  # at once: 1 to 2 ms for the slowest bytes
_SCAN, _END = b"\xda", b"\xd9"
# Segments of up to 64 kB that Pillow parses in Python: tables, frames, Photoshop's resources, Exif. A camera writes
# eight. Exif over 64 kB takes several; the time that Pillow takes to join them grows with the square of their number.
_MOST_PARSED_SEGMENTS = 32
_PARSED = frozenset(bytes([marker]) for marker in (*range(0xC0, 0xD0), 0xDB, 0xDE, 0xED)) - {b"\xc4", b"\xc8", b"\xcc"}
_EXIF = b"Exif\0\0"
# Reserved: no program writes them. Pillow does not skip the contents of such segments.
_RESERVED = frozenset(bytes([marker]) for marker in (0xC8, *range(0xF0, 0xFE)))
# Programs write chunks of 8 kB or more: the largest body allowed by default has 2,000 of these. Each takes 3 us of
# Python in Pillow, and an empty one has 12 bytes: a quarter of a second for a megabyte.
_MOST_CHUNKS = 10_000
_CHUNK = struct.Struct(">I4s")
# Compressed chunks: a profile and some texts. Programs write one to ten; each may unpack to a megabyte, in 3 ms.
_MOST_PACKED_CHUNKS = 100
_PACKED = (b"iCCP", b"zTXt", b"iTXt")
_PNG_SIGNATURE, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
# A large page has 10,000 if each row is a strip; each strip takes 7 us of Python.
_MOST_STRIPS = 25_000
# A TIFF has some dozen tags, with two numbers for each strip, a palette, and bytes and text, which cost nothing. Pillow
# makes an object of each number, which takes 1 to 4 us; each tag takes 3 us.
_MOST_TAGS, _MOST_TAG_VALUES = 10_000, 100_000
_UNPARSED_TYPES = (1, 2, 7)  # bytes, text, undefined
# For a run-length encoded BMP, which Pillow decodes in Python: 0.2 s for a million pixels, 0.4 s for a megabyte.
_MOST_RUN_PIXELS, _MOST_RUN_BYTES = 3_000_000, 1_000_000
_RUN_LENGTHS = (BmpImageFile.COMPRESSIONS["RLE8"], BmpImageFile.COMPRESSIONS["RLE4"])
# Reads before the pixels of a GIF; each of its blocks has at most 255 bytes and takes two reads.
_MOST_GIF_READS = 100_000

# What Pillow's decoders raise on malformed bytes, and on features that Pillow has not implemented.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class PictureError(Exception):
    """A picture that cannot become a digit image; its text tells the caller what to do."""


class PictureTooLarge(PictureError):
    """A picture with more pixels than allowed, judged from its header."""


class _Bmp(BmpImageFile):
    """A BMP that must be small if it is run-length encoded."""

    def _open(self) -> None:
        super()._open()
        file_bytes = len(self.fp.getvalue()) if isinstance(self.fp, BytesIO) else 0
        too_much = self.width * self.height > _MOST_RUN_PIXELS or file_bytes > _MOST_RUN_BYTES
        if too_much and self.info["compression"] in _RUN_LENGTHS:
            raise PictureError(
                f"A run-length encoded BMP may have at most {_MOST_RUN_PIXELS} pixels and {_MOST_RUN_BYTES} bytes. "
                "Save it again as PNG."
            )


class _FewReads(BytesIO):
    """A GIF's bytes, with a limit on the number of reads: Pillow may read them one by one."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read."""
        self.reads += 1
        if self.reads > _MOST_GIF_READS:
            raise PictureError("The GIF has too much before its pixels. Save it again as PNG.")
        return super().read(size)


class _Tiff(TiffImageFile):
    """A TIFF that must not have very many strips: each takes as long as a row of pixels."""

    def load_end(self) -> None:
        """Turn the picture upright; called by Pillow, whose own method also parses Exif that is not needed."""
        ImageOps.exif_transpose(self, in_place=True)

    def _setup(self) -> None:
        strips = max(_count(self.tag_v2.get(tag)) for tag in (STRIPOFFSETS, TILEOFFSETS))
        if strips > _MOST_STRIPS:
            raise PictureError(
                f"The TIFF is cut into {strips} strips; at most {_MOST_STRIPS} are allowed. Save it again as "
                "PNG or JPEG."
            )
        super()._setup()


def _count(value: object) -> int:
    """How many values a TIFF's tag has: Pillow gives a single value without a tuple."""
    return len(value) if isinstance(value, tuple) else 1


# How a file begins, and Pillow's class for it. `Image.open` would do the same, but it warns of a large picture, by a
# global limit, before `max_image_pixels` can be checked.
_FORMATS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (_PNG_SIGNATURE, PngImageFile),
    (b"\xff\xd8\xff", JpegImageFile),
    (b"RIFF", WebPImageFile),
    (b"BM", _Bmp),
    (b"GIF8", GifImageFile),
    (b"II", _Tiff),
    (b"MM", _Tiff),
)


def open_picture(picture: bytes) -> ImageFile.ImageFile:
    """Read the header of a picture, with the class for its first bytes; the caller closes it.

    Raises:
        PictureError: Decoding it would take too long for its size.
        DECODER_ERRORS: It is none of the accepted formats, or damaged.
    """
    for signature, image_class in _FORMATS:
        if picture.startswith(signature):
            if image_class is JpegImageFile:
                _check_segments(picture)
            if image_class is PngImageFile:
                _check_chunks(picture)
            if image_class is _Tiff:
                _check_tags(picture)
            return image_class((_FewReads if image_class is GifImageFile else BytesIO)(picture))
    raise ValueError("not one of the accepted formats")


def check_size(image: Image.Image, max_image_pixels: int) -> None:
    """Refuse a picture whose header announces too many pixels, before any is decoded.

    Raises:
        PictureTooLarge: The header announces more than `max_image_pixels`.
    """
    if image.width * image.height > max_image_pixels:
        raise PictureTooLarge(
            f"The picture has {image.width} x {image.height} pixels; at most {max_image_pixels} "
            "are allowed. Scale it down and send it again."
        )


def _check_segments(jpeg: bytes) -> None:
    """Refuse a JPEG that takes long for its size: scans of 42 bytes, each over all pixels, empty segments, padding."""
    scans = padding_bytes = parsed = 0
    before = b""
    for place, (marker, passed_bytes, content_at) in enumerate(_segments(jpeg)):
        scans += marker == _SCAN
        parsed += marker in _PARSED or jpeg.startswith(_EXIF, content_at)
        padding_bytes += passed_bytes if before != _SCAN else 0
        before = marker
        if place == _MOST_SEGMENTS:
            raise PictureError(f"The JPEG has more than {_MOST_SEGMENTS} segments. Save it again as an ordinary JPEG.")
        if marker in _RESERVED and not scans:
            raise ValueError("a segment that no JPEG has")
        if parsed > _MOST_PARSED_SEGMENTS:
            raise PictureError("The JPEG has too many tables or notes. Save it again as an ordinary JPEG.")
    if not scans:  # Pillow would look for scans after the end as well
        raise ValueError("no scan before the end")
    if padding_bytes > _MOST_PADDING_BYTES:
        raise PictureError("The JPEG has too much between its segments. Save it again as an ordinary JPEG.")
    if scans > _MOST_SCANS:
        raise PictureError(
            f"The JPEG goes over its pixels {scans} times; at most {_MOST_SCANS} are allowed. Save it again as "
            "an ordinary JPEG."
        )


def _segments(jpeg: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each segment that libjpeg finds: its marker, the bytes skipped before it, and where its content begins.

    Skips the content itself, and all that follows the picture's end: a phone puts a thumbnail into the one and a film
    into the other. If there is no end, the bytes after the last segment come last, with an empty marker.
    """
    at = 2
    while segment := _next_segment(jpeg, at):
        if segment[1] == _END:
            return
        yield segment[1], segment.start() - at, segment.end() + 2
        length = int.from_bytes(jpeg[segment.end() : segment.end() + 2], "big")
        at = segment.end() + max(length, 2)  # libjpeg takes a length below 2, too small for its own two bytes, as 2
    yield b"", len(jpeg) - at, len(jpeg)


def _next_segment(jpeg: bytes, at: int) -> re.Match[bytes] | None:
    """Find the next segment, piece by piece: one search through a large scan would block all other threads."""
    pieces = range(at, len(jpeg), _SEARCHED_BYTES)
    found = (_SEGMENT.search(jpeg, start, start + _SEARCHED_BYTES + 1) for start in pieces)
    return next(filter(None, found), None)


def _check_chunks(png: bytes) -> None:
    """Refuse a PNG of very many chunks: even an empty one takes as long as a full one."""
    at = len(_PNG_SIGNATURE)
    packed = 0
    for _ in range(_MOST_CHUNKS):
        if at + _CHUNK.size > len(png):
            return
        length, name = _CHUNK.unpack_from(png, at)
        if name == _PNG_END:  # nothing after it is read
            return
        packed += name in _PACKED
        if packed > _MOST_PACKED_CHUNKS:
            raise PictureError(f"The PNG has more than {_MOST_PACKED_CHUNKS} texts. Save it again as an ordinary PNG.")
        at += _CHUNK.size + length + 4  # the checksum
    raise PictureError(f"The PNG has more than {_MOST_CHUNKS} chunks. Save it again as an ordinary PNG.")


def _check_tags(tiff: bytes) -> None:
    """Refuse a TIFF of very many tags, or with very many numbers in its tags."""
    order = ">" if tiff.startswith(b"MM") else "<"
    is_big = tiff[2:3] == b"\x2b"  # BigTIFF, recognised as Pillow does
    entry = struct.Struct(f"{order}HHQ8x" if is_big else f"{order}HHI4x")
    try:
        (at,) = struct.unpack_from(f"{order}Q" if is_big else f"{order}I", tiff, 8 if is_big else 4)
        (tags,) = struct.unpack_from(f"{order}Q" if is_big else f"{order}H", tiff, at)
    except (struct.error, OverflowError):
        return  # Pillow reports what is wrong with it
    at += 8 if is_big else 2
    there = min(tags, _MOST_TAGS, max(0, len(tiff) - at) // entry.size)
    entries = entry.iter_unpack(tiff[at : at + there * entry.size])
    values = sum(count for _, kind, count in entries if kind not in _UNPARSED_TYPES)
    if tags > _MOST_TAGS or values > _MOST_TAG_VALUES:
        raise PictureError(
            f"The TIFF has over {_MOST_TAGS} tags, or {_MOST_TAG_VALUES} numbers in them. Save it again as PNG or JPEG."
        )
