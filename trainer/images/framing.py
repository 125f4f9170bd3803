"""Brings a drawing into MNIST's own form: 20 pixels long, centred by mass in 28x28.

The service has its own way from a photograph to this form; here the ink is already clean.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.data import IMAGE_SIDE

INK_SIDE = 20  # MNIST: the longest side of the ink's box
CENTRE = 14.0  # MNIST: the pixel index at which the ink's centre of mass lies, within half a pixel


def frame(ink: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Crops ink to its box, scales its longest side to 20 pixels and centres it by mass.

    As in MNIST the ink moves by whole pixels, so its centre is off by at most half a pixel. Ink with nearly all its
    mass at one end stops at the image's edge rather than being cut.

    Args:
        ink: float [H, W] in 0 to 1, of any size; exactly 0 is background. Best drawn several times larger than 20
            pixels, because averaging makes its edges grey.

    Returns:
        uint8 [28, 28]; all 0 if there is no ink.
    """
    image = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return image
    small = _scaled(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    top, left = (_corner(small.sum(axis=1 - axis)) for axis in (0, 1))
    height, width = small.shape
    image[top : top + height, left : left + width] = np.rint(small * 255)
    return image


def _scaled(ink: NDArray[np.floating]) -> NDArray[np.float32]:
    height, width = (max(1, round(side * INK_SIDE / max(ink.shape))) for side in ink.shape)
    picture = Image.fromarray(np.ascontiguousarray(ink, np.float32))
    small = np.asarray(picture.resize((width, height), Image.Resampling.BOX), np.float32)
    return np.asarray(np.clip(small, 0.0, 1.0))


def _corner(mass: NDArray[np.float32]) -> int:
    """The row (or column) where ink with this mass per row (or column) begins."""
    # Ink so faint that averaging removed it has no mass: any place will do.
    centre = float(mass @ np.arange(len(mass))) / max(float(mass.sum()), 1e-9)
    return min(max(round(CENTRE - centre), 0), IMAGE_SIDE - len(mass))
