"""The report: complete, escaped, closed to the network, and silent on what was not measured."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.trainer.made_up import GATE, bare_findings, epoch, full_findings
from trainer.reports.diagnosis import confident_mistakes
from trainer.reports.findings import Findings
from trainer.reports.report import REPORT_PATH, write_report

VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """A page's elements and words; fails if an element is not closed where it should be."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words += f"{data} ".replace("\N{NO-BREAK SPACE}", " ")

    def attributes(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def written(folder: Path, findings: Findings) -> str:
    """The report's source."""
    write_report(folder, findings)
    return (folder / REPORT_PATH).read_text(encoding="utf-8")


def headings(source: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", source)


def test_everything_known_is_told(tmp_path: Path) -> None:
    """The headline, the cost, the gate, the slices and the origin stand in the page in words."""
    findings = full_findings()
    words = Page(written(tmp_path, findings)).words
    errors = findings.manifest["metrics"]["test_errors"]
    assert f"{errors} of 200 images" in words
    assert f"{100 - errors / 2:.2f} %" in words
    assert "97.00 % (91.55 to 98.97)" in words  # Wilson's interval of 97 of 100
    for told in (
        "12,345",
        "1,000,000 (two for",
        "43.2 µs (LiteRT, one thread",
        "motion blur",
        "6.25 %",
        "letters",
        "21.25 %",
        "0.481",
    ):
        assert told in words
    for told in ("version 4", "11 images", "8, 16", "41", "d1ce" * 16, "5eed" * 16, "2.4.6", "2026-11-22 20:40:00 UTC"):
        assert told in words
    assert "1.00 % (0.27 to 3.57)" in words  # 2 of 200 digits are under the threshold


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    """Without history, gate, slices, time and is_digit there is no heading, row or empty table for them."""
    full, bare = written(tmp_path, full_findings()), written(tmp_path, bare_findings())
    absent = {"Training", "Quality gate", "Robustness", "Non-digits"}
    assert set(headings(full)) - set(headings(bare)) == absent
    words = Page(bare).words
    assert not [word for word in ("None", "Time for an image", "threshold", "refused", "git commit") if word in words]
    assert not re.search("<tbody></tbody>", bare)
    assert "$" not in bare


def test_first_version_has_a_gate_without_comparison(tmp_path: Path) -> None:
    """Without a version to compare with only the floor is shown; that force was used is admitted."""
    findings = bare_findings()
    findings.manifest["gate"] = {**GATE, "compared_version": None, "p_value": None, "passed": False, "forced": True}
    words = Page(written(tmp_path, findings)).words
    assert "not passed, published by force" in words
    assert "98.50 %" in words
    assert "McNemar" not in words
    assert "Compared with" not in words


def test_no_mistakes_no_pictures(tmp_path: Path) -> None:
    """A version without mistakes has a report too."""
    source = written(tmp_path, bare_findings(wrong_share=0))
    assert "Most confident mistakes" not in headings(source)
    assert "<img" not in source
    assert "100.00 %" in Page(source).words


def test_mistakes_are_shown_as_they_are(tmp_path: Path) -> None:
    """The pictures are the misread test images pixel for pixel, with label, answer and confidence under each."""
    findings = full_findings(wrong_share=0.3)
    source = written(tmp_path, findings)
    mistakes = confident_mistakes(findings.answers.probabilities, findings.labels, 24)
    shown = re.findall('<img src="data:image/png;base64,([^"]+)".*?<figcaption>(.*?)</figcaption>', source)
    assert len(shown) == len(mistakes) == 24
    for (encoded, caption), mistake in zip(shown, mistakes, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
            np.testing.assert_array_equal(np.asarray(picture), findings.images[mistake.index])
        assert f"{mistake.label} read as {mistake.answer}" in caption
        assert f"{100 * mistake.confidence:.2f} %" in caption


def test_confusion_matrix_has_the_counts(tmp_path: Path) -> None:
    """The matrix's cells add up to the test set, the framed ones to the right answers."""
    findings = full_findings()
    matrix = re.search('<table class="matrix">.*?</table>', written(tmp_path, findings))
    assert matrix
    right = [int(count) for count in re.findall('<td class="right">([0-9]+)', matrix.group())]
    wrong = [int(count) for count in re.findall('<td class="wrong"[^>]*>([0-9]+)', matrix.group())]
    assert len(right) == 10
    assert sum(right) + sum(wrong) == 200
    assert sum(wrong) == findings.manifest["metrics"]["test_errors"]


def test_nothing_is_fetched_and_nothing_runs(tmp_path: Path) -> None:
    """The page has no script, no address but data URLs, and a policy that forbids both."""
    source = written(tmp_path, full_findings())
    page = Page(source)
    assert not {tag for tag, _ in page.elements} & {"script", "iframe", "object", "embed", "base", "form", "a"}
    assert all(url.startswith("data:") for name in ("src", "href", "srcset") for url in page.attributes(name))
    assert not [attributes for _, attributes in page.elements if any(name.startswith("on") for name in attributes)]
    assert not re.search(r"http:|https:|//|url\(|@import", source.replace(";base64,", "").split("<main>")[0])
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert policy in page.attributes("content")


def test_identifiers_and_regions_are_unique(tmp_path: Path) -> None:
    """No two elements have the same id, no two regions the same name."""
    page = Page(written(tmp_path, full_findings()))
    identifiers = page.attributes("id")
    regions = [attributes["aria-label"] for _, attributes in page.elements if attributes.get("role") == "region"]
    assert len(identifiers) == len(set(identifiers)) == 6
    assert len(regions) == len(set(regions)) > 8


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="<>&\"'$/abc{}", min_size=1), st.text(alphabet="<>&\"'$/abc{}", min_size=1))
def test_text_from_data_is_escaped(tmp_path: Path, name: str, value: str) -> None:
    """Whatever the name of a recipe, a library or a slice, it is text on the page, and adds no element."""
    name, value = f"n{name}", f"v{value}v"
    plain, hostile = (
        full_findings(recipe={"profile": "p", "n": "v"}),
        full_findings(recipe={"profile": value, name: value}),
    )
    for findings, key, word in ((plain, "n", "v"), (hostile, name, value)):
        manifest = findings.manifest
        manifest["libraries"] = {key: word}
        manifest["dataset"]["name"] = word
        manifest["created"] = word
        manifest["metrics"]["corruption_errors"] = {key: 0.5}
        manifest["metrics"]["non_digits_accepted"] = {key: 0.5}
    expected, page = Page(written(tmp_path, plain)), Page(written(tmp_path, hostile))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in expected.elements]
    assert page.words.count(value) >= 4
    assert name in page.words


def test_loss_of_is_digit_is_owned_up_to(tmp_path: Path) -> None:
    """The note says what the training loss is, and that it has one more term if there are outliers."""
    plain = Page(written(tmp_path, full_findings(recipe={"profile": "fast", "outliers_per_batch": 0}))).words
    assert "the mean over the epoch's steps" in plain
    assert "(is_digit)" not in plain
    telling = full_findings(recipe={"profile": "best", "outliers_per_batch": 32, "outlier_weight": 0.5})
    assert "telling outliers from digits (is_digit), times 0.5" in Page(written(tmp_path, telling)).words


@pytest.mark.parametrize("losses", [[0.5], [float("nan")], [0.5, float("inf"), 0.25]])
def test_history_of_any_kind(tmp_path: Path, losses: list[float]) -> None:
    """One epoch is drawn; one whose loss is not finite is left out; if none is left, there is no chart."""
    history = [epoch(number, loss) for number, loss in enumerate(losses, 1)]
    source = written(tmp_path, replace(bare_findings(), history=history))
    points = re.findall('<polyline points="([^"]*)"', source)
    finite = sum(np.isfinite(losses))
    assert [len(each.split()) for each in points] == ([finite] * 3 if finite else [])
    assert not set(Page(source).words.split()) & {"nan", "inf"}


def test_report_is_small(tmp_path: Path) -> None:
    """With all its pictures the page is small enough for any phone."""
    assert len(written(tmp_path, full_findings(wrong_share=0.3))) < 150_000
