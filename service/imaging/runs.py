"""Finds the long, thin runs of an ink mask.

Its rows, laid end to end, are the bits of one integer: a shift moves every pixel at once, in a microsecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


def thin_runs(mask: Mask, thickest: int, least: int, bridged: int) -> Mask:
    """Keep the ink in long, thin runs across.

    Args:
        mask: (height, width), true where there is ink.
        thickest: Upright runs of more pixels than this are left out first.
        least: The fewest pixels of a run.
        bridged: Gaps of up to this many pixels do not end a run, and become part of it.
    """
    height, width = mask.shape
    row = width + bridged + 1  # so that no run continues in the next row
    ink = _packed(mask, row)
    thin = ink & ~_opened(ink, thickest + 1, row)
    closed = _eroded(_dilated(thin, bridged + 1, 1), bridged + 1, 1)
    return _unpacked(_opened(closed, least, 1), (height, width), row)


def _packed(mask: Mask, row: int) -> int:
    """One bit per pixel, the first pixel the highest bit; every row is padded to `row` bits."""
    height, width = mask.shape
    padded = np.zeros((height, row), dtype=np.bool_)
    padded[:, :width] = mask
    return int.from_bytes(np.packbits(padded).tobytes(), "big")


def _unpacked(ink: int, shape: tuple[int, int], row: int) -> Mask:
    height, width = shape
    packed = np.frombuffer(ink.to_bytes(-(-height * row // 8), "big"), dtype=np.uint8)
    pixels = np.unpackbits(packed, count=height * row).view(np.bool_)
    return pixels.reshape(height, row)[:, :width]


def _opened(ink: int, length: int, step: int) -> int:
    """Keep the runs of at least `length` pixels, where neighbours are `step` bits apart."""
    return _dilated(_eroded(ink, length, step), length, step)


def _eroded(ink: int, length: int, step: int) -> int:
    """The pixels at which a run of `length` begins."""
    done = 1
    while done < length:
        more = min(done, length - done)
        ink &= ink << more * step
        done += more
    return ink


def _dilated(ink: int, length: int, step: int) -> int:
    """Turn every pixel into a run of `length` that begins there."""
    done = 1
    while done < length:
        more = min(done, length - done)
        ink |= ink >> more * step
        done += more
    return ink
