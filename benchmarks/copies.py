"""Makes copies of a picture that show the same digit: inverted, transparent, encoded again, larger and smaller."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from benchmarks.drawing import file_of

_SIZES = {"twice the size": 2.0, "half the size": 0.5}


def copies_of(picture: bytes) -> dict[str, bytes]:
    """The copies, keyed by what was done to them."""
    shown = _shown(picture)
    grey = shown.convert("L")
    light_ink = np.mean((np.asarray(grey, np.float64) - np.median(np.asarray(grey))) ** 3) > 0
    ink = grey if light_ink else ImageOps.invert(grey)
    scaled = {
        name: shown.resize((round(shown.width * factor), round(shown.height * factor)), Image.Resampling.LANCZOS)
        for name, factor in _SIZES.items()
    }
    return {
        "inverted": _png(ImageOps.invert(shown)),
        "alpha": _png(Image.merge("LA", (Image.new("L", grey.size, 0), ImageOps.autocontrast(ink)))),
        "re-encoded": file_of(np.asarray(shown, np.float32), "JPEG", quality=80),
        **{name: _png(image) for name, image in scaled.items()},
    }


def inverted(picture: bytes) -> bytes:
    """The picture with light and dark swapped, as a PNG."""
    return _png(ImageOps.invert(_shown(picture)))


def _shown(picture: bytes) -> Image.Image:
    """The picture upright, in 8-bit colours, with transparent parts filled with white or black."""
    shown: Image.Image = ImageOps.exif_transpose(Image.open(BytesIO(picture)))
    if shown.mode.startswith("I"):
        levels = np.asarray(shown, np.float32)
        shown = Image.fromarray(np.rint(levels / max(float(levels.max()), 1.0) * 255).astype(np.uint8))
    if shown.has_transparency_data:
        layer = shown.convert("RGBA")
        dark = np.asarray(layer.convert("L"))[np.asarray(layer.getchannel("A")) > 127]
        ground = (255,) * 4 if dark.size and np.median(dark) < 128 else (0, 0, 0, 255)
        shown = Image.alpha_composite(Image.new("RGBA", layer.size, ground), layer)
    return shown.convert("RGB")


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()
