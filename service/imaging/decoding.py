"""Decodes a picture into a page: greyscale, of bounded size, upright.

`picture_files` decides which files are accepted; `digit` and `lines` find the ink on the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageFile

from service.imaging.form import grown_by
from service.imaging.picture_files import DECODER_ERRORS, PictureError, check_size, open_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.form import Grey

# Larger pictures are reduced, their longest side to at least this. A digit that fills a twentieth of the picture still
# has 25 pixels, more than the 20 that the network sees.
PAGE_SIDE = 512

# Averaging all of 12 megapixels takes 11 ms and more in colour, 4 ms in grey; in colour, a ninth of them is enough. An
# odd step meets light and dark dots of a dithered grey or a screen equally often, and a line of 3 pixels at least once.
_STEP = 3

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SIDEWAYS = (5, 6, 7, 8)

# Where Pillow finds Exif. It would make an object for every eight bytes, even of megabytes; the orientation is at the
# front, and in most JPEGs all Exif has at most 64 kB.
_EXIF_NAMES, _MOST_EXIF_LETTERS = ("exif", "Raw profile type exif"), 131_072

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
# The variance of the luminance by that of all colours: a third in grey pictures. Below this share, ink and paper differ
# in colour rather than in lightness.
_LEAST_LUMINANCE_SHARE = 0.08
_FEW_SIDE = 64  # of the square of samples whose colours are analysed


def _smooth(side: int) -> NDArray[np.float32]:
    """An orthonormal basis of the quadratic surfaces over side x side samples, in six columns."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].reshape(2, -1)
    terms = np.stack([np.ones_like(x), x, x * x, y, y * y, x * y], axis=1)
    return np.linalg.qr(terms)[0].astype(np.float32)


_SMOOTH = _smooth(_FEW_SIDE)
_LEAST_OF_16_BITS = 16383.0  # the highest level of 14 bits, the most that cameras have
_OPAQUE = 0.5
_STROKE_CONTRAST = 64.0  # grey levels: less is one flat colour with soft edges
_EDGE = 3  # pixels: the width of the strip along transparent areas
_ALONG_EDGE = 0.5  # by the share of strokes further inside; in ink of two colours, both shares are about the same
_MIDDLE_GREY = 127.5


def page_from_picture(picture: bytes, max_image_pixels: int) -> Image.Image:
    """Decode one picture, upright, first frame only.

    Returns:
        The page: Pillow mode L, or F where 8 bits would lose something; 0 is black, 255 is
        white; the longest side below 2 * `PAGE_SIDE`.

    Raises:
        PictureTooLarge: its header announces more than `max_image_pixels`.
        PictureError: it does not decode.
    """
    return page_and_size(picture, max_image_pixels)[0]


def page_and_size(picture: bytes, max_image_pixels: int) -> tuple[Image.Image, tuple[int, int]]:
    """Decode one picture as `page_from_picture` does; also give its width and height as sent, but upright.

    Raises:
        PictureTooLarge: its header announces more than `max_image_pixels`.
        PictureError: it does not decode.
    """
    try:
        with open_picture(picture) as image:
            check_size(image, max_image_pixels)
            size = image.size  # of a JPEG, decoding changes it
            page = _decoded(image)
            # Only now: Pillow decodes a PNG to look for EXIF. A TIFF was turned on loading; its size was upright.
            orientation = _orientation(image)
            turn = _TURNS.get(orientation)
            page = page if turn is None else page.transpose(turn)
            return _grey(page), (size[::-1] if orientation in _SIDEWAYS else size)
    except DECODER_ERRORS as error:
        raise PictureError(
            "The picture does not decode: it is damaged, truncated, or not a PNG, JPEG, WebP, BMP, "
            "GIF or TIFF file. Save it again and send the whole file."
        ) from error


def _decoded(image: ImageFile.ImageFile) -> Image.Image:
    """Decode no more than is needed."""
    image.draft(None, (PAGE_SIDE, PAGE_SIDE))  # JPEG only: skips most of the decoding
    image.load()
    page = _in_a_plain_mode(_thinned(image))
    factor = max(page.size) // PAGE_SIDE
    return page.reduce(factor) if factor > 1 else page


def _thinned(image: Image.Image) -> Image.Image:
    """Keep every third pixel of every third row of a very large picture, before any step that goes over all of them.

    Grey pictures, and black-and-white ones as scanners make, keep all pixels for averaging: lines may be narrow.
    """
    # Thinning a smaller picture would leave no pixels to average.
    if image.mode in ("1", "L") or max(image.size) < 2 * _STEP * PAGE_SIDE:
        return image
    size = (max(1, image.width // _STEP), max(1, image.height // _STEP))
    return image.resize(size, Image.Resampling.NEAREST)


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF's orientation; 1, upright, where EXIF is missing or damaged."""
    for name in _EXIF_NAMES:
        if name in image.info:
            image.info[name] = image.info[name][:_MOST_EXIF_LETTERS]
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DECODER_ERRORS:
        return 1


def _in_a_plain_mode(image: Image.Image) -> Image.Image:
    """Convert every mode to L, RGB, RGBA or, with more than 8 bits a sample, F."""
    if image.mode.startswith(("I", "F")):
        return image.convert("F")
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _grey(image: Image.Image) -> Image.Image:
    """Turn colours and transparency into grey levels."""
    if image.mode == "F":
        return _from_deep_samples(image)
    if image.mode == "L":
        return image.copy()
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        return _on_a_ground(image)
    return _from_colours(image if image.mode == "RGB" else image.convert("RGB"))


def _from_colours(image: Image.Image) -> Image.Image:
    """Take the luminance or, if ink and paper are equally light, the axis along which their colours differ.

    The axis is the first principal component of the colours of a few samples, after smooth changes over the picture are
    removed: a lamp makes paper differ more in lightness than the ink of a highlighter does.
    """
    few = image.resize((_FEW_SIDE, _FEW_SIDE), Image.Resampling.NEAREST)
    colours = np.asarray(few, dtype=np.float32).reshape(-1, 3)
    # NumPy's own mean along a column of three takes ten times as long.
    mean = np.ones(len(colours), dtype=np.float32) @ colours / np.float32(len(colours))
    apart = colours - _SMOOTH @ (_SMOOTH.T @ colours)
    covariance = apart.T @ apart / np.float32(len(colours))
    luminance_variance = float(_LUMINANCE @ covariance @ _LUMINANCE)
    # No axis has more variance than all axes together, so most pictures need no principal components.
    if luminance_variance >= _LEAST_LUMINANCE_SHARE * float(covariance.trace()):
        return image.convert("L")
    variances, axes = np.linalg.eigh(covariance)
    if luminance_variance >= _LEAST_LUMINANCE_SHARE * float(variances[-1]):
        return image.convert("L")
    axis = axes[:, -1].astype(np.float32)
    along = (np.asarray(image, dtype=np.float32) - mean) @ axis
    return Image.fromarray(np.clip(along + np.float32(_MIDDLE_GREY), 0, 255))


def _from_deep_samples(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and float samples to [0, 255]."""
    samples = np.nan_to_num(np.asarray(image), nan=0.0, posinf=0.0, neginf=0.0)
    lowest, highest = min(float(samples.min()), 0.0), float(samples.max())
    # 8-bit white is known, and 16-bit white if some sample comes near to it. For other pictures, the brightest sample
    # is white: those of 10 or 12 bits in 16, and those taken in the dark, which have enough levels.
    whites = (1.0, 255.0, 65535.0) if highest > _LEAST_OF_16_BITS else (1.0, 255.0)
    white = next((white for white in whites if highest <= white), highest)
    scale = 255 / (white - lowest)
    # Scaled before subtracting: the difference of two large samples may exceed the range of float32.
    return Image.fromarray(samples * np.float32(scale) - np.float32(lowest * scale))


def _on_a_ground(image: Image.Image) -> Image.Image:
    """Fill transparent areas.

    Strokes on a transparent ground get black or white, whichever contrasts with them. A sheet of any outline, with
    strokes on it, gets the sheet's colour.
    """
    luminance = np.asarray(image.convert("RGB").convert("L"), dtype=np.float32)
    opacity = np.asarray(image.getchannel("A"), dtype=np.float32) / np.float32(255)
    is_opaque = opacity >= _OPAQUE
    if not is_opaque.any():
        return Image.fromarray(opacity * np.float32(255))
    median = np.median(luminance[is_opaque])
    ground = median if _is_sheet(luminance, is_opaque) else (0.0 if median >= _MIDDLE_GREY else 255.0)
    return Image.fromarray(luminance * opacity + np.float32(ground) * (1 - opacity))


def _is_sheet(luminance: Grey, is_opaque: NDArray[np.bool_]) -> bool:
    """Whether the opaque area has strokes of another grey, which hardly come near its edge.

    In ink of two colours, or with soft edges, both greys come equally near the edge.
    """
    darkest, median, lightest = np.percentile(luminance[is_opaque], (1, 50, 99))
    if lightest - darkest < _STROKE_CONTRAST:
        return False
    strokes = np.abs(luminance - np.float32(median)) > np.float32((lightest - darkest) / 2)
    edge = grown_by(~is_opaque, _EDGE)
    along, within = strokes[is_opaque & edge], strokes[is_opaque & ~edge]
    return bool(within.size and along.sum() * within.size <= _ALONG_EDGE * within.sum() * along.size)
