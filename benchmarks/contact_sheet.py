"""A sheet of the pictures that were misread, each with what the model saw below it."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageOps

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_CELL = 120  # pixels of a picture on the contact sheet


@dataclass(frozen=True)
class Miss:
    """A picture that was not read as what it shows."""

    picture: bytes
    text: str
    seen: NDArray[np.uint8] | None = None


def contact_sheet(misses: Sequence[Miss]) -> Image.Image:
    """Draw all of them, ten a row."""
    columns, height = 10, 2 * _CELL + 14
    rows = max(1, -(-len(misses) // columns))
    sheet = Image.new("RGB", (columns * _CELL, rows * height), (40, 60, 90))
    draw = ImageDraw.Draw(sheet)
    for index, miss in enumerate(misses):
        left, top = index % columns * _CELL, index // columns * height
        shown = [Image.open(BytesIO(miss.picture)), *([] if miss.seen is None else [Image.fromarray(miss.seen)])]
        for place, image in enumerate(shown):
            sheet.paste(
                ImageOps.contain(image.convert("RGB"), (_CELL - 4, _CELL - 4)), (left, top + 14 + place * _CELL)
            )
        draw.text((left, top), miss.text[-20:], fill=(255, 255, 255))
    return sheet
