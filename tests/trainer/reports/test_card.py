"""The model card: plain Markdown with all that a reader must know before using a version."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trainer.made_up import bare_findings, full_findings
from trainer.reports.card import CARD_PATH, write_card
from trainer.reports.findings import Findings


def written(folder: Path, findings: Findings) -> str:
    """The card's text."""
    write_card(folder, findings)
    return (folder / CARD_PATH).read_text(encoding="utf-8")


def headings(card: str) -> list[str]:
    return re.findall("^#+ (.*)$", card, re.MULTILINE)


def test_card_has_its_parts(tmp_path: Path) -> None:
    """Use, limits, data, metrics and origin have their headings, and the figures are those of the manifest."""
    card = written(tmp_path, full_findings())
    parts = re.findall("^## (.*)$", card, re.MULTILINE)
    assert parts == ["Intended use", "Limits", "Data", "Metrics", "How it was made"]
    for told in (
        "97.00 % (91.55 to 98.97)",
        "| motion blur | 6.25 % | over 3 pixels",
        "| letters | 21.25 % |",
        "| seed | 41 |",
    ):
        assert told in card
    for told in ("| Training images | 1,100 |", "version 4", "d1ce" * 16, "12,345", "other arrays than the published"):
        assert told in card
    assert "$" not in card


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    """A bare version's card has no heading for gate and slices, and says that non-digits get a digit."""
    full, bare = written(tmp_path, full_findings()), written(tmp_path, bare_findings())
    assert set(headings(full)) - set(headings(bare)) == {"Quality gate", "Robustness", "Non-digits"}
    assert "None" not in bare
    assert "It knows digits only" in bare
    assert "It knows digits only" not in full


def test_card_says_what_was_chosen_on_what(tmp_path: Path) -> None:
    """The card says what was fitted to the held-out images, and what was chosen on which images."""
    findings = full_findings(recipe={"profile": "best", "drawn_fraction": 0.05})
    findings.manifest["dataset"]["canonical"] = True
    words = " ".join(written(tmp_path, findings).split())
    assert "The recipes were chosen on MNIST's last 10,000 training images, among which these are." in words
    assert "misread of other people's digits (UniPen, Semeion and Optdigits" in words
    assert "seed is released" not in words  # true of one version only


def test_card_of_other_images_does_not_call_them_mnist(tmp_path: Path) -> None:
    """For images other than MNIST as published the card claims neither MNIST's writers nor choices made on MNIST."""
    for drawn in (0.0, 0.05):
        findings = full_findings(recipe={"profile": "best", "drawn_fraction": drawn})
        words = " ".join(written(tmp_path, findings).split())
        for claim in (
            "MNIST's writers",
            "from MNIST alone",
            "Beside MNIST it",
            "among which these",
            "images like MNIST's",
        ):
            assert claim not in words
        assert "images that are not MNIST as published" in words
        assert "these images" in words


def test_what_it_learned_beside_mnist_is_said(tmp_path: Path) -> None:
    """The card says if a version learned from drawings and disturbances, and what its robustness figures are worth."""
    findings = full_findings(recipe={"profile": "fast", "drawn_fraction": 0.0})
    findings.manifest["dataset"]["canonical"] = True
    assert "It learned from MNIST alone." in written(tmp_path, findings)
    beside = written(tmp_path, full_findings(recipe={"profile": "best", "drawn_fraction": 0.05}))
    assert "same\nfamilies as these" in beside


@pytest.mark.parametrize("findings", [full_findings(), bare_findings()], ids=["full", "bare"])
def test_tables_are_even(tmp_path: Path, findings: Findings) -> None:
    """Every row of a table has as many cells as its head."""
    tables = re.findall(r"(?:^\|.*\|\n?)+", written(tmp_path, findings), re.MULTILINE)
    assert len(tables) >= 7
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="<>&|`*_[]#\\\n$ab", min_size=1))
def test_text_from_data_is_plain(tmp_path: Path, hostile: str) -> None:
    """Whatever text a value has, it adds no heading, row, cell, code, link or element."""
    plain = written(tmp_path, full_findings(recipe={"profile": "fast", "name": "value"}))
    card = written(tmp_path, full_findings(recipe={"profile": "fast", "name": f"value{hostile}"}))
    assert headings(card) == headings(plain)
    assert len(card.splitlines()) == len(plain.splitlines())
    (line,) = (line for line in card.splitlines() if line.startswith("| name |"))
    assert line.startswith("| name | value")
    text = re.sub(r"\\.", "", line)  # without escaped characters
    assert text.count("|") == 3
    assert not set(text) & set("<>&`*[]#\\")
