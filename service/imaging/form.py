"""Brings a digit's ink into MNIST's own form: 28x28, usual stroke width, 20 pixels long, centred by mass.

`paper` and `strokes` find the ink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from typing import TypeVar

    from numpy.typing import NDArray

    Grey = NDArray[np.float32]
    Inked = TypeVar("Inked", NDArray[np.float32], NDArray[np.bool_])
    Box = tuple[int, int, int, int]  # top, left, bottom, right; the ends exclusive

SIDE = 28  # an MNIST image
DIGIT_SIDE = 20  # MNIST: the digit's longest side
CENTRE = 14.0  # MNIST: where the ink's centre of mass lies, as a pixel index, within half a pixel

_CENTRE_TOLERANCE = 0.6
_WHITE = 255
_HALF = 0.5  # of full ink: more is a stroke, less its soft edge
_STROKE_SIDE = 80  # the digit's, while its stroke width is adjusted: 4 pixels for one of MNIST's

# Stroke widths in MNIST's pixels: thinner and thicker ones are rare there.
_THIN, _THIN_BECOMES = 1.7, 2.1
_THICK, _THICK_BECOMES = 4.2, 3.6


def is_mnist_format(page: Image.Image) -> bool:
    """Whether a picture already has the form that the network was trained on."""
    if page.size != (SIDE, SIDE):
        return False
    image = np.asarray(page, dtype=np.float32)
    if image.max() < _WHITE / 2:
        return False
    top, left, bottom, right = box_of(image, threshold=0)
    fits = max(bottom - top, right - left) <= DIGIT_SIDE
    return bool(fits and np.abs(_centre_of_mass(image) - CENTRE).max() <= _CENTRE_TOLERANCE)


def row_of(ink: Grey) -> Grey:
    """Turn a digit's ink in [0, 1], any size, cropped to its box, into a row float32 [784]."""
    return _centred(_shrunk(_with_usual_strokes(ink))).reshape(-1)


def box_of(ink: Grey, threshold: float = _HALF) -> Box:
    """Top, left, bottom, right of the ink above the threshold; the ends exclusive."""
    inked = ink > threshold
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def grown(ink: Inked, *, with_corners: bool = False) -> Inked:
    """Let ink, grey or a mask, grow by a pixel."""
    upright = ink.copy()
    np.maximum(upright[1:], ink[:-1], out=upright[1:])
    np.maximum(upright[:-1], ink[1:], out=upright[:-1])
    across, grown = (upright, upright.copy()) if with_corners else (ink, upright)
    np.maximum(grown[:, 1:], across[:, :-1], out=grown[:, 1:])
    np.maximum(grown[:, :-1], across[:, 1:], out=grown[:, :-1])
    return grown


def grown_by(ink: Inked, pixels: int) -> Inked:
    """Let ink grow by a number of pixels, without and with corners in turn: round shapes stay nearly round."""
    for pixel in range(pixels):
        ink = grown(ink, with_corners=pixel % 2 == 1)
    return ink


def _with_usual_strokes(ink: Grey) -> Grey:
    """Bring hairlines and thick markers near to MNIST's stroke widths."""
    resized = _resized(ink, _STROKE_SIDE, Image.Resampling.BICUBIC)
    # A hairline turns grey all along when it is scaled down: its peak still counts as full ink.
    margin = _STROKE_SIDE // 10
    height, width = resized.shape
    ink = np.zeros((height + 2 * margin, width + 2 * margin), dtype=np.float32)
    ink[margin:-margin, margin:-margin] = resized / np.float32(min(1.0, float(resized.max())))
    unit = _STROKE_SIDE / DIGIT_SIDE
    width = _stroke_width(ink) / unit
    if width < _THIN:
        ink = grown_by(ink, round((_THIN_BECOMES - width) * unit / 2))
    elif width > _THICK:
        ink = _thinned(ink, round((width - _THICK_BECOMES) * unit / 2))
    top, left, bottom, right = box_of(ink)
    return ink[top:bottom, left:right]


def _thinned(ink: Grey, pixels: int) -> Grey:
    """Take this many pixels off the ink's edges; none if no ink would be left, as with pale ink with thin lines."""
    thinned = 1 - grown_by(1 - ink, pixels)
    return thinned if thinned.max() > _HALF else ink


def _stroke_width(ink: Grey) -> float:
    """Twice the area over the perimeter; the summed slope of grey ink is its perimeter."""
    down = ink[2:, 1:-1] - ink[:-2, 1:-1]
    right = ink[1:-1, 2:] - ink[1:-1, :-2]
    perimeter = float(np.sqrt(down * down + right * right).sum()) / 2
    return 2 * float(ink.sum()) / max(perimeter, 1e-6)


def _shrunk(ink: Grey) -> Grey:
    """Resize the longest side to 20 by averaging, as MNIST did, with strokes at full white."""
    small = np.clip(_resized(ink, DIGIT_SIDE, Image.Resampling.BOX), 0, 1)
    inked = small[small > np.float32(0.1)]
    place = int(0.85 * (inked.size - 1))
    return np.asarray(np.clip(small / np.partition(inked, place)[place], 0, 1), dtype=np.float32)


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
