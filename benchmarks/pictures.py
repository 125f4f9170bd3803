"""Asks a running service to read people's own digits and MNIST's in many disguises, and prints how many it reads.

    DIGITS_HANDWRITING=... DIGITS_MNIST=mnist.npz python -m benchmarks.pictures [http://127.0.0.1:8000]

Either variable may be missing; then its tables are. MNIST's test images are for the last, real run (`--test`);
rules are chosen on the last 10,000 training images.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
from PIL import Image, ImageDraw, ImageOps

from benchmarks.drawing import file_of
from benchmarks.kinds import HARDER_KINDS, KINDS
from benchmarks.strings import STRING_KINDS, string_picture
from benchmarks.wild import WILD_KINDS
from service.imaging import pixels_from_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Images = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_TIMEOUT_SECONDS = 60.0
_CELL = 120  # pixels of a picture on the contact sheet
_COST_ROUNDS = 15


@dataclass(frozen=True)
class Miss:
    """A picture that was not read as what it shows."""

    picture: bytes
    text: str


@dataclass(frozen=True)
class Reader:
    """Asks the service; a refusal reads as a question mark."""

    client: httpx.Client

    def digit(self, picture: bytes) -> str:
        """The digit of one picture."""
        response = self.client.post("/v1/predict", files={"file": picture})
        return str(response.json()["predictions"][0]["digit"]) if response.status_code == 200 else "?"

    def text(self, picture: bytes) -> str:
        """All digits of one picture."""
        response = self.client.post("/v1/read", files={"file": picture})
        return str(response.json()["text"]) if response.status_code == 200 else "?"

    def is_refused(self, picture: bytes) -> bool:
        """Whether the service says that there is nothing on the picture."""
        return self.client.post("/v1/predict", files={"file": picture}).status_code == 422


def main() -> None:
    """Print all tables."""
    options = _options()
    misses: list[Miss] = []
    with httpx.Client(base_url=options.address, timeout=_TIMEOUT_SECONDS) as client:
        reader = Reader(client)
        if "DIGITS_HANDWRITING" in os.environ:
            handwriting = list(_handwriting(Path(os.environ["DIGITS_HANDWRITING"])))
            misses += _measure("handwriting", handwriting, reader.digit)
            _copies([picture for picture, _ in handwriting], reader)
        if "DIGITS_MNIST" in os.environ:
            images = _images(Path(os.environ["DIGITS_MNIST"]), options.test)
            misses += _kinds(images, options.count, reader)
            misses += _strings(images, options.count // 5, reader)
        _empty_pages(options.count // 5, reader)
    _cost()
    if options.sheet:
        _contact_sheet(misses).save(options.sheet)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how well a running service reads pictures of digits.")
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--count", type=int, default=1000, help="digits of each kind of picture")
    parser.add_argument("--test", action="store_true", help="use MNIST's test images")
    parser.add_argument("--sheet", type=Path, help="write what was missed as a PNG")
    return parser.parse_args()


def _handwriting(folder: Path) -> Iterator[tuple[bytes, str]]:
    with (folder / "manifest.csv").open() as manifest:
        for entry in csv.DictReader(manifest):
            yield (folder / entry["path"]).read_bytes(), entry["label"]


def _images(path: Path, test: bool) -> Images:  # noqa: FBT001 - private
    with np.load(path, allow_pickle=False) as arrays:
        if test:
            return arrays["x_test"], arrays["y_test"]
        return arrays["x_train"][-10_000:], arrays["y_train"][-10_000:]


def _measure(name: str, pictures: Iterable[tuple[bytes, str]], read: Callable[[bytes], str]) -> list[Miss]:
    answers = [(picture, label, read(picture)) for picture, label in pictures]
    misses = [Miss(picture, f"{name} {label}: {got}") for picture, label, got in answers if got != label]
    _row(name, len(answers) - len(misses), len(answers))
    return misses


def _kinds(images: Images, count: int, reader: Reader) -> list[Miss]:
    chosen = np.random.default_rng(1).permutation(len(images[0]))[:count]
    misses: list[Miss] = []
    for kinds in (KINDS, HARDER_KINDS, WILD_KINDS):
        found: list[Miss] = []
        for draw in kinds:
            pictures = (
                (draw(images[0][index], np.random.default_rng([7, int(index)])), str(images[1][index]))
                for index in chosen
            )
            found += _measure(draw.__name__, pictures, reader.digit)
        _row(f"mean of {len(kinds)} kinds", count * len(kinds) - len(found), count * len(kinds))
        misses += found
    return misses


def _strings(images: Images, count: int, reader: Reader) -> list[Miss]:
    misses: list[Miss] = []
    for draw in STRING_KINDS:
        pictures = (string_picture(draw, *images, np.random.default_rng([3, number])) for number in range(count))
        misses += _measure(f"string {draw.__name__}", pictures, reader.text)
    return misses


def _copies(pictures: list[bytes], reader: Reader) -> None:
    """How many inverted, re-encoded and scaled copies read as the picture itself."""
    same = dict.fromkeys(("inverted", "alpha", "re-encoded", "twice the size", "half the size"), 0)
    for picture in pictures:
        expected = reader.digit(picture)
        for name, copy in _copies_of(picture).items():
            same[name] += reader.digit(copy) == expected
    for name, count in same.items():
        _row(f"copy {name}", count, len(pictures))
    _row("all copies", sum(same.values()), len(pictures) * len(same))


def _copies_of(picture: bytes) -> dict[str, bytes]:
    shown: Image.Image = Image.open(BytesIO(picture))
    if shown.has_transparency_data:
        layer = shown.convert("RGBA")
        dark = np.asarray(layer.convert("L"))[np.asarray(layer.getchannel("A")) > 127]
        ground = (255,) * 4 if dark.size and np.median(dark) < 128 else (0, 0, 0, 255)
        shown = Image.alpha_composite(Image.new("RGBA", layer.size, ground), layer)
    shown = shown.convert("RGB")
    grey = shown.convert("L")
    light_ink = np.mean((np.asarray(grey, np.float64) - np.median(np.asarray(grey))) ** 3) > 0
    ink = grey if light_ink else ImageOps.invert(grey)
    sizes = {"twice the size": 2.0, "half the size": 0.5}
    scaled = {
        name: shown.resize((round(shown.width * factor), round(shown.height * factor)), Image.Resampling.LANCZOS)
        for name, factor in sizes.items()
    }
    return {
        "inverted": _png(ImageOps.invert(shown)),
        "alpha": _png(Image.merge("LA", (Image.new("L", grey.size, 0), ImageOps.autocontrast(ink)))),
        "re-encoded": file_of(np.asarray(shown, np.float32), "JPEG", quality=80),
        **{name: _png(image) for name, image in scaled.items()},
    }


def _empty_pages(count: int, reader: Reader) -> None:
    """How many blank, flat and noise-only pages are refused."""
    random = np.random.default_rng(11)
    flat = [file_of(np.full((200, 200), random.uniform(0, 255), np.float32)) for _ in range(count)]
    noise = [
        file_of(random.normal(random.uniform(60, 200), random.uniform(1, 60), (240, 320)).astype(np.float32))
        for _ in range(count)
    ]
    for name, pages in (("refused: flat", flat), ("refused: noise", noise)):
        _row(name, sum(map(reader.is_refused, pages)), count)


def _cost() -> None:
    """Milliseconds of one core, beside those of Pillow's own decoding; in this process, so without HTTP."""
    print(f"{'cost':32s} {'Pillow':>9s} {'all':>9s} {'added':>9s}  (ms, median)")  # noqa: T201
    for name, size in (("0.3 megapixel", (640, 480)), ("12 megapixels", (4000, 3000))):
        image = Image.new("RGB", size, (230, 225, 215))
        side = min(size)
        points = [(side * x, side * y) for x, y in ((0.3, 0.2), (0.7, 0.2), (0.45, 0.8))]
        ImageDraw.Draw(image).line(points, fill=(40, 50, 130), width=side // 20, joint="curve")
        for file_format in ("JPEG", "PNG"):
            file = BytesIO()
            image.save(file, format=file_format)
            picture = file.getvalue()
            decode = _milliseconds(lambda picture=picture: _decode(picture))  # type: ignore[misc] # bound at once
            whole = _milliseconds(lambda picture=picture: pixels_from_picture(picture, 25_000_000))  # type: ignore[misc]
            print(f"{name + ' ' + file_format:32s} {decode:9.2f} {whole:9.2f} {whole - decode:9.2f}")  # noqa: T201


def _milliseconds(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_COST_ROUNDS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return 1000 * float(np.median(seconds))


def _decode(picture: bytes) -> None:
    with Image.open(BytesIO(picture)) as image:
        image.draft(None, (512, 512))  # as the service does: most of a large JPEG is never decoded
        image.load()


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def _row(name: str, right: int, count: int) -> None:
    print(f"{name:32s} {right:6d} of {count:6d} {100 * right / max(count, 1):8.2f} %")  # noqa: T201
    sys.stdout.flush()


def _contact_sheet(misses: list[Miss]) -> Image.Image:
    columns = 10
    rows = max(1, -(-len(misses) // columns))
    sheet = Image.new("RGB", (columns * _CELL, rows * (_CELL + 14)), (40, 60, 90))
    draw = ImageDraw.Draw(sheet)
    for index, miss in enumerate(misses):
        left, top = index % columns * _CELL, index // columns * (_CELL + 14)
        image = ImageOps.contain(Image.open(BytesIO(miss.picture)).convert("RGB"), (_CELL - 4, _CELL - 4))
        sheet.paste(image, (left, top + 14))
        draw.text((left, top), miss.text[-20:], fill=(255, 255, 255))
    return sheet


if __name__ == "__main__":
    main()
