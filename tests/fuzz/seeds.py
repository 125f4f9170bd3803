"""The inputs that fuzzing starts from: a small body of every kind, made by code."""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tests.fuzz.targets import BOUNDARY

_MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("L", "P"),
    "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "F", "I;16"),
}
_TIFF_COMPRESSIONS = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")


def seeds(target: str) -> list[bytes]:
    """The bodies that the target of that name begins with."""
    if target == "arrays":
        return list(_arrays())
    files = list(_pictures())
    return [_form(file) for file in files] if target == "forms" else files


def _arrays() -> Iterator[bytes]:
    row = [0.0, 0.25, 1] + [0.5] * 781
    levels = [0, 255] + [128] * 782
    grid = np.reshape(row, (28, 28)).tolist()
    documents: list[Any] = [
        {"pixels": row},
        {"pixels": levels, "max_value": 255},
        {"instances": [row, row]},
        {"instances": [grid]},
        {"instances": [row, grid, [None]]},
        {"max_value": 1, "instances": [levels]},
        {"pixels": []},
        {"instances": [[]]},
        {},
    ]
    yield from (json.dumps(document).encode() for document in documents)
    yield bytes(784)


def _pictures() -> Iterator[bytes]:
    """Two sevens in every format and mode; some use further features of the format."""
    drawn = Image.new("L", (64, 48), 255)
    for left in (4, 36):
        ImageDraw.Draw(drawn).line([(left, 8), (left + 20, 8), (left + 8, 40)], fill=0, width=4)
    for pillow_format, modes in _MODES.items():
        for mode in modes:
            yield _encoded(drawn.convert(mode), pillow_format)
    yield from (_encoded(drawn, "TIFF", compression=compression) for compression in _TIFF_COMPRESSIONS)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield _encoded(drawn, "JPEG", exif=exif, progressive=True)
    yield _encoded(drawn, "PNG", exif=exif)
    yield _encoded(drawn, "GIF", save_all=True, append_images=[drawn.rotate(90)], transparency=0)
    yield _encoded(drawn.convert("RGB"), "WEBP", lossless=True)


def _encoded(image: Image.Image, pillow_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, pillow_format, **options)
    return file.getvalue()


def _form(picture: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    return head + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
