"""The training report under the service's own policy: readable by everyone, on a phone and in the dark."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from service.routes.models import _REPORT_POLICY
from tests.browser.conftest import PATIENCE
from tests.browser.test_accessibility import NARROW, WIDE, assert_accessible, lightness
from tests.trainer.made_up import bare_findings, full_findings
from trainer.findings import Findings
from trainer.report import REPORT_PATH, write_report

pytestmark = pytest.mark.browser

ADDRESS = "http://report.invalid/"  # answered by the browser's own route; nothing else can be reached
OpenReport = Callable[..., Page]


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[OpenReport]:
    """Opens a report as the service serves it; fails if its policy forbids any of it, or if it asks for anything."""
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
    """The report is accessible, and in the dark it is dark."""
    # Axe is a script, which the policy would not let run.
    page = open_report(findings, viewport=viewport, color_scheme=scheme, bypass_csp=True)
    assert_accessible(page)
    assert (lightness(page, ground="section >> nth=0") > 128) is (scheme == "light")


def test_a_screen_of_320_pixels_is_enough(open_report: OpenReport) -> None:
    """Tables scroll inside themselves, the page does not; charts and pictures fit."""
    page = open_report(full_findings(0.3), viewport=NARROW, has_touch=True, is_mobile=True, bypass_csp=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    wide: list[str] = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(element => !element.parentElement.closest('.scroll')"
        " && element.getBoundingClientRect().right > innerWidth + 0.5).map(element => element.outerHTML.slice(0, 80))"
    )
    assert wide == []
    assert page.evaluate("document.querySelector('[aria-label=\"Confusion matrix\"]').scrollWidth > innerWidth - 60")


def test_the_policy_lets_the_report_draw_itself(open_report: OpenReport) -> None:
    """Under the policy, where no script runs, its styles apply and its pictures are there."""
    page = open_report(full_findings(0.3), viewport=WIDE, java_script_enabled=False)
    pictures = page.locator(".wall img")
    assert pictures.count() == 24
    assert pictures.evaluate_all("every => every.every(each => each.complete && each.naturalWidth === 28)")
    box = pictures.first.bounding_box()
    assert box
    assert box["width"] == 84
