"""Asks a running service to read people's own digits and MNIST's in many disguises, and prints how many it reads.

    DIGITS_HANDWRITING=... DIGITS_MNIST=mnist.npz python -m benchmarks.pictures [http://127.0.0.1:8000]

If a variable is missing, its tables are left out. MNIST's test images are for the final run only (`--test`);
rules are chosen on the last 10,000 training images.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np

from benchmarks.cleaning_cost import costs
from benchmarks.contact_sheet import Miss, contact_sheet
from benchmarks.copies import copies_of, inverted
from benchmarks.empty_pages import empty_pages
from benchmarks.kinds import HARDER_KINDS, KINDS
from benchmarks.reader import Reader, answers
from benchmarks.strings import STRING_KINDS, TILTED_KINDS, string_picture, touching_picture
from benchmarks.wild import WILD_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from benchmarks.reader import Answer

    Images = tuple[NDArray[np.uint8], NDArray[np.uint8]]
    Draw = Callable[[NDArray[np.uint8], Generator], bytes]

_TIMEOUT_SECONDS = 60.0
# The reasons that are right for an empty page; too many digits, or two that touch, would be wrong ones.
_NOTHING_SHOWN = ("The picture is blank", "Nothing on the picture stands out", "There is only noise")
_TABLES = ("handwriting", "copies", "kinds", "harder", "polarity", "strings", "touching", "refused", "cost")


@dataclass(frozen=True)
class Sample:
    """MNIST images, their labels, and what the network reads on the unchanged images."""

    images: NDArray[np.uint8]
    labels: list[str]
    untouched: list[str]

    def first(self, count: int) -> Sample:
        """The first `count` of them."""
        return Sample(self.images[:count], self.labels[:count], self.untouched[:count])

    def pictures(self, draw: Draw) -> Iterator[bytes]:
        """Each image drawn as one kind; the first pictures are the same in a sample of any size."""
        return (draw(image, np.random.default_rng([7, place])) for place, image in enumerate(self.images))


def main() -> None:
    """Print the tables."""
    options = _options()
    misses: list[Miss] = []
    with httpx.Client(base_url=options.address, timeout=_TIMEOUT_SECONDS) as client:
        reader = Reader(client)
        if "DIGITS_HANDWRITING" in os.environ:
            misses += _handwriting(Path(os.environ["DIGITS_HANDWRITING"]), reader, options.only)
        if "DIGITS_MNIST" in os.environ:
            misses += _mnist(_images(Path(os.environ["DIGITS_MNIST"]), options.test), reader, options)
        if "refused" in options.only:
            _refused(options.empty, reader)
    if "cost" in options.only:
        _cost()
    if options.sheet:
        contact_sheet(misses).save(options.sheet)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pictures",
        description="Measure how well a running service reads pictures of digits.",
    )
    parser.add_argument("address", nargs="?", default="http://127.0.0.1:8000", help="default %(default)s")
    parser.add_argument("--only", nargs="+", choices=_TABLES, default=_TABLES, metavar="TABLE", help=", ".join(_TABLES))
    parser.add_argument("--count", type=int, default=1000, help="digits of each of the twenty kinds")
    parser.add_argument("--harder-count", type=int, default=300, help="digits of each harder kind")
    parser.add_argument("--polarity-count", type=int, default=100, help="digits of each kind, dark and light")
    parser.add_argument("--strings", type=int, default=1000, help="strings on each ground")
    parser.add_argument("--empty", type=int, default=200, help="empty pages of each sort")
    parser.add_argument("--test", action="store_true", help="use MNIST's test images")
    parser.add_argument("--sheet", type=Path, help="write what was missed, and what the model saw, as a PNG")
    return parser.parse_args()


def _handwriting(folder: Path, reader: Reader, only: Iterable[str]) -> list[Miss]:
    with (folder / "manifest.csv").open() as manifest:
        entries = [((folder / entry["path"]).read_bytes(), entry["label"]) for entry in csv.DictReader(manifest)]
    pictures, labels = [picture for picture, _ in entries], [label for _, label in entries]
    misses: list[Miss] = []
    if "handwriting" in only:
        misses += _measure("handwriting", pictures, labels, reader.digit)
    if "copies" in only:
        misses += _copies(pictures, reader)
    return misses


def _mnist(images: Images, reader: Reader, options: argparse.Namespace) -> list[Miss]:
    sizes = (options.count, options.harder_count, options.polarity_count)
    chosen = np.random.default_rng(1).permutation(len(images[0]))[: max(sizes)]
    shown = images[0][chosen]
    sample = Sample(shown, [str(label) for label in images[1][chosen]], reader.untouched(shown))
    misses: list[Miss] = []
    if "kinds" in options.only:
        misses += _kinds(KINDS, sample.first(options.count), reader)
    if "harder" in options.only:
        for kinds in (HARDER_KINDS, WILD_KINDS):
            misses += _kinds(kinds, sample.first(options.harder_count), reader)
    if "polarity" in options.only:
        misses += _polarity(sample.first(options.polarity_count), reader)
    if "strings" in options.only:
        misses += _strings(images, options.strings, reader)
    if "touching" in options.only:
        _touching(images, options.strings, reader)
    return misses


def _images(path: Path, test: bool) -> Images:  # noqa: FBT001 - private
    with np.load(path, allow_pickle=False) as arrays:
        if test:
            return arrays["x_test"], arrays["y_test"]
        return arrays["x_train"][-10_000:], arrays["y_train"][-10_000:]


def _measure(
    name: str, pictures: Iterable[bytes], labels: list[str], read: Callable[[bytes], Answer], more: str = ""
) -> list[Miss]:
    read_so = zip(answers(pictures, read), labels, strict=True)
    misses = [
        Miss(picture, f"{name} {label}: {answer.text}", answer.seen)
        for (picture, answer), label in read_so
        if answer.text != label
    ]
    _row(name, len(labels) - len(misses), len(labels), more)
    return misses


def _kinds(kinds: tuple[Draw, ...], sample: Sample, reader: Reader) -> list[Miss]:
    """How many of each kind are read, and how many are lost and won compared with the untouched images."""
    count = len(sample.labels)
    known = [text == label for text, label in zip(sample.untouched, sample.labels, strict=True)]
    _row("the network, untouched", sum(known), count)
    misses: list[Miss] = []
    lost_of_all = 0
    for draw in kinds:
        name, right, found = draw.__name__, [], []
        for (picture, answer), label in zip(answers(sample.pictures(draw), reader.digit), sample.labels, strict=True):
            right.append(answer.text == label)
            if not right[-1]:
                found.append(Miss(picture, f"{name} {label}: {answer.text}", answer.seen))
        lost = sum(knows and not reads for knows, reads in zip(known, right, strict=True))
        won = sum(reads and not knows for knows, reads in zip(known, right, strict=True))
        _row(name, sum(right), count, f"lost {lost:3d}, won {won:3d}")
        lost_of_all += lost
        misses += found
    whole = count * len(kinds)
    kept = 100 * (1 - lost_of_all / max(sum(known) * len(kinds), 1))
    _row(f"mean of {len(kinds)} kinds", whole - len(misses), whole, f"kept {kept:.2f} % of what the network reads")
    return misses


def _polarity(sample: Sample, reader: Reader) -> list[Miss]:
    """In how many pictures of each kind, as drawn and inverted, the model sees the digit's ink light on dark."""
    misses: list[Miss] = []
    count = len(sample.labels)
    kinds = (*KINDS, *HARDER_KINDS, *WILD_KINDS)
    for draw in kinds:
        for turn in (bytes, inverted):
            pictures = (turn(picture) for picture in sample.pictures(draw))
            name = f"polarity {draw.__name__}{' inverted' * (turn is inverted)}"
            read = zip(answers(pictures, reader.digit), sample.images, strict=True)
            found = [
                Miss(picture, name, answer.seen) for (picture, answer), image in read if not _is_alike(answer, image)
            ]
            if found:
                _row(name, count - len(found), count)
            misses += found
    whole = 2 * count * len(kinds)
    _row("polarity of all kinds", whole - len(misses), whole)
    return misses


def _is_alike(answer: Answer, image: NDArray[np.uint8]) -> bool:
    """Whether the model saw light pixels where the image has them; with the wrong polarity they are dark."""
    if answer.seen is None or np.ptp(answer.seen) == 0:
        return False
    return bool(np.corrcoef(answer.seen.reshape(-1), image.reshape(-1))[0, 1] > 0)


def _strings(images: Images, count: int, reader: Reader) -> list[Miss]:
    misses: list[Miss] = []
    for draw in (*STRING_KINDS, *TILTED_KINDS):
        drawn = [string_picture(draw, *images, np.random.default_rng([3, number])) for number in range(count)]
        pictures, texts = [picture for picture, _ in drawn], [text for _, text in drawn]
        misses += _measure(f"string {draw.__name__}", pictures, texts, reader.text)
    return misses


def _touching(images: Images, count: int, reader: Reader) -> None:
    """How many strings with two touching digits are refused for that reason, refused for another, read, misread."""
    for draw in STRING_KINDS:
        drawn = [touching_picture(draw, *images, np.random.default_rng([5, number])) for number in range(count)]
        read = answers((picture for picture, _ in drawn), reader.text)
        outcomes = Counter(_outcome(answer, text) for (_, answer), (_, text) in zip(read, drawn, strict=True))
        _row(f"touching {draw.__name__}", outcomes["told"] + outcomes["read"], count, _listed(outcomes))


def _outcome(answer: Answer, text: str) -> str:
    if answer.reason:
        return "told" if "touch" in answer.reason else "refused"
    return "read" if answer.text == text else "misread"


def _copies(pictures: list[bytes], reader: Reader) -> list[Miss]:
    """How many inverted, re-encoded and scaled copies are read like the original picture."""
    expected = [answer.text for _, answer in answers(pictures, reader.digit)]
    copies = [copies_of(picture) for picture in pictures]
    misses: list[Miss] = []
    for name in copies[0]:
        misses += _measure(f"copy {name}", [copy[name] for copy in copies], expected, reader.digit)
    _row("all copies", len(pictures) * len(copies[0]) - len(misses), len(pictures) * len(copies[0]))
    return misses


def _refused(count: int, reader: Reader) -> None:
    """How many pages with no digit are refused with a reason that says so, by /v1/predict and by /v1/read."""
    for name, pictures in empty_pages(count).items():
        for what, read in (("refused", reader.digit), ("refused as a line", reader.text)):
            reasons = Counter(answer.reason or f"read as {answer.text}" for _, answer in answers(pictures, read))
            refused = sum(times for reason, times in reasons.items() if reason.startswith(_NOTHING_SHOWN))
            _row(f"{what}: {name}", refused, count, _listed(reasons))


def _cost() -> None:
    _say(f"{'cost':32s} {'Pillow':>9s} {'all':>9s} {'added':>9s}  (ms, median)")
    for name, decode, everything in costs():
        _say(f"{name:32s} {decode:9.2f} {everything:9.2f} {everything - decode:9.2f}")


def _row(name: str, right: int, count: int, more: str = "") -> None:
    _say(f"{name:36s} {right:6d} of {count:6d} {100 * right / max(count, 1):8.2f} %   {more}".rstrip())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()  # a table takes minutes: show each line at once


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in counts.most_common())


if __name__ == "__main__":
    main()
