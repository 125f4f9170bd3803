"""Cleans up a picture of a digit into MNIST's own form: 28x28, light ink on a dark ground.

This module finds the digit on the page. `decoding` decodes files, `paper` tells ink from paper, and `form` brings the
ink into MNIST's form.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from service.imaging.circles import LEAST_MARKED, marked_by
from service.imaging.decoding import page_from_picture
from service.imaging.first_look import NO_INK, ONLY_NOISE, first_look
from service.imaging.form import SIDE, box_of, grown, is_mnist_format, row_of
from service.imaging.margin import with_margin
from service.imaging.pale_strokes import with_pale_strokes
from service.imaging.paper import ink_of, look
from service.imaging.picture_files import PictureError
from service.imaging.rulings import without_rulings
from service.imaging.strokes import connected_strokes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from service.imaging.form import Grey
    from service.imaging.paper import Ink, Mask
    from service.imaging.sight import Sight
    from service.imaging.strokes import Strokes

_WHITE = 255

# Sides in pixels at which the steps work.
_LOOK_SIDE = 128  # a look at the whole page, or at the part of it around the digit
_RULED_LOOK_SIDE = 256  # where there are lines: they stay apart from the strokes beside them

# Shares of the first look: a smaller digit is looked at again. Where there are lines, the digit that was found may have
# pieces of them on it, or be a box with the digit inside.
_CLOSE_ENOUGH, _CLOSE_ENOUGH_BY_LINES = 0.375, 0.5
_LEAST_MARGIN = 2  # pixels of the first look: a digit of 12 may be only one there, with its soft edges beside it

# Measured on 231 drawings and photographs, and on noise of every kind: the biggest stroke has at least
# a quarter of the ink, the biggest clot of noise that is left at most a tenth. In an 8 on a seven-segment display each
# segment has a seventh; a clot of noise that large has dozens of others beside it.
_LEAST_MAIN_STROKE, _LEAST_OF_FEW = 0.15, 0.12
_LEAST_STROKE = 0.06  # of the biggest stroke's area: less is a speck
# By the main stroke's size: a stroke further away from it, and from those that belong to it, is no part of the digit.
# In two people's own digits, parts were 0.37 away: the stem of an open 4 that a ruled line was cut from, and a bit of a
# 5 where a pen skipped. In 5,000 digits redrawn with a fine pen, a 5's bar and a 3's lower half were 0.43 away.
_FAR = 0.48
_FILLS_ITS_BOX = 0.6  # a quarter of a circle in a corner fills 0.79; strokes fill less than half
_CORNER_COUNTS = 0.25  # weight of such a stroke's area in the search for the main stroke
# A stroke clear of the picture's rim is the main one if it is as large as a digit (by the picture's side) and no hair
# (by the largest stroke's area). One on the rim then belongs to it only if it is nearer than this (by the main stroke's
# size). Of 60 pages with a pen on them 55 are read instead of 40, of 60 with dark keys along the rim 49, not 24.
_LEAST_CLEAR, _LEAST_BESIDE_RIM, _FAR_FROM_RIM = 0.125, 0.1, 0.07
_LEAST_FLATNESS = 4.0  # an underline's width by its height
# The detached foot of a 2: its distance by its thickness, and where the stroke above it ends, as a share of the 2's
# width. Of 105 made up with gaps of up to a tenth of the height 98 are found; of 250 underlined 7s 4 are taken for a 2.
_FOOT_GAP, _FOOT_BEGINS = 1.0, 0.3
# Where there are more strokes than this, most are dots of a pattern, such as the crossings of squared paper.
_PATTERN, _LEAST_IN_PATTERN = 12, 3.0


def pixels_from_picture(picture: bytes, max_image_pixels: int) -> Grey:
    """Decode one picture and clean it up into MNIST's form.

    Returns:
        Shape (784,), float32 in [0, 1], row-major; 0 is background, 1 is full ink.

    Raises:
        PictureTooLarge: its header announces more than `max_image_pixels`.
        PictureError: it does not decode, or there is nothing on it.
    """
    page = page_from_picture(picture, max_image_pixels)
    if is_mnist_format(page):
        return np.asarray(page, dtype=np.float32).reshape(-1) / np.float32(_WHITE)
    return row_of(_digit_on(page))


def picture_from_pixels(pixels: Grey) -> bytes:
    """Draw one row of 784 pixels in [0, 1] as a 28x28 greyscale PNG."""
    levels = np.rint(pixels.reshape(SIDE, SIDE) * _WHITE).astype(np.uint8)
    png = BytesIO()
    Image.fromarray(levels).save(png, format="PNG")
    return png.getvalue()


def _digit_on(page: Image.Image) -> Grey:
    """Find the digit's ink in [0, 1], cropped to its box; look twice if it is small."""
    page = with_margin(page)
    sight = first_look(page, _LOOK_SIDE, _RULED_LOOK_SIDE)
    ink, mask = with_pale_strokes(sight.ink, sight.mask)
    digit = _digit_in(ink, mask)
    top, left, bottom, right = box_of(digit)
    close_enough = _CLOSE_ENOUGH_BY_LINES if sight.has_lines else _CLOSE_ENOUGH
    if max(bottom - top, right - left) < close_enough * max(digit.shape):
        digit = _second_look(sight, digit, goes_on_pale=ink is not sight.ink)
        top, left, bottom, right = box_of(digit)
    return digit[top:bottom, left:right]


def _second_look(first: Sight, digit: Grey, *, goes_on_pale: bool) -> Grey:
    """Look from close at the part of the page around the digit, only for the strokes that the first look found.

    If no pale ink continued them there, none is followed here either: from close, pale rulings are seen in pieces only,
    which cannot be told from strokes.
    """
    top, left, bottom, right = box_of(digit)
    margin = max(_LEAST_MARGIN, max(bottom - top, right - left) // 2)
    height, width = digit.shape
    top, left = max(top - margin, 0), max(left - margin, 0)
    bottom, right = min(bottom + margin, height), min(right + margin, width)
    seen = look(first.page, first.part((top, left, bottom, right)), _LOOK_SIDE)
    relief = first.relief(seen)
    found = grown(grown(digit > 0))[top:bottom, left:right]
    size = (relief.shape[1], relief.shape[0])
    near = np.asarray(Image.fromarray(found).resize(size, Image.Resampling.NEAREST)) > 0
    ink = ink_of(np.where(near, relief, np.float32(0)), first.ink.noise)
    mask = ink.mask
    if first.has_lines:
        # Rulings are searched for in all ink: near the digit there are only pieces of them.
        unruled = without_rulings(ink_of(relief, first.ink.noise).mask) & mask
        mask = unruled if unruled.any() else mask
    return _digit_in(*with_pale_strokes(ink, mask)) if goes_on_pale else _digit_in(ink, mask)


def _digit_in(ink: Ink, mask: Mask) -> Grey:
    """Ink in [0, 1] of those strokes of the mask that make the digit; 0 elsewhere."""
    if ink.is_faint:
        raise PictureError(NO_INK)
    digit = _digit_mask(mask)
    if ink.is_noise or digit is None:
        raise PictureError(ONLY_NOISE)
    return ink.soft * grown(digit)


def _digit_mask(mask: Mask) -> Mask | None:
    """Keep the strokes of the digit; None if there is no main stroke."""
    strokes = connected_strokes(mask)
    areas = strokes.areas
    main = int(np.argmax(areas))
    least = _LEAST_STROKE * areas[main]
    is_few = np.count_nonzero(areas >= least) <= _PATTERN
    if areas[main] < (_LEAST_OF_FEW if is_few else _LEAST_MAIN_STROKE) * areas.sum():
        return None
    if len(areas) > _PATTERN:
        least = max(least, _LEAST_IN_PATTERN * float(np.median(areas)))
    kept = areas >= least
    if np.count_nonzero(kept) > 1:
        kept = _near_to_main(strokes, _above_a_line(strokes, _enclosed(strokes, kept)))
    return strokes.mask_of(kept) if kept.any() else None


def _enclosed(strokes: Strokes, kept: Mask) -> Mask:
    """Keep only the strokes that the largest one goes around, if a digit is among them, marked by it; all otherwise."""
    sizes = (strokes.boxes[:, 2:] - strokes.boxes[:, :2]).max(axis=1)
    marked = marked_by(strokes, int(np.argmax(np.where(kept, sizes, 0))), kept, sizes)
    return marked if marked.any() else kept


def _above_a_line(strokes: Strokes, kept: Mask) -> Mask:
    """Leave out a stroke that underlines all others: flat, below them, and reaching further to both sides."""
    lowest = int(np.argmax(np.where(kept, strokes.boxes[:, 2], 0)))
    others = kept & (np.arange(strokes.count) != lowest)
    if not others.any():
        return kept
    top, left, bottom, right = strokes.boxes[lowest]
    boxes = strokes.boxes[others]
    is_flat = right - left >= _LEAST_FLATNESS * (bottom - top)
    is_below = boxes[:, 2].max() <= top and left < boxes[:, 1].min() and boxes[:, 3].max() < right
    is_digit_left = (boxes[:, 2:] - boxes[:, :2]).max() >= LEAST_MARKED * (right - left)
    is_line = is_flat and is_below and is_digit_left and not _is_foot(strokes, lowest, others)
    return others if is_line else kept


def _is_foot(strokes: Strokes, line: int, others: Mask) -> bool:
    """Whether the line is the foot of a 2, before which the pen skipped: close below where the 2 ends, on the left."""
    top, left, _, right = strokes.boxes[line]
    boxes = strokes.boxes[others]
    first, end, last = boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max()
    thickness = strokes.areas[line] / (right - left)
    if top - end >= _FOOT_GAP * thickness:
        return False
    _, columns = np.nonzero(strokes.mask_of(others)[max(0, end - max(2, round(thickness))) : end])
    return bool(columns.mean() - first < _FOOT_BEGINS * (last - first))


def _near_to_main(strokes: Strokes, kept: Mask) -> Mask:
    """Keep the main stroke, those near to it, and those near to these in turn: not a label, not a thumb."""
    candidates = np.flatnonzero(kept)
    boxes = strokes.boxes[candidates]
    areas = strokes.areas[candidates]
    sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    on_rim = strokes.on_rim[candidates]
    main = int(np.argmax(np.where(_fill_a_corner(boxes, areas, strokes.shape), _CORNER_COUNTS * areas, areas)))
    clear = ~on_rim & (sizes >= _LEAST_CLEAR * max(strokes.shape)) & (areas >= _LEAST_BESIDE_RIM * areas[main])
    if on_rim[main] and clear.any():
        main = int(np.argmax(np.where(clear, areas, 0)))
    gaps = np.maximum(boxes[:, None, :2] - boxes[None, :, 2:], boxes[None, :, :2] - boxes[:, None, 2:]).max(axis=2)
    near = gaps <= np.where(on_rim & ~on_rim[main], _FAR_FROM_RIM, _FAR) * sizes[main]
    found = near[main]
    while not np.array_equal(found, wider := near[found].any(axis=0)):
        found = wider
    result = np.zeros_like(kept)
    result[candidates[found]] = True
    return result


def _fill_a_corner(boxes: NDArray[np.int64], areas: NDArray[np.int64], shape: tuple[int, int]) -> Mask:
    """Which strokes fill a corner of the picture, like a thumb that holds the sheet."""
    heights, widths = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    on_top = (boxes[:, 0] == 0) | (boxes[:, 2] == shape[0])
    on_side = (boxes[:, 1] == 0) | (boxes[:, 3] == shape[1])
    return np.asarray(on_top & on_side & (areas > _FILLS_ITS_BOX * heights * widths))
