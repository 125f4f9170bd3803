"""One look at a part of a page: the ink that is seen there, with which polarity and in which light.

`first_look`, `light` and `digit` decide where to look, and whether to look again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from service.imaging.paper import ink_of, look, noise_of, polarity_of, relief_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from service.imaging.form import Box, Grey
    from service.imaging.paper import Ink, Mask, Window

    Evening = Callable[[Grey, np.float32], Grey]  # from a look and the ink's polarity: the look without the light

# Pixels along the longer side of a page that is taken to have no noise. Of 60 digits of 8x8 pixels 12 are refused or
# misread instead of 53, of 60 of 10x10 one instead of 22; of 16x16 none was.
_ALL_STROKES = 10


@dataclass(frozen=True)
class Sight:
    """One look at a window of the page.

    Attributes:
        page: The page that was looked at.
        window: The part of the page that was looked at.
        ink: The ink seen there.
        mask: The ink's mask without rulings.
        polarity: 1 for light ink, -1 for dark ink.
        has_lines: Whether there are lines, which may be rulings or not.
        evening: Removes the light where a shadow lies across the paper; None where the light is smooth.
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


def sight_of(page: Image.Image, window: Window, side: int) -> Sight:
    """Look at a window of the page, its longest side scaled to `side` pixels."""
    return sight_at(page, look(page, window, side), window)


def sight_at(page: Image.Image, seen: Grey, window: Window) -> Sight:
    """The sight of a window that has been scaled already."""
    relief = relief_of(seen)
    return sight_in(page, relief, window, polarity_of(relief))


def sight_in(page: Image.Image, relief: Grey, window: Window, polarity: np.float32) -> Sight:
    """The sight of a window's relief if ink has that polarity."""
    noise = _noise_on(page, relief)
    ink = ink_of(polarity * relief, noise)
    return Sight(page, window, ink, ink.mask, polarity)


def closer_look(sight: Sight, side: int) -> Sight:
    """The same window, larger, in the same light."""
    if not sight.in_shadow:
        return sight_of(sight.page, sight.window, side)
    relief = sight.polarity * sight.relief(look(sight.page, sight.window, side))
    return replace(sight_in(sight.page, relief, sight.window, sight.polarity), evening=sight.evening)


def _noise_on(page: Image.Image, relief: Grey) -> float:
    """The noise's standard deviation; 0 if there are few pixels, where strokes would count as noise."""
    if max(page.size) <= _ALL_STROKES:
        return 0.0
    if max(page.size) >= max(relief.shape):
        return noise_of(relief)
    # Scaling up smooths noise, so a small page's noise is measured before. On a narrow page, a 1 shows in most
    # differences along the rows, but in few along the columns; noise is the same in both.
    pixels = np.asarray(page, dtype=np.float32)
    return min(noise_of(pixels), noise_of(pixels.T))
