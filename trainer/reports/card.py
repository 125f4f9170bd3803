"""Writes a version's model card: what it is for, what it can't do, what it is made of. Plain Markdown."""

import re
from pathlib import Path
from string import Template

from trainer.reports import facts
from trainer.reports.diagnosis import confusion
from trainer.reports.facts import Table
from trainer.reports.findings import Findings
from trainer.writing import written_to

CARD_PATH = Path("assets.extra") / "model_card.md"
_TEMPLATE = Path(__file__).with_name("model_card.md.template")
# All characters with a meaning within a line of Markdown; an underscore inside a word has none.
_MARKUP = re.compile(r"([\\`*{}\[\]<>#|~&]|(?<!\w)_|_(?!\w))")


def write_card(folder: Path, findings: Findings) -> None:
    """Writes `assets.extra/model_card.md` into a version's folder.

    Raises:
        OSError: It can't be written.
    """
    manifest = findings.manifest
    is_digit = manifest["metrics"]["is_digit_threshold"] is not None
    canonical = manifest["dataset"]["canonical"]
    learned_more = manifest["recipe"].get("drawn_fraction")
    images = "MNIST" if canonical else "these images"
    card = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        profile=_plain(facts.profile(manifest)),
        seed=manifest["seed"],
        created=_plain(facts.created(manifest)),
        non_digits=_TELLS if is_digit else _TELLS_NOT,
        writers=_MNIST_WRITERS if canonical else _OTHER_WRITERS,
        choices=_CHOSEN_ON_MNIST if canonical else _CHOSEN_ELSEWHERE,
        beside=f"Beside {images} it {_LEARNED_MORE}" if learned_more else f"It learned from {images} alone.",
        data=_table(facts.data(manifest)),
        metrics=_metrics(findings),
        making=_making(findings),
    )
    path = folder / CARD_PATH
    path.parent.mkdir(exist_ok=True)
    with written_to(path):
        path.write_text(card, encoding="utf-8")


_TELLS = "It also says whether a picture looks like a digit at all (`is_digit`); Metrics shows how often that is wrong."
_LEARNED_MORE = """\
learned from digits drawn by pen after forms that MNIST lacks (a 1 with a flag or a foot, a crossed 7, a
0 that is struck through, a square 6), some chosen by what earlier networks misread of other people's digits (UniPen,
Semeion and Optdigits, and published pictures; it learned from none of these), from digits with grounds, fog, noise,
blur, lines and stripes, and from
outliers: drawn letters, scribbles, joined digits, noise and patterns. The corruptions under Robustness are of the same
families as these disturbances: their figures say little of corruptions of other kinds. The non-digits are made by other
means; printed letters were never learned."""
_MNIST_WRITERS = """\
- Confidence is calibrated on images like MNIST's. On other handwriting, pens and cameras it may be too high.
- MNIST's writers were staff of a United States authority and American students. Digits as written elsewhere (a crossed
  7, a 1 with a long upstroke) are rare among them."""
_OTHER_WRITERS = """\
- Confidence is calibrated on images like those held out. On other handwriting, pens and cameras it may be too high.
- It learned from images that are not MNIST as published. Who wrote them is not known here."""
_CHOSEN_ON_MNIST = """\
The recipes were chosen on MNIST's last 10,000 training images, among which
these are. Nothing was chosen on the test set."""
_CHOSEN_ELSEWHERE = """\
The recipes were chosen on MNIST's last 10,000 training images, not on these:
whether any of those are among the test images here is not known."""
_TELLS_NOT = "It knows digits only: a letter, a doodle or noise gets a digit as well, at times with a high confidence."


def _metrics(findings: Findings) -> str:
    manifest = findings.manifest
    counts = confusion(findings.answers.probabilities, findings.labels)
    tables = [
        facts.headline(findings),
        facts.per_class(counts),
        facts.corruptions(findings),
        facts.non_digits(manifest),
        facts.gate(manifest),
    ]
    return _under_headings(tables)


def _making(findings: Findings) -> str:
    manifest = findings.manifest
    tables = [facts.recipe(manifest), facts.cost(manifest), facts.libraries(manifest), facts.digests(manifest)]
    return _under_headings(tables)


def _under_headings(tables: list[Table]) -> str:
    return "\n\n".join(f"### {each.name}\n\n{_table(each)}" for each in tables if each.rows)


def _table(facts_table: Table) -> str:
    """Writes a table; in Markdown every table has heads."""
    heads = facts_table.heads or ("What", "Value")
    lines = [heads, tuple("---" for _ in heads), *(tuple(map(_plain, row)) for row in facts_table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Puts text on one line, and escapes Markdown and HTML in it."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
