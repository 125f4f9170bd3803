import base64
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.answers import prediction
from tests.browser.conftest import OpenPage
from tests.browser.strokes import DIGITS, draw, on_paper, picture_of
from tests.service.process import Process

pytestmark = pytest.mark.browser

PHONE = {"width": 320, "height": 640}
DESKTOP = {"width": 1280, "height": 900}
# Milliseconds: longer than a hand must rest before the page scrolls to what is wrong.
RESTED = 2500
AT_THE_END = "scrollTo(0, document.documentElement.scrollHeight)"
WITH_FILE = """([kind, picture]) => {
  const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "five.png", { type: "image/png" }));
  dispatchEvent(kind === "drop" ? new DragEvent(kind, { dataTransfer: transfer, cancelable: true })
    : new ClipboardEvent(kind, { clipboardData: transfer, cancelable: true }));
}"""
HOW_IT_SCROLLS = """window.ways = [];
const scroll = Element.prototype.scrollIntoView;
Element.prototype.scrollIntoView = function (way) {
  if (way && way.behavior) window.ways.push(way.behavior);
  scroll.call(this, way);
};"""


def place(page: Page) -> float:
    """How far the page is scrolled."""
    at: float = page.evaluate("scrollY")
    return at


def ask_for_a_key(page: Page) -> None:
    """Let every question end with a 401."""
    page.route("**/v1/predict*", lambda route: route.fulfill(status=401, json={"detail": "A key is needed."}))


def whole(page: Page, selector: str) -> None:
    """Wait until all of a part of the page is in view."""
    expect(page.locator(selector)).to_be_in_viewport(ratio=0.99)


@pytest.mark.parametrize("source", ["sample", "file", "photo", "drop", "paste"])
def test_the_answer_to_what_was_not_drawn_comes_into_view(open_page: OpenPage, source: str) -> None:
    """On a phone, the page scrolls from its end to the answer to a sample or a picture; the focus stays."""
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True)
    picture = picture_of(5)
    if source == "sample":
        page.get_by_role("button", name="Sample 5").focus()
    page.evaluate(AT_THE_END)
    expect(page.locator("#result")).not_to_be_in_viewport()
    focused = page.evaluate("document.activeElement.ariaLabel")
    if source == "sample":
        page.keyboard.press("Enter")
    elif source in ("file", "photo"):
        file: Any = {"name": "five.png", "mimeType": "image/png", "buffer": picture}
        page.locator(f"#{source}").set_input_files(file)
    else:
        page.evaluate(WITH_FILE, [source, base64.b64encode(picture).decode()])

    expect(page.locator("#sentence")).to_contain_text("It looks like 5")
    whole(page, "#result")
    assert page.evaluate("document.activeElement.ariaLabel") == focused


def test_an_answer_in_view_moves_nothing(open_page: OpenPage) -> None:
    """Where the answer can be seen, the page stays where it is."""
    page = open_page(viewport=DESKTOP)
    page.evaluate("scrollTo(0, 40)")
    page.get_by_role("button", name="Sample 4").click()
    expect(page.locator("#sentence")).to_contain_text("It looks like 4")
    page.wait_for_timeout(500)

    assert place(page) == 40


@pytest.mark.parametrize(("wish", "way"), [("reduce", "instant"), ("no-preference", "smooth")])
def test_it_glides_only_where_that_is_wanted(open_page: OpenPage, wish: str, way: str) -> None:
    """For users who asked for less motion the page jumps to the answer."""
    page = open_page(HOW_IT_SCROLLS, viewport=PHONE, reduced_motion=wish)
    page.get_by_role("button", name="Sample 4").click()
    expect(page.locator("#sentence")).to_contain_text("It looks like 4")
    whole(page, "#result")

    assert page.evaluate("window.ways") == [way]


def test_the_paper_stays_below_the_hand(open_page: OpenPage) -> None:
    """An answer to a stroke scrolls nothing, even if out of view; nor does a sample's, once a stroke has begun."""
    page = open_page(viewport=PHONE)
    draw(page, DIGITS[7])
    expect(page.locator("#sentence")).to_contain_text("It looks like 7")
    page.wait_for_timeout(RESTED)
    assert place(page) == 0

    held: list[Any] = []
    page.route("**/v1/predict*", lambda route: held.append(route), times=1)
    page.get_by_role("button", name="Sample 4").click()
    page.wait_for_function("document.getElementById('result').ariaBusy === 'true'")
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(*on_paper(page, (50, 50)))
    page.mouse.down()
    held[0].fulfill(json=prediction(4))
    expect(page.locator("#sentence")).to_contain_text("It looks like 4")
    page.wait_for_timeout(500)
    assert place(page) == 0
    page.mouse.up()


def test_what_the_service_lacks_comes_into_view_when_the_hand_rests(open_page: OpenPage) -> None:
    """The page does not scroll to the key's field between two strokes; it does afterwards, without moving the focus."""
    page = open_page(viewport=PHONE)
    ask_for_a_key(page)
    draw(page, DIGITS[4][:1])
    expect(page.locator("#sentence")).to_have_text("The service needs a key.")
    assert place(page) == 0

    draw(page, DIGITS[4][1:])
    whole(page, "#key-form")
    expect(page.locator("#key")).not_to_be_focused()


def test_a_picture_that_cannot_be_read_moves_no_paper(open_page: OpenPage) -> None:
    """A problem with a drawing is solved on the paper, so the page does not scroll away from it."""
    page = open_page(viewport=PHONE)
    page.route("**/v1/predict*", lambda route: route.fulfill(status=422, json={"detail": "It is blank."}))
    draw(page, DIGITS[4])
    expect(page.locator("#sentence")).to_have_text("It is blank.")
    page.wait_for_timeout(RESTED)

    assert place(page) == 0


def test_the_keys_field_comes_into_view_on_a_desktop(open_page: OpenPage) -> None:
    """In a low window, a sample at the end of the page brings the key's field into view at once."""
    page = open_page(viewport={"width": 1280, "height": 500})
    ask_for_a_key(page)
    page.evaluate(AT_THE_END)
    expect(page.locator("#result")).not_to_be_in_viewport()
    page.get_by_role("button", name="Sample 9").click()

    whole(page, "#key-form")
    expect(page.locator("#key")).not_to_be_focused()


def test_who_scrolls_on_is_left_alone(open_page: OpenPage) -> None:
    """The page scrolls to what is wrong once, not again and again."""
    page = open_page(viewport=PHONE)
    ask_for_a_key(page)
    page.get_by_role("button", name="Sample 9").click()
    whole(page, "#key-form")
    page.wait_for_timeout(500)
    page.evaluate(AT_THE_END)
    end = place(page)
    page.wait_for_timeout(RESTED)

    assert place(page) == end


def test_a_notice_about_a_file_comes_into_view(open_page: OpenPage) -> None:
    """From the end of the page, the page scrolls to the notice below the paper about a drop without a file."""
    page = open_page(viewport=PHONE)
    page.evaluate(AT_THE_END)
    page.evaluate("dispatchEvent(new DragEvent('drop', { dataTransfer: new DataTransfer(), cancelable: true }))")

    expect(page.locator("#notice")).to_contain_text("There is no file")
    whole(page, "#notice")


def test_pictures_and_samples_come_before_the_bars_on_a_phone(open_page: OpenPage) -> None:
    """From top to bottom, and in the order of reading and of Tab: the paper, the answer, other pictures, the bars."""
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True)
    parts = [page.locator(selector) for selector in ("#pad", "#result", "#camera", "#samples", "#bars")]
    tops = [box["y"] for part in parts if (box := part.bounding_box())]
    assert len(tops) == len(parts)
    assert tops == sorted(tops)
    order = page.locator("#pad, #result, #camera, #samples, #bars").evaluate_all("parts => parts.map(part => part.id)")
    assert order == ["pad", "result", "camera", "samples", "bars"]


def test_all_of_the_answer_fits_on_a_phone_held_sideways(open_page: OpenPage) -> None:
    """The digit, the sentence and what the model saw are seen together."""
    page = open_page(viewport={"width": 750, "height": 340}, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="Sample 3").click()
    expect(page.locator("#sentence")).to_contain_text("It looks like 3")

    whole(page, "#result")


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_without_scripts_the_page_says_so_first(browser: Browser, service: Process, viewport: Any) -> None:
    """Above the controls, which do nothing then, the page says that it needs JavaScript and that the API does not."""
    with browser.new_context(
        base_url=str(service.client.base_url), java_script_enabled=False, viewport=viewport
    ) as context:
        page = context.new_page()
        page.goto("/")
        notice = page.locator("noscript p")
        expect(notice).to_contain_text("The page needs JavaScript.")
        expect(notice).to_be_in_viewport(ratio=1)
        said, modes = notice.bounding_box(), page.locator("#modes").bounding_box()
        assert said
        assert modes
        assert said["y"] + said["height"] <= modes["y"]
