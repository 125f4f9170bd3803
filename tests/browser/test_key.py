import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.answers import prediction
from tests.browser.conftest import OpenPage
from tests.browser.strokes import DIGITS, draw

pytestmark = pytest.mark.browser

SEVEN = re.compile(r"It\slooks\slike\s7")
# As Chromium and Firefox do with site data blocked.
NO_STORAGE = """Object.defineProperty(window, "sessionStorage", {
  get() { throw new DOMException("Access is denied for this document.", "SecurityError"); },
});"""


def test_the_page_asks_for_the_key_once(page: Page) -> None:
    """A 401 shows a field for the key; a wrong key is reported, the right one gets an answer and is kept for later."""
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

    for key, sentence in (("wrong", "This key is not accepted."), ("right", SEVEN)):
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#sentence")).to_have_text(sentence)
    expect(page.locator("#key-form")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Redo").click()
    expect(page.locator("#sentence")).to_have_text(SEVEN)
    assert keys[0] is None
    assert keys[-1] == "right"
    assert page.evaluate("[Object.values(sessionStorage), localStorage.length]") == [["right"], 0]


@pytest.mark.parametrize("key", ["\u201csecret\u201d", "sch\u00fcssel", "two words", "   "])
def test_what_cannot_be_a_key_is_refused_beside_its_field(page: Page, key: str) -> None:
    """A key that no header can carry is neither sent nor kept: the field says why, and takes another one."""
    page.route("**/v1/predict*", ask_for_a_key)
    draw(page, DIGITS[7])
    field = page.get_by_label("API key")
    field.fill(key)
    field.press("Enter")

    expect(page.locator("#key-fault")).to_be_visible()
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("letters, digits and signs"))
    expect(page.locator("#sentence")).to_have_text("The service needs a key.")
    assert page.evaluate("sessionStorage.length") == 0

    field.fill("right")
    field.press("Enter")
    expect(page.locator("#sentence")).to_have_text(SEVEN)


def test_a_kept_key_that_cannot_be_sent_is_forgotten(open_page: OpenPage) -> None:
    """A bad key that an earlier page has kept does not make every question fail."""
    page = open_page("sessionStorage.setItem('digits-api-key', '\u201csecret\u201d');")
    page.route("**/v1/predict*", ask_for_a_key)
    draw(page, DIGITS[7])

    expect(page.locator("#sentence")).to_have_text("The service needs a key.")


def test_the_page_works_where_nothing_may_be_kept(open_page: OpenPage) -> None:
    """With site data blocked the page answers, also with a key, which lasts until the page is reloaded."""
    page = open_page(NO_STORAGE)
    draw(page, DIGITS[7])
    expect(page.locator("#sentence")).to_have_text(SEVEN)
    page.route("**/v1/predict*", ask_for_a_key)
    draw(page, DIGITS[7])
    page.get_by_label("API key").fill("right")
    page.get_by_role("button", name="Use it").click()

    expect(page.locator("#sentence")).to_have_text(SEVEN)


def test_undoing_in_the_keys_field_leaves_the_drawing_alone(page: Page) -> None:
    """Ctrl+Z in the field undoes the typing, not the drawing."""
    page.route("**/v1/predict*", ask_for_a_key)
    draw(page, DIGITS[7])
    field = page.get_by_label("API key")
    field.click()
    page.keyboard.type("wrogn")
    expect(field).to_have_value("wrogn")
    page.keyboard.press("Control+Z")

    expect(field).not_to_have_value("wrogn")
    expect(page.get_by_role("button", name="Redo")).to_have_attribute("aria-disabled", "true")


@pytest.mark.parametrize("by", ["field", "button"])
def test_the_focus_stays_near_when_the_keys_field_goes(page: Page, by: str) -> None:
    """After the right key the focus is on the answer, not at the top of the page; after a wrong one where it was."""
    page.route("**/v1/predict*", ask_for_a_key)
    draw(page, DIGITS[7])
    field, button = page.get_by_label("API key"), page.get_by_role("button", name="Use it")
    pressed = field if by == "field" else button
    field.fill("wrong")
    pressed.press("Enter")
    expect(page.locator("#sentence")).to_have_text("This key is not accepted.")
    expect(pressed).to_be_focused()

    field.fill("right")
    pressed.press("Enter")
    expect(page.locator("#sentence")).to_have_text(SEVEN)
    expect(page.locator("#sentence")).to_be_focused()


def ask_for_a_key(route: Route) -> None:
    """Answer requests with the right key, and ask the others for it."""
    if route.request.headers.get("x-api-key") == "right":
        route.fulfill(json=prediction(7))
    else:
        route.fulfill(status=401, json={"status": 401, "detail": "This needs an API key."})
