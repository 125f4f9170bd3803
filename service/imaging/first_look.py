"""Looks at a page for the first time: finds the sheet on it, and the ink on the sheet; refuses a page without ink."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from service.imaging.island import laid_alone
from service.imaging.light import in_even_light, may_be_shaded, without_shade
from service.imaging.paper import ink_of, look, median
from service.imaging.picture_files import PictureError
from service.imaging.rulings import are_all_there_is, is_ruled, may_be_ruled, without_rulings
from service.imaging.sight import closer_look, sight_at, sight_of
from service.imaging.strokes import connected_strokes
from service.imaging.table import sheet_in

if TYPE_CHECKING:
    from PIL import Image

    from service.imaging.form import Box, Grey
    from service.imaging.paper import Ink, Mask
    from service.imaging.sight import Sight

NO_INK = "Nothing on the picture stands out: use a darker pen or more light."
ONLY_LINES = "There are only lines on the picture, no digit: write one, or send the part of the page that shows one."
ONLY_NOISE = "There is only noise on the picture, no stroke: draw or photograph one digit."

_LEAST_RANGE = 12.0  # grey levels of 255
_OTHER, _SAME = 0.3, 0.15  # of the range: a table differs from the paper by more, other parts of the paper by less
_MOSTLY = 0.7  # of the picture's middle is paper
_FAR = 0.45  # of the range; light that falls off by 40 % makes a difference of a quarter
# Measured on pages of noise as PNG and JPEG, sharp and blurred: noise stands out in the other polarity by 0.6 of the
# ink's contrast and more; pages of readable digits by up to 0.4, except light tiles and a lamp's reflection, which are
# few pieces. Noise of 40 x 30 pixels and more has a piece of each polarity per 570 pixels; smaller noise has few, too.
_AS_MUCH, _LEAST_PIECES, _PIXELS_OF_A_PIECE = 0.5, 6, 800
_LEAST_PIECE = 0.025  # of the largest one's area


def first_look(page: Image.Image, side: int, ruled_side: int) -> Sight:
    """Look at the whole page or, if a table shows around the sheet, at the sheet only; from closer if it is ruled.

    Args:
        page: As `decoding` gives it.
        side: The longest side of the look, in pixels.
        ruled_side: The same where there are lines.

    Raises:
        PictureError: The page is blank, or shows nothing but rulings, or noise that is as smooth as strokes.
    """
    window = (0.0, 0.0, float(page.width), float(page.height))
    seen = look(page, window, side)
    if np.ptp(seen) < _LEAST_RANGE and _is_blank(page):
        raise PictureError("The picture is blank: draw or photograph one digit on it.")
    sight = _look_at_sheet(page, seen)
    if not sight.in_shadow and max(page.size) >= side:  # on small pages, scaled up, all edges are soft and wide
        sight = without_shade(sight)
        if not sight.in_shadow and may_be_shaded(sight):
            sight = in_even_light(sight)
    if not sight.ink.is_faint and _is_smooth_noise(sight):
        raise PictureError(ONLY_NOISE)
    if ruled_side == side:
        return replace(sight, mask=_unruled(sight.ink))
    if not may_be_ruled(sight.ink.mask):
        return sight
    closer = closer_look(sight, ruled_side)
    sight = closer if is_ruled(closer.ink.mask) else sight
    return replace(sight, mask=_unruled(sight.ink), has_lines=True)


def _unruled(ink: Ink) -> Mask:
    """The ink's mask without rulings; refuses a page that shows nothing else."""
    mask = without_rulings(ink.mask)
    # A page that is too faint, or only noise, is refused later for that reason.
    if mask is ink.mask and not (ink.is_faint or ink.is_noise) and are_all_there_is(mask):
        raise PictureError(ONLY_LINES)
    return mask


def _is_smooth_noise(sight: Sight) -> bool:
    """Whether as much stands out in the other polarity as ink, in many pieces each: JPEG and blur make noise smooth.

    The strength of smooth noise does not show in how much one pixel differs from the next.
    """
    ink = sight.ink
    if ink.against < _AS_MUCH * ink.contrast:
        return False
    relief = sight.relief(look(sight.page, sight.window, max(ink.mask.shape)))
    left, top, right, bottom = sight.window
    pixels = min((right - left) * (bottom - top), ink.mask.size)
    least = max(_LEAST_PIECES, pixels / _PIXELS_OF_A_PIECE)
    return min(_pieces(ink.mask), _pieces(ink_of(-relief, ink.noise).mask)) >= least


def _pieces(mask: Mask) -> int:
    """How many strokes there are, without specks."""
    areas = connected_strokes(mask).areas
    return int(np.count_nonzero(areas >= _LEAST_PIECE * areas.max(initial=0)))


def _look_at_sheet(page: Image.Image, seen: Grey) -> Sight:
    """Look at the sheet only, if there is anything around it; at the whole page otherwise."""
    found = laid_alone(page, seen)
    if found is not None:
        inside = sight_of(*found, max(seen.shape))
        if not (inside.ink.is_faint or inside.ink.is_noise):
            return inside
    sight = sight_at(page, seen, (0.0, 0.0, float(page.width), float(page.height)))
    for place, paper in enumerate(_papers(seen)):
        sheet = sheet_in(_far_from(paper, seen))
        # The middle's grey level may be that of a thick stroke: inside one there is no room for a sheet.
        if sheet is not None and (place == 0 or _holds_middle(sheet, seen.shape)):
            inside = sight_of(page, sight.part(sheet), max(seen.shape))
            if not (inside.ink.is_faint or inside.ink.is_noise):
                if not _is_cut(inside):
                    return inside
                lit = in_even_light(sight)
                return lit if lit.in_shadow else inside
    return sight


def _is_cut(inside: Sight) -> bool:
    """Whether ink goes on beyond the sheet: then its surroundings are no table, but a shadow or a light."""
    left, top, right, bottom = inside.window
    mask, (width, height) = inside.ink.mask, inside.page.size
    inner = (top > 0, mask[0]), (left > 0, mask[:, 0]), (bottom < height, mask[-1]), (right < width, mask[:, -1])
    return any(is_inner and bool(side.any()) for is_inner, side in inner)


def _holds_middle(sheet: Box, shape: tuple[int, ...]) -> bool:
    """Whether the sheet leaves out at most a quarter of the picture along each side."""
    (top, left, bottom, right), (height, width) = sheet, shape
    return max(top, height - bottom) <= height / 4 and max(left, width - right) <= width / 4


def _is_blank(page: Image.Image) -> bool:
    darkest, lightest = cast("tuple[float, float]", page.getextrema())
    return lightest - darkest < _LEAST_RANGE


def _papers(seen: Grey) -> list[float]:
    """What the paper's grey level may be: the picture's median; if a large table may be around it, also its middle's.

    The relief cannot tell: to the fit of the paper, a table on two sides looks like a lamp.
    """
    height, width = seen.shape
    most = median(seen[::2, ::2].reshape(-1))
    within = seen[height // 4 : height - height // 4 : 2, width // 4 : width - width // 4 : 2].reshape(-1)
    middle, levels = median(within), float(np.ptp(seen))
    is_sheet = abs(most - middle) > _OTHER * levels and np.mean(np.abs(within - middle) < _SAME * levels) > _MOSTLY
    return [most, middle] if is_sheet else [most]


def _far_from(paper: float, seen: Grey) -> Mask:
    """Where the picture is neither paper nor partly in a shadow."""
    lowest, highest = float(seen.min()), float(seen.max())
    return np.asarray(np.abs(seen - np.float32(paper)) > np.float32(_FAR * (highest - lowest)))
