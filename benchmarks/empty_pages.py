"""Pages that show no digit, which the service should refuse: blank ones, paper in uneven light, and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.drawing import file_of

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


def empty_pages(count: int) -> dict[str, list[bytes]]:
    """`count` pages of each sort, keyed by the sort's name; the same pages each time."""
    random = np.random.default_rng(11)
    return {
        "white": [file_of(np.full((200, 200), 255, np.float32))] * count,
        "transparent": [file_of(np.zeros((200, 200, 4), np.float32))] * count,
        "flat": [file_of(np.full((200, 200), random.uniform(0, 255), np.float32)) for _ in range(count)],
        "light from a side": [_lit_page(random) for _ in range(count)],
        "noise": [file_of(_noise(random)) for _ in range(count)],
        "coloured noise": [file_of(np.dstack([_noise(random) for _ in range(3)])) for _ in range(count)],
        "noise as JPEG": [file_of(_noise(random), "JPEG", quality=int(random.integers(20, 91))) for _ in range(count)],
    }


def _lit_page(random: Generator) -> bytes:
    """Nothing but paper that is up to 40 % darker at one end."""
    light = np.linspace(1, random.uniform(0.6, 1), 320, dtype=np.float32)
    return file_of(random.uniform(100, 250) * np.tile(light, (240, 1)), "JPEG", quality=85)


def _noise(random: Generator) -> NDArray[np.float32]:
    return random.normal(random.uniform(60, 200), random.uniform(1, 60), (240, 320)).astype(np.float32)
