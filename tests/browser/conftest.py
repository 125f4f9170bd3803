import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.service.process import READY_SECONDS, Process
from tests.service.running import wait_until

OpenPage = Callable[..., Page]

# Milliseconds; an idle machine needs a tenth of it. Playwright's own limit is too short for a busy one.
PATIENCE = 20_000
# --no-sandbox: Chromium refuses to run as root with its sandbox. --disable-gpu: test machines have none. The others
# keep it from making requests of its own.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def service(released_store: Path, program_cache: Path) -> Iterator[Process]:
    """A process that serves the released model."""
    process = Process(released_store, program_cache)
    wait_until(process.ready, READY_SECONDS)
    yield process
    process.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's own Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("These tests need Chromium on the PATH; on Debian: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, service: Process) -> Iterator[OpenPage]:
    """Opens the page in a new context with Playwright's options; fails on errors in its scripts or policy."""
    faults: list[str] = []
    with ExitStack() as stack:

        def opened(script: str = "", **options: Any) -> Page:
            context = stack.enter_context(browser.new_context(base_url=str(service.client.base_url), **options))
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: faults.extend(_fault(message.text)))
            if script:
                page.add_init_script(script)
            page.goto("/")
            expect(page.locator("#version")).to_have_text("digits, version 1")
            return page

        yield opened
    assert not faults


def _fault(message: str) -> list[str]:
    return [message] if "Content Security Policy" in message else []


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """The page in a window of a usual size."""
    return open_page(viewport={"width": 1180, "height": 900})
