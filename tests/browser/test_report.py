"""The training report under the service's own policy: accessible, also on a phone and in dark mode."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from service.routes.models import _REPORT_POLICY
from tests.browser.conftest import PATIENCE
from tests.browser.test_accessibility import NARROW, WIDE, assert_accessible, lightness
from tests.trainer.made_up import bare_findings, full_findings
from trainer.corruptions import STRENGTHS
from trainer.reports.findings import Findings
from trainer.reports.report import REPORT_PATH, write_report

pytestmark = pytest.mark.browser

ADDRESS = "http://report.invalid/"  # answered by a route inside the browser; nothing else can be reached
EDGE = 50  # more than lines between cells differ in lightness, less than the edge does
OpenReport = Callable[..., Page]


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[OpenReport]:
    """Opens a report as the service serves it; fails if the policy blocks any of it, or if it requests anything."""
    faults: list[str] = []
    with ExitStack() as stack:

        def opened(findings: Findings, **options: Any) -> Page:
            write_report(tmp_path, findings)
            source = (tmp_path / REPORT_PATH).read_text(encoding="utf-8")
            headers = {"Content-Type": "text/html", "Content-Security-Policy": _REPORT_POLICY}
            context = stack.enter_context(browser.new_context(**options))
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.on("console", lambda message: faults.append(message.text))
            page.on("requestfailed", lambda request: faults.append(request.url))
            page.route("**", lambda route: route.abort())
            page.route(ADDRESS, lambda route: route.fulfill(body=source, headers=headers))
            page.goto(ADDRESS)
            return page

        yield opened
    assert not faults


@pytest.mark.parametrize("findings", [full_findings(0.3), bare_findings()], ids=["full", "bare"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing(open_report: OpenReport, viewport: dict[str, int], scheme: str, findings: Findings) -> None:
    """The report is accessible, and dark in dark mode."""
    # Axe is a script, which the policy would block.
    page = open_report(findings, viewport=viewport, color_scheme=scheme, bypass_csp=True)
    assert_accessible(page)
    assert (lightness(page, ground="section >> nth=0") > 128) is (scheme == "light")


def test_a_screen_of_320_pixels_is_enough(open_report: OpenReport) -> None:
    """Tables scroll on their own, the page does not; charts, pictures and each digit's last column fit."""
    page = open_report(full_findings(0.3), viewport=NARROW, has_touch=True, is_mobile=True, bypass_csp=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    wide: list[str] = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(element => !element.parentElement.closest('.scroll')"
        " && element.getBoundingClientRect().right > innerWidth + 0.5).map(element => element.outerHTML.slice(0, 80))"
    )
    assert wide == []
    assert page.evaluate("document.querySelector('[aria-label=\"Confusion matrix\"]').scrollWidth > innerWidth - 60")
    recall = page.get_by_role("columnheader", name="Recall").bounding_box()
    assert recall
    assert recall["x"] + recall["width"] <= NARROW["width"]


@pytest.mark.parametrize("width", [320, 375])
def test_a_phone_shows_every_column_at_once(open_report: OpenReport, width: int) -> None:
    """Recall, bars and strengths are seen without scrolling; text that is longer than its column wraps."""
    findings = full_findings(0.3)
    findings.manifest["metrics"]["corruption_errors"] |= dict.fromkeys(STRENGTHS, 0.0525)
    page = open_report(findings, viewport={"width": width, "height": 640}, has_touch=True, is_mobile=True)
    for name, columns in (("Precision and recall", 4), ("Robustness", 4), ("Non-digits", 3)):
        table = page.get_by_role("region", name=name, exact=True)
        assert table.evaluate("table => table.scrollWidth <= table.clientWidth"), name
        cells = table.locator("tr >> nth=1").locator("th, td")
        boxes = [box for box in map(Locator.bounding_box, cells.all()) if box]
        assert len(boxes) == columns
        assert all(box["width"] > 0 and box["x"] + box["width"] <= width for box in boxes), name
    bar, strength = (
        page.locator(f"tr:has-text('canny edges') > {cell}").bounding_box() for cell in (".bar", ":last-child")
    )
    assert bar
    assert strength
    assert bar["x"] < strength["x"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_edge_shows_that_a_table_scrolls(open_report: OpenReport, scheme: str) -> None:
    """The confusion matrix has an edge at its right until it is scrolled to its end; a table that fits has none."""
    page = open_report(full_findings(0.3), viewport=NARROW, color_scheme=scheme, has_touch=True, is_mobile=True)
    matrix = page.get_by_role("region", name="Confusion matrix")
    assert contrast_of_edge(matrix) > EDGE
    assert contrast_of_edge(page.get_by_role("region", name="Headline")) < EDGE
    matrix.evaluate("matrix => matrix.scrollTo(1000, 0)")
    assert contrast_of_edge(matrix) < EDGE


def contrast_of_edge(table: Locator) -> int:
    """How much the lightness, 0 to 255, varies within a row of pixels at a table's right edge: a median of rows."""
    picture = Image.open(BytesIO(table.screenshot())).convert("L")
    right = np.asarray(picture)[:, -12:-1]
    return int(np.median(np.ptp(right, axis=1)))


def test_the_policy_lets_the_report_draw_itself(open_report: OpenReport) -> None:
    """Under the policy, and without scripts, the report's styles apply and its pictures are there."""
    page = open_report(full_findings(0.3), viewport=WIDE, java_script_enabled=False)
    pictures = page.locator(".wall img")
    assert pictures.count() == 24
    assert pictures.evaluate_all("every => every.every(each => each.complete && each.naturalWidth === 28)")
    box = pictures.first.bounding_box()
    assert box
    assert box["width"] == 84
