"""Looks at a page for the first time: finds the sheet on it, and the ink on the sheet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from service.island import laid_alone
from service.paper import evened, ink_of, look, median, noise_of, polarity_of, relief_of
from service.picture_files import PictureError
from service.rulings import are_all_there_is, is_ruled, may_be_ruled, without_rulings
from service.shade import may_be_in_shade, out_of_shade, unshaded
from service.strokes import connected_strokes, rim_of
from service.table import sheet_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from service.form import Box, Grey
    from service.paper import Ink, Mask, Window

    Evening = Callable[[Grey, np.float32], Grey]  # a look and the ink's polarity; what is left without the light

NO_INK = "Nothing on the picture stands out: use a darker pen or more light."
ONLY_LINES = "There are only lines on the picture, no digit: write one, or send the part of the page that shows one."
ONLY_NOISE = "There is only noise on the picture, no stroke: draw or photograph one digit."

_LEAST_RANGE = 12.0  # grey levels of 255
_OTHER, _SAME = 0.3, 0.15  # of the range: a table, not the paper elsewhere; the paper elsewhere
_MOSTLY = 0.7  # of the picture's middle is paper
_SHADED_RIM = 0.02  # of the rim is ink: it may be a shadow
_SOFT = 0.5  # measured: thick strokes that meet the rim have 0.2, pages with a shadow 0.7 and more
_AGAINST = 0.2  # of the ink's contrast; measured: paper in even light mostly has less than 0.1, a lamp 0.3 and more
_WIDE_EDGE = 1.1  # pixels; measured: of a stroke in focus 0.2 to 0.6, of a lamp's light on a whiteboard 4 to 5
_FOLD_EDGE = 2.5  # pixels; measured: of folds in crumpled paper, taken for ink, 3 to 7, of faint rulings 2
_STEEPEST = 0.5  # of the strongest ink; measured: shadows and lamps leave up to 0.45, a thick stroke that is lost 0.6
_MOST_STEPS = 0.995  # of the paper's; a stroke has more edge than the rest
_POLARITY_SIDE = 64  # pixels; strokes are wide enough to tell by, and evening is quick
# Measured on pages of noise as PNG and JPEG, in focus and not: it stands out to the other side by 0.6 of the ink's
# contrast and more, digits that are read by up to 0.4, but for digits on light tiles and in a lamp's reflection. Those
# are few pieces. Noise of 40 x 30 pixels and more has one on each side for every 570 of them, small noise few as well.
_AS_MUCH, _LEAST_PIECES, _PIXELS_OF_A_PIECE = 0.5, 6, 800
_LEAST_PIECE = 0.025  # of the largest one's area
# Pixels along the longer side. Of 60 digits of 8x8 pixels 12 are refused or misread in place of 53, of 60 of 10x10 one
# in place of 22; of 16x16 none was.
_ALL_STROKES = 10
_DARK, _LIGHT = np.float32(-1), np.float32(1)
_FAR = 0.45  # of the range; light that falls off by 40 % comes to a quarter


@dataclass(frozen=True)
class Sight:
    """One look at a window of the page.

    Attributes:
        page: What was looked at.
        window: Where on the page.
        ink: What is seen there.
        mask: The ink's mask without rulings.
        polarity: The sign that ink has there.
        has_lines: Whether there are lines, which may be rulings or not.
        evening: What takes the light away where a shadow lies across the paper; None where the light is smooth.
    """

    page: Image.Image
    window: Window
    ink: Ink
    mask: Mask
    polarity: np.float32
    has_lines: bool = False
    evening: Evening | None = None

    @property
    def in_shadow(self) -> bool:
        """Whether a shadow lies across the paper."""
        return self.evening is not None

    def relief(self, seen: Grey) -> Grey:
        """Another look in the same light, the light taken away; ink is positive."""
        return self.polarity * (self.evening(seen, self.polarity) if self.evening else relief_of(seen))

    def part(self, box: Box) -> Window:
        """Where on the page a box of this look lies."""
        height, width = self.ink.mask.shape
        left, top, right, bottom = self.window
        down, across = (bottom - top) / height, (right - left) / width
        return left + box[1] * across, top + box[0] * down, left + box[3] * across, top + box[2] * down


def first_look(page: Image.Image, side: int, ruled_side: int) -> Sight:
    """Look at the whole page; or, if a table shows around it, at the sheet only; from closer if it is ruled.

    Args:
        page: As `service.decoding` gives it.
        side: The longest side of the look, in pixels.
        ruled_side: The same where there are lines.

    Raises:
        PictureError: The page is blank, or shows nothing but rulings, or noise that is as smooth as strokes.
    """
    window = (0.0, 0.0, float(page.width), float(page.height))
    seen = look(page, window, side)
    if np.ptp(seen) < _LEAST_RANGE and _is_blank(page):
        raise PictureError("The picture is blank: draw or photograph one digit on it.")
    sight = _of_sheet(page, seen)
    if not sight.in_shadow and max(page.size) >= side:  # all edges on small pages that are scaled up are soft and wide
        sight = _out_of_shade(sight)
        if not sight.in_shadow and _may_be_shaded(sight):
            sight = _in_even_light(sight)
    if not sight.ink.is_faint and _is_smooth_noise(sight):
        raise PictureError(ONLY_NOISE)
    if ruled_side == side:
        return replace(sight, mask=_unruled(sight.ink))
    if not may_be_ruled(sight.ink.mask):
        return sight
    closer = _closer(sight, ruled_side)
    sight = closer if is_ruled(closer.ink.mask) else sight
    return replace(sight, mask=_unruled(sight.ink), has_lines=True)


def _unruled(ink: Ink) -> Mask:
    """The ink's mask without rulings; refuses a page that shows nothing else."""
    mask = without_rulings(ink.mask)
    # What is faint or noise is told as that.
    if mask is ink.mask and not (ink.is_faint or ink.is_noise) and are_all_there_is(mask):
        raise PictureError(ONLY_LINES)
    return mask


def _is_smooth_noise(sight: Sight) -> bool:
    """Whether as much stands out to the other side as ink does, both in many pieces: JPEG and blur make noise smooth.

    Then what one pixel differs from the next by does not tell how strong the noise is.
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


def _of_sheet(page: Image.Image, seen: Grey) -> Sight:
    """Look at the sheet only, if there is anything around it; at the whole page otherwise."""
    found = laid_alone(page, seen)
    if found is not None:
        inside = _sight_of(*found, max(seen.shape))
        if not (inside.ink.is_faint or inside.ink.is_noise):
            return inside
    sight = _sight(page, seen, (0.0, 0.0, float(page.width), float(page.height)))
    for place, paper in enumerate(_papers(seen)):
        sheet = sheet_in(_far_from(paper, seen))
        # Inside of a thick stroke in the middle there is no room for a sheet.
        if sheet is not None and (place == 0 or _holds_middle(sheet, seen.shape)):
            inside = _sight_of(page, sight.part(sheet), max(seen.shape))
            if not (inside.ink.is_faint or inside.ink.is_noise):
                lit = _in_even_light(sight) if _is_cut(inside) else sight
                return inside if lit is sight else lit
    return sight


def _is_cut(inside: Sight) -> bool:
    """Whether ink goes on beyond the sheet: then what is around it is no table, but a shadow or a light."""
    left, top, right, bottom = inside.window
    mask, (width, height) = inside.ink.mask, inside.page.size
    inner = (top > 0, mask[0]), (left > 0, mask[:, 0]), (bottom < height, mask[-1]), (right < width, mask[:, -1])
    return any(is_inner and bool(side.any()) for is_inner, side in inner)


def _holds_middle(sheet: Box, shape: tuple[int, ...]) -> bool:
    """Whether the sheet is all of the picture but a quarter, or less, along each side."""
    (top, left, bottom, right), (height, width) = sheet, shape
    return max(top, height - bottom) <= height / 4 and max(left, width - right) <= width / 4


def _out_of_shade(sight: Sight) -> Sight:
    """Look again with shadows taken away that reach in from the rim; keep it if there are any."""
    if sight.polarity != _DARK or not may_be_in_shade(sight.ink):
        return sight
    ink = out_of_shade(look(sight.page, sight.window, max(sight.ink.mask.shape)), sight.ink)
    return sight if ink is None else replace(sight, ink=ink, mask=ink.mask, evening=unshaded)


def _may_be_shaded(sight: Sight) -> bool:
    """Whether what was taken for ink may be a shadow or a light, or hide in one."""
    ink, contact = sight.ink, _rim_contact(sight.ink.mask)
    if ink.is_faint:
        return False
    from_rim = (contact >= _SHADED_RIM and _softness(ink) >= _SOFT) or (contact > 0 and ink.edge_width >= _WIDE_EDGE)
    return from_rim or ink.against >= _AGAINST * ink.contrast


def _in_even_light(sight: Sight) -> Sight:
    """Look again with the light taken away; keep it if it shows all ink, no folds, and little along the rim."""
    seen = look(sight.page, sight.window, max(sight.ink.mask.shape))
    polarity = _polarity_in_any_light(look(sight.page, sight.window, _POLARITY_SIDE))
    relief = evened(seen, polarity)
    lit = replace(_sight_in(sight.page, relief, sight.window, polarity), evening=evened)
    if lit.ink.is_faint or lit.ink.is_noise or _steepest(seen - relief) > _STEEPEST * np.ptp(relief):
        return sight
    is_clear = _rim_contact(lit.ink.mask) <= max(_SHADED_RIM, _rim_contact(sight.ink.mask) / 2)
    is_sharp = lit.ink.edge_width <= max(_FOLD_EDGE, sight.ink.edge_width)
    return lit if is_clear and is_sharp else sight


def _steepest(paper: Grey) -> float:
    """How many grey levels two pixels are apart at the paper's steepest edges, but for a few."""
    steps = np.abs(np.concatenate([(paper[2:] - paper[:-2]).reshape(-1), (paper[:, 2:] - paper[:, :-2]).reshape(-1)]))
    place = int(_MOST_STEPS * steps.size)
    return float(np.partition(steps, place)[place])


def _polarity_in_any_light(seen: Grey) -> np.float32:
    """The polarity of which the ink, taken away, leaves the smoother paper: the other one leaves wider strokes."""
    return min((_DARK, _LIGHT), key=lambda polarity: _roughness(seen - evened(seen, polarity)))


def _roughness(paper: Grey) -> float:
    """The sum of the squared slopes."""
    down, across = np.diff(paper, axis=0), np.diff(paper, axis=1)
    return float(np.vdot(down, down) + np.vdot(across, across))


def _softness(ink: Ink) -> float:
    """How much half ink there is by ink: a shadow's edge is soft, a stroke's is not."""
    half = int(np.count_nonzero((ink.soft > 0) & (ink.soft < 1)))
    return half / max(int(np.count_nonzero(ink.mask)), 1)


def _rim_contact(mask: Mask) -> float:
    """How much of the rim is ink."""
    return float(rim_of(mask).mean())


def _is_blank(page: Image.Image) -> bool:
    darkest, lightest = cast("tuple[float, float]", page.getextrema())
    return lightest - darkest < _LEAST_RANGE


def _papers(seen: Grey) -> list[float]:
    """What may be the paper's grey level: most of the picture is, or, if a large table is around it, of its middle.

    The relief does not tell: a table on two sides looks like a lamp to the fit of the paper.
    """
    height, width = seen.shape
    most = median(seen[::2, ::2].reshape(-1))
    within = seen[height // 4 : height - height // 4 : 2, width // 4 : width - width // 4 : 2].reshape(-1)
    middle, levels = median(within), float(np.ptp(seen))
    is_sheet = abs(most - middle) > _OTHER * levels and np.mean(np.abs(within - middle) < _SAME * levels) > _MOSTLY
    return [most, middle] if is_sheet else [most]


def _far_from(paper: float, seen: Grey) -> Mask:
    """Where the picture is neither the paper nor in half a shadow."""
    lowest, highest = float(seen.min()), float(seen.max())
    return np.asarray(np.abs(seen - np.float32(paper)) > np.float32(_FAR * (highest - lowest)))


def _closer(sight: Sight, side: int) -> Sight:
    """The same window, larger, in the same light."""
    if not sight.in_shadow:
        return _sight_of(sight.page, sight.window, side)
    relief = sight.polarity * sight.relief(look(sight.page, sight.window, side))
    return replace(_sight_in(sight.page, relief, sight.window, sight.polarity), evening=sight.evening)


def _sight_of(page: Image.Image, window: Window, side: int) -> Sight:
    return _sight(page, look(page, window, side), window)


def _sight(page: Image.Image, seen: Grey, window: Window) -> Sight:
    relief = relief_of(seen)
    return _sight_in(page, relief, window, polarity_of(relief))


def _sight_in(page: Image.Image, relief: Grey, window: Window, polarity: np.float32) -> Sight:
    """What is seen if ink has that polarity."""
    noise = _noise_on(page, relief)
    ink = ink_of(polarity * relief, noise)
    return Sight(page, window, ink, ink.mask, polarity)


def _noise_on(page: Image.Image, relief: Grey) -> float:
    """The noise's standard deviation: where there are few pixels strokes would count as noise."""
    if max(page.size) <= _ALL_STROKES:
        return 0.0
    # Scaling up smooths noise: of a small page it is taken before.
    return noise_of(np.asarray(page, dtype=np.float32) if max(page.size) < max(relief.shape) else relief)
