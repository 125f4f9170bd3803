import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.answers import prediction
from tests.browser.strokes import DIGITS, draw

pytestmark = pytest.mark.browser


def test_the_page_asks_for_the_key_once(page: Page) -> None:
    """A 401 shows a field; a wrong key is said to be one, the right one answers and is kept for the next question."""
    keys: list[str | None] = []

    def guarded(route: Route) -> None:
        keys.append(route.request.header_value("X-API-Key"))
        if keys[-1] == "right":
            route.fulfill(json=prediction(7))
        else:
            route.fulfill(status=401, json={"status": 401, "detail": "This needs an API key."})

    page.route("**/v1/predict*", guarded)
    expect(page.locator("#key-form")).to_be_hidden()
    draw(page, DIGITS[7])
    expect(page.locator("#sentence")).to_have_text("The service needs a key.")

    for key, sentence in (("wrong", "This key is not accepted."), ("right", re.compile(r"It\slooks\slike\s7"))):
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#sentence")).to_have_text(sentence)
    expect(page.locator("#key-form")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Redo").click()
    expect(page.locator("#sentence")).to_have_text(re.compile(r"It\slooks\slike\s7"))
    assert keys[0] is None
    assert keys[-1] == "right"
    assert page.evaluate("[Object.values(sessionStorage), localStorage.length]") == [["right"], 0]
