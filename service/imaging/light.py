"""Looks again at a page in uneven light: shadows that lie across the paper, and the reflection of a lamp.

Light that only falls off smoothly is not handled here: every look removes it (`paper.relief_of`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from service.imaging.paper import evened, look
from service.imaging.shade import may_be_in_shade, out_of_shade, unshaded
from service.imaging.sight import sight_in
from service.imaging.strokes import rim_of

if TYPE_CHECKING:
    from service.imaging.form import Grey
    from service.imaging.paper import Ink, Mask
    from service.imaging.sight import Sight

_SHADED_RIM = 0.02  # of the rim; if that much of it is ink, the ink may be a shadow
_SOFT = 0.5  # measured: thick strokes that meet the rim have 0.2, pages with a shadow 0.7 and more
_AGAINST = 0.2  # of the ink's contrast; measured: paper in even light mostly has less than 0.1, a lamp 0.3 and more
_WIDE_EDGE = 1.1  # pixels; measured: a stroke in focus has 0.2 to 0.6, a lamp's light on a whiteboard 4 to 5
_FOLD_EDGE = 2.5  # pixels; measured: folds in crumpled paper, taken for ink, have 3 to 7, faint rulings 2
_STEEPEST = 0.5  # of the strongest ink; measured: shadows and lamps leave up to 0.45, a thick stroke that is lost 0.6
_MOST_INK = 0.6  # of the picture; measured: thick strokes, cropped, over 0.4, a sheet that is taken for ink 0.69
_MOST_STEPS = 0.995  # of the paper's; the edge of a lost stroke is more than the rest
_POLARITY_SIDE = 64  # pixels; strokes are wide enough to tell the polarity, and evening is quick
_DARK, _LIGHT = np.float32(-1), np.float32(1)


def without_shade(sight: Sight) -> Sight:
    """Look again without the shadows that reach in from the rim; keep that look if there were any."""
    if sight.polarity != _DARK or not may_be_in_shade(sight.ink):
        return sight
    ink = out_of_shade(look(sight.page, sight.window, max(sight.ink.mask.shape)), sight.ink)
    return sight if ink is None else replace(sight, ink=ink, mask=ink.mask, evening=unshaded)


def may_be_shaded(sight: Sight) -> bool:
    """Whether the ink that was found may be a shadow or a light, or be hidden in one."""
    ink, contact = sight.ink, _rim_contact(sight.ink.mask)
    if ink.is_faint:
        return False
    from_rim = (contact >= _SHADED_RIM and _softness(ink) >= _SOFT) or (contact > 0 and ink.edge_width >= _WIDE_EDGE)
    return from_rim or ink.against >= _AGAINST * ink.contrast


def in_even_light(sight: Sight) -> Sight:
    """Look again without the light; keep that look if it shows all ink, no sheet or fold, and little along the rim."""
    seen = look(sight.page, sight.window, max(sight.ink.mask.shape))
    polarity = _polarity_in_any_light(look(sight.page, sight.window, _POLARITY_SIDE))
    relief = evened(seen, polarity)
    lit = replace(sight_in(sight.page, relief, sight.window, polarity), evening=evened)
    if lit.ink.is_faint or lit.ink.is_noise or float(lit.ink.mask.mean()) > _MOST_INK:
        return sight
    if _steepest(seen - relief) > _STEEPEST * np.ptp(relief):
        return sight
    is_clear = _rim_contact(lit.ink.mask) <= max(_SHADED_RIM, _rim_contact(sight.ink.mask) / 2)
    is_sharp = lit.ink.edge_width <= max(_FOLD_EDGE, sight.ink.edge_width)
    return lit if is_clear and is_sharp else sight


def _steepest(paper: Grey) -> float:
    """By how many grey levels the paper changes over two pixels at its steepest edges, except for a few."""
    steps = np.abs(np.concatenate([(paper[2:] - paper[:-2]).reshape(-1), (paper[:, 2:] - paper[:, :-2]).reshape(-1)]))
    place = int(_MOST_STEPS * steps.size)
    return float(np.partition(steps, place)[place])


def _polarity_in_any_light(seen: Grey) -> np.float32:
    """The polarity whose ink, when removed, leaves the smoother paper: removing the other leaves wider strokes."""
    return min((_DARK, _LIGHT), key=lambda polarity: _roughness(seen - evened(seen, polarity)))


def _roughness(paper: Grey) -> float:
    """The sum of the squared slopes."""
    down, across = np.diff(paper, axis=0), np.diff(paper, axis=1)
    return float(np.vdot(down, down) + np.vdot(across, across))


def _softness(ink: Ink) -> float:
    """Pixels of half ink by pixels of ink: a shadow's edge is soft, a stroke's is not."""
    half = int(np.count_nonzero((ink.soft > 0) & (ink.soft < 1)))
    return half / max(int(np.count_nonzero(ink.mask)), 1)


def _rim_contact(mask: Mask) -> float:
    """How much of the rim is ink."""
    return float(rim_of(mask).mean())
