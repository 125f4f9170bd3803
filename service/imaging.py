"""Cleans a picture of a digit up into MNIST's own form: 28x28, light ink on a dark ground.

The steps and most figures are measured ones (see the constants); decoding files is
`service.decoding`'s business, connected strokes are `service.strokes`'.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from service.decoding import MEDIA_TYPES, PictureError, PictureTooLarge, page_from_picture
from service.rulings import without_rulings
from service.strokes import connected_strokes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grey = NDArray[np.float32]
    Box = tuple[int, int, int, int]  # left, top, right, bottom, as in Pillow

__all__ = [
    "MEDIA_TYPES",
    "PictureError",
    "PictureTooLarge",
    "picture_from_pixels",
    "pixels_from_picture",
]

SIDE = 28  # an MNIST image
DIGIT_SIDE = 20  # MNIST: the digit's longest side
CENTRE = 14.0  # MNIST: where the ink's centre of mass lies, as a pixel index, within half a pixel

_CENTRE_TOLERANCE = 0.6
_WHITE = 255

# Sides in pixels at which the steps work.
_LOOK_SIDE = 128  # a look at the whole page, or at the part of it around the digit
_CLOSE_ENOUGH = 64  # a digit that is smaller in the first look is looked at again
_THUMBNAIL_SIDE = 24  # enough for a smooth background
_STROKE_SIDE = 80  # the digit while its strokes are evened: 4 pixels for one of MNIST's

# Grey levels of 255. Faint pencil, photographed, has an ink of about 30.
_LEAST_RANGE = 12.0
_LEAST_INK = 14.0

# Measured on 231 drawings and photographs, and on noise of every kind: ink is at least 11 times
# as strong as the noise around it, peaks of noise at most 2.9 times; and the biggest stroke has at
# least a quarter of the ink, the biggest clot of noise that is left at most a tenth.
_LEAST_INK_TO_NOISE = 5.0
_LEAST_MAIN_STROKE = 0.15

_LEAST_STROKE = 0.06  # of the biggest stroke's area: less is a speck

# Stroke widths in MNIST's pixels: thinner and thicker ones are rare there.
_THIN, _THIN_BECOMES = 1.7, 2.1
_THICK, _THICK_BECOMES = 4.2, 3.6

_NO_INK = "Nothing on the picture stands out: use a darker pen or more light."
_ONLY_NOISE = "There is only noise on the picture, no stroke: draw or photograph one digit."


def pixels_from_picture(picture: bytes, max_image_pixels: int) -> Grey:
    """Decode one picture and clean it up into MNIST's form.

    Returns:
        Shape (784,), float32 in [0, 1], row-major; 0 is background, 1 is full ink.

    Raises:
        PictureTooLarge: its header announces more than `max_image_pixels`.
        PictureError: it does not decode, or there is nothing on it.
    """
    page = page_from_picture(picture, max_image_pixels)
    if _is_mnist_format(page):
        return np.asarray(page, dtype=np.float32).reshape(-1) / np.float32(_WHITE)
    digit = _digit_on(page)
    return _centred(_shrunk(_with_usual_strokes(digit))).reshape(-1)


def picture_from_pixels(pixels: Grey) -> bytes:
    """Draw one row of 784 pixels in [0, 1] as a 28x28 greyscale PNG."""
    levels = np.rint(pixels.reshape(SIDE, SIDE) * _WHITE).astype(np.uint8)
    png = BytesIO()
    Image.fromarray(levels).save(png, format="PNG")
    return png.getvalue()


def _is_mnist_format(page: Image.Image) -> bool:
    """Tell a picture that already is what the network was trained on."""
    if page.size != (SIDE, SIDE):
        return False
    image = np.asarray(page, dtype=np.float32)
    if image.max() < _WHITE / 2:
        return False
    top, left, bottom, right = _box(image, threshold=0)
    fits = max(bottom - top, right - left) <= DIGIT_SIDE
    return bool(fits and np.abs(_centre_of_mass(image) - CENTRE).max() <= _CENTRE_TOLERANCE)


def _digit_on(page: Image.Image) -> Grey:
    """Find the digit's ink in [0, 1], cropped to its box; look twice if it is small."""
    if np.ptp(np.asarray(page)) < _LEAST_RANGE:
        raise PictureError("The picture is blank: draw or photograph one digit on it.")
    whole = (0.0, 0.0, float(page.width), float(page.height))
    relief = _without_background(_look(page, whole))
    polarity = np.float32(np.sign(np.mean(relief * relief * relief)))  # ink is the heavy tail
    noise = _noise(np.asarray(page, dtype=np.float32) if max(page.size) < _LOOK_SIDE else relief)
    ink = _ink(polarity * relief, noise)
    top, left, bottom, right = _box(ink)
    side = max(bottom - top, right - left)
    if side < _CLOSE_ENOUGH:
        margin = side // 2
        part = (left - margin, top - margin, right + margin, bottom + margin)
        ink = _second_look(page, ink, part, polarity, noise)
        top, left, bottom, right = _box(ink)
    return ink[top:bottom, left:right]


def _second_look(page: Image.Image, ink: Grey, part: Box, polarity: np.float32, noise: float) -> Grey:
    """Look at a part of the page from close, for the strokes found in the first look only."""
    height, width = ink.shape
    scale = page.width / width, page.height / height
    left, top = max(part[0], 0), max(part[1], 0)
    right, bottom = min(part[2], width), min(part[3], height)
    window = (left * scale[0], top * scale[1], right * scale[0], bottom * scale[1])
    relief = polarity * _without_background(_look(page, window))
    found = _grown(_grown((ink > 0).astype(np.float32)))[top:bottom, left:right]
    size = (relief.shape[1], relief.shape[0])
    near = np.asarray(Image.fromarray(found).resize(size, Image.Resampling.NEAREST)) > 0
    return _ink(np.where(near, relief, np.float32(0)), noise)


def _look(page: Image.Image, window: tuple[float, float, float, float]) -> Grey:
    """The window of the page, its longest side scaled to 128 pixels."""
    left, top, right, bottom = window
    scale = _LOOK_SIDE / max(right - left, bottom - top)
    size = (max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top))))
    look = page.resize(size, Image.Resampling.BICUBIC, box=window)
    return np.asarray(look, dtype=np.float32)


def _without_background(look: Grey) -> Grey:
    """Subtract a smooth surface fitted to the paper, so that uneven light is gone.

    The surface is quadratic, fitted to a thumbnail by iteratively reweighted least squares: what
    lies far from it, the ink, hardly pulls it. The border counts twice; ink is rare there.
    """
    side = _THUMBNAIL_SIDE
    thumbnail = Image.fromarray(look).resize((side, side), Image.Resampling.BOX)
    values = np.asarray(thumbnail, dtype=np.float64).reshape(-1)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].reshape(2, -1)
    terms = np.stack([np.ones_like(x), x, x * x, y, y * y, x * y], axis=-1)
    importance = np.where((np.abs(x) == 1) | (np.abs(y) == 1), 2.0, 1.0)
    weights = importance
    for _ in range(4):
        weighted = (terms * weights[:, None]).T
        fitted = np.linalg.solve(weighted @ terms, weighted @ values)
        distance = np.abs(values - terms @ fitted)
        spread = 1.0 + 1.5 * float(np.median(distance))
        weights = importance / (1.0 + (distance / spread) ** 2)
    return look - _surface(fitted.astype(np.float32), look.shape)


def _surface(fitted: Grey, shape: tuple[int, ...]) -> Grey:
    """Evaluate a + bx + cx2 + dy + ey2 + fxy at every pixel, coordinates in [-1, 1]."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)
    a, b, c, d, e, f = fitted
    along_x, along_y = a + x * (b + c * x), y * (d + e * y)
    return np.asarray(along_x + along_y + (f * y) * x, dtype=np.float32)


def _noise(grey: Grey) -> float:
    """The noise's standard deviation: strokes are few, so most second differences are noise."""
    second = grey[:, 2:] - 2 * grey[:, 1:-1] + grey[:, :-2]
    return float(np.median(np.abs(second))) / (0.6745 * 6**0.5) if second.size else 0.0


def _ink(relief: Grey, noise: float) -> Grey:
    """Ink in [0, 1] of the strokes that make the digit; 0 elsewhere."""
    relief = _smoothed(relief, rounds=0 if noise < 3 else 2 if noise < 10 else 4)
    full = _full_ink(relief)
    if full < _LEAST_INK:
        raise PictureError(_NO_INK)
    relative = relief / np.float32(full)
    threshold = float(np.clip(_otsu(relative), 0.2, 0.6))
    digit = _digit_mask(relative > threshold)
    if full < _LEAST_INK_TO_NOISE * noise or digit is None:
        raise PictureError(_ONLY_NOISE)
    soft = np.clip(relative / np.float32(threshold) - np.float32(0.5), 0, 1)
    return np.asarray(soft * _grown(digit.astype(np.float32)), dtype=np.float32)


def _smoothed(relief: Grey, rounds: int) -> Grey:
    """Average every pixel with its neighbours, weights 1 2 1 both ways, some times over."""
    for _ in range(2 * rounds):
        padded = np.pad(relief, ((1, 1), (0, 0)), mode="edge")
        relief = ((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / np.float32(4)).T
    return relief


def _full_ink(relief: Grey) -> float:
    """The grey levels between paper and full ink, bar the strongest fifth of what stands out."""
    strong = relief[relief > 0.4 * float(relief.max())]
    return float(np.percentile(strong, 80)) if strong.size else 0.0


def _otsu(relative: Grey) -> float:
    """The threshold that splits values in [0, 1] best into two classes (Otsu, 1979)."""
    bins = 64
    levels = np.clip(relative * bins, 0, bins - 1).astype(np.intp)
    counts = np.bincount(levels.reshape(-1), minlength=bins).astype(np.float64)
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * np.arange(bins))
    above = counts.sum() - below
    gap = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(1 + np.argmax(below * above * gap**2)) / bins


def _digit_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Keep the strokes of the digit; None if there is no main stroke."""
    strokes = connected_strokes(without_rulings(mask))
    largest = strokes.areas.max()
    if largest < _LEAST_MAIN_STROKE * strokes.areas.sum():
        return None
    kept = strokes.areas >= _LEAST_STROKE * largest
    return np.append(kept, False)[strokes.numbers]


def _with_usual_strokes(ink: Grey) -> Grey:
    """Bring hairlines and thick markers near to MNIST's stroke widths."""
    ink = np.pad(_resized(ink, _STROKE_SIDE, Image.Resampling.BICUBIC), _STROKE_SIDE // 10)
    unit = _STROKE_SIDE / DIGIT_SIDE
    width = _stroke_width(ink) / unit
    if width < _THIN:
        for step in range(round((_THIN_BECOMES - width) * unit / 2)):
            ink = _grown(ink, with_corners=step % 2 == 1)
    elif width > _THICK:
        for step in range(round((width - _THICK_BECOMES) * unit / 2)):
            ink = 1 - _grown(1 - ink, with_corners=step % 2 == 1)
    top, left, bottom, right = _box(ink)
    return ink[top:bottom, left:right]


def _stroke_width(ink: Grey) -> float:
    """Twice the area over the perimeter; the summed slope of grey ink is its perimeter."""
    rows, columns = np.gradient(ink)
    return 2 * float(ink.sum()) / max(float(np.hypot(rows, columns).sum()), 1e-6)


def _grown(ink: Grey, *, with_corners: bool = False) -> Grey:
    """Let ink grow by a pixel; growing with and without corners by turns makes octagons."""
    padded = np.pad(ink, 1)
    upright = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    across = upright if with_corners else padded[1:-1]
    sideways = np.maximum(np.maximum(across[:, :-2], across[:, 1:-1]), across[:, 2:])
    return sideways if with_corners else np.maximum(sideways, upright[:, 1:-1])


def _shrunk(ink: Grey) -> Grey:
    """Resize the longest side to 20 by averaging, as MNIST did, with strokes at full white."""
    small = np.clip(_resized(ink, DIGIT_SIDE, Image.Resampling.BOX), 0, 1)
    full = np.percentile(small[small > 0.1], 85)
    return np.asarray(np.clip(small / full, 0, 1), dtype=np.float32)


def _resized(ink: Grey, side: int, method: Image.Resampling) -> Grey:
    """Scale so that the longest side is `side`."""
    height, width = (max(1, round(n * side / max(ink.shape))) for n in ink.shape)
    return np.asarray(Image.fromarray(ink).resize((width, height), method), dtype=np.float32)


def _centred(digit: Grey) -> Grey:
    """Paste into 28x28 so that the centre of mass comes to pixel index (14, 14)."""
    image = np.zeros((SIDE, SIDE), dtype=np.float32)
    height, width = digit.shape
    corner = np.rint(CENTRE - _centre_of_mass(digit))
    top, left = np.clip(corner, 0, (SIDE - height, SIDE - width)).astype(int)
    image[top : top + height, left : left + width] = digit
    return image


def _centre_of_mass(ink: Grey) -> NDArray[np.float64]:
    """Row and column of the ink's centre, as pixel indices."""
    rows, columns = ink.sum(axis=1), ink.sum(axis=0)
    centre = (rows @ np.arange(len(rows)), columns @ np.arange(len(columns)))
    return np.array(centre, dtype=np.float64) / float(rows.sum())


def _box(ink: Grey, threshold: float = 0.5) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of what is above the threshold; the ends exclusive."""
    inked = ink > threshold
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
