from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.answers import prediction, reading
from tests.browser.conftest import OpenPage
from tests.browser.strokes import DIGITS, draw

pytestmark = pytest.mark.browser

# WCAG 2.2 A and AA, and axe's own best practices; axe checks the size of targets only if told to.
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE_OPTIONS = {"runOnly": STANDARDS, "rules": {"target-size": {"enabled": True}}, "resultTypes": ["violations"]}
WIDE = {"width": 1180, "height": 900}
NARROW = {"width": 320, "height": 640}
TARGET = 44  # CSS pixels, big enough for a finger

# For a choice the label is the target; the radio button in it fills all of it except the frame.
SMALL_TARGETS = """side => [...document.querySelectorAll(
    "button, a, summary, textarea, canvas, label:has(input), input:not([type=radio])")]
  .filter(element => element.checkVisibility())
  .map(element => [element.textContent.trim() || element.ariaLabel || element.id, element.getBoundingClientRect()])
  .filter(([, box]) => box.width < side - 0.5 || box.height < side - 0.5)
  .map(([name]) => name)"""
FOCUSED = """(focused => focused.id || focused.value || focused.ariaLabel || focused.textContent.trim())(
  document.activeElement)"""


def assert_accessible(page: Page) -> None:
    """Assert that axe finds no violation on the page as it is shown now."""
    page.wait_for_timeout(400)  # until nothing is half faded
    results = Axe().run(page, options=AXE_OPTIONS)
    assert results.response["violations"] == [], results.generate_report()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing(open_page: OpenPage, viewport: dict[str, int], scheme: str) -> None:
    """The page is accessible when empty, with a result, with everything unfolded, with a problem and with a number."""
    page = open_page(viewport=viewport, color_scheme=scheme, has_touch=viewport == NARROW)
    assert_accessible(page)

    draw(page, DIGITS[7])
    expect(page.locator("#sentence")).to_contain_text("It looks like 7")
    page.locator("summary").click()
    assert_accessible(page)

    page.route("**/v1/predict*", lambda route: route.fulfill(status=503, json={"detail": "Loading."}))
    draw(page, DIGITS[1])
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert_accessible(page)

    page.route("**/v1/read", lambda route: route.fulfill(json=reading((2, 0.9, [60, 10, 200, 200]))))
    page.get_by_label("A number").check()
    page.get_by_role("button", name="Sample 314").click()
    expect(page.locator("#boxes li")).to_have_count(1)
    assert_accessible(page)


def test_axe_finds_nothing_where_there_is_no_digit(open_page: OpenPage) -> None:
    """The message that a drawing doesn't look like a digit is accessible, in forced colours too."""
    page = open_page(viewport=NARROW, forced_colors="active")
    page.route("**/v1/predict*", lambda route: route.fulfill(json=prediction(3, 0.52, is_digit=False)))
    draw(page, DIGITS[3])
    expect(page.locator("#big")).to_have_text("?")
    expect(page.locator("#several")).to_be_visible()
    assert_accessible(page)
    assert page.evaluate(SMALL_TARGETS, TARGET) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_a_key_is_asked_for(open_page: OpenPage, scheme: str) -> None:
    """The key's field and the error about a key are accessible, big enough for a finger, and not cut off anywhere."""
    page = open_page(viewport=NARROW, color_scheme=scheme, has_touch=True)
    page.route("**/v1/predict*", lambda route: route.fulfill(status=401, json={"detail": "A key is needed."}))
    draw(page, DIGITS[3])
    expect(page.locator("#key-form")).to_be_visible()
    assert_accessible(page)

    page.get_by_label("API key").fill("two words")
    page.keyboard.press("Enter")
    expect(page.locator("#key-fault")).to_be_visible()
    assert_accessible(page)
    assert page.evaluate(SMALL_TARGETS, TARGET) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_axe_finds_nothing_where_the_command_is_shown(open_page: OpenPage) -> None:
    """The command in its text box, and a picture that is not a digit, are accessible too."""
    page = open_page("Object.defineProperty(navigator, 'clipboard', { value: undefined });", viewport=WIDE)
    page.route("**/v1/predict*", lambda route: route.fulfill(json=prediction(3, 0.4, is_digit=False)))
    draw(page, DIGITS[3])
    expect(page.locator("#big")).to_have_text("?")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#command")).to_be_visible()

    assert_accessible(page)


def test_the_result_is_announced(page: Page) -> None:
    """The sentence of the result is in a polite live region, and only words change there."""
    draw(page, DIGITS[9])
    live = page.locator("[aria-live=polite]", has=page.locator("#sentence"))

    expect(live).to_contain_text("It looks like 9")
    expect(live).to_have_attribute("role", "status")


def test_everything_can_be_reached_with_the_keyboard(page: Page) -> None:
    """Tab visits every control in visual order, always shows the focus, and never gets stuck."""
    page.get_by_role("button", name="Sample 7").click()
    expect(page.locator("#sentence")).to_contain_text("It looks like 7")
    page.get_by_role("link", name="API reference").focus()
    reached = ["API reference"]
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break  # past the last control
        name = page.evaluate(FOCUSED)
        assert page.evaluate("document.querySelector(':focus-visible') !== null"), name
        reached.append(name)

    before = ["API reference", "digit", "pad", "ink", "size", "undo", "redo", "clear"]
    before += ["open", *(f"Sample {digit}" for digit in range(10)), "Draw with the keyboard", "report", "card", "copy"]
    assert reached == before


def test_buttons_keep_the_focus(page: Page) -> None:
    """A button that has nothing more to do keeps the focus and is marked as disabled."""
    draw(page, DIGITS[7])
    page.get_by_role("button", name="Clear").focus()
    page.keyboard.press("Enter")

    expect(page.locator("#clear")).to_be_focused()
    expect(page.locator("#clear")).to_have_attribute("aria-disabled", "true")


def test_dark_mode(open_page: OpenPage) -> None:
    """In dark mode the page is dark and the ink light, even if the mode changes mid-drawing; it is read alike."""
    page = open_page(viewport=WIDE, color_scheme="light")
    draw(page, DIGITS[7])
    expect(page.locator("#sentence")).to_contain_text("It looks like 7")
    assert lightness(page, ground="body") > 200
    assert ink_lightness(page) < 60

    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => matchMedia('(prefers-color-scheme: dark)').matches")
    page.wait_for_timeout(200)
    assert lightness(page, ground="body") < 60
    assert ink_lightness(page) > 200
    draw(page, [[(10, 97), (12, 97)]])
    expect(page.locator("#sentence")).to_contain_text("It looks like 7")


# The colour of the first pixel of full ink, and that of the paper under it.
INK_AND_PAPER = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const at = data.findIndex((level, index) => index % 4 === 3 && level === 255);
  const ink = at < 0 ? null : `rgb(${data[at - 3]}, ${data[at - 2]}, ${data[at - 1]})`;
  return [ink, getComputedStyle(document.querySelector("#paper")).backgroundColor];
}"""


def test_forced_colours(open_page: OpenPage) -> None:
    """With forced colours the bars, the choice and the ink can still be told from their background."""
    page = open_page(viewport=WIDE, forced_colors="active")
    draw(page, DIGITS[7])
    expect(page.locator("#bars li[data-wins] .digit")).to_have_text("7")

    fill, behind = page.locator("#bars li[data-wins]").evaluate(
        "bar => [getComputedStyle(bar.querySelector('.track'), '::before').backgroundColor,"
        " getComputedStyle(bar).backgroundColor]"
    )
    assert fill != behind
    framed = "bar => getComputedStyle(bar).borderTopColor === getComputedStyle(document.body).backgroundColor"
    hidden_frames = page.locator("#bars li").evaluate_all(f"bars => bars.map({framed})")
    assert hidden_frames == [digit != 7 for digit in range(10)]
    chosen, other = (page.locator("#modes label").nth(at) for at in (0, 1))
    colours = [each.evaluate("label => getComputedStyle(label).backgroundColor") for each in (chosen, other)]
    assert colours[0] != colours[1]
    ink, paper = page.locator("#pad").evaluate(INK_AND_PAPER)
    assert ink is not None
    assert ink != paper


@pytest.mark.parametrize(("wish", "moves"), [("reduce", False), ("no-preference", True)])
def test_reduced_motion(open_page: OpenPage, wish: str, moves: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Nothing moves for users who asked for reduced motion."""
    page = open_page(viewport=WIDE, reduced_motion=wish)
    draw(page, DIGITS[7])
    expect(page.locator("#bars li[data-wins]")).to_have_count(1)
    durations = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(element => ['', '::before', '::after'].map("
        "part => { const style = getComputedStyle(element, part || null);"
        " return parseFloat(style.transitionDuration) + parseFloat(style.animationDuration || 0); }))"
    )

    assert (max(durations) > 0) is moves


@pytest.mark.parametrize("mode", ["One digit", "A number"])
def test_a_screen_of_320_pixels_is_enough(open_page: OpenPage, mode: str) -> None:
    """Nothing is cut off at the side, and every target is big enough for a finger."""
    page = open_page(viewport=NARROW, has_touch=True, is_mobile=True)
    page.route(
        "**/v1/read", lambda route: route.fulfill(json=reading(*[(d, 0.9, [9, 9, 9, 9]) for d in range(10)] * 3))
    )
    page.get_by_label(mode).check()
    page.locator("#samples button").first.click()
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")
    page.locator("summary").click()

    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    wide: list[Any] = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(element => element.checkVisibility()"
        " && element.getBoundingClientRect().right > innerWidth + 0.5).map(element => element.outerHTML.slice(0, 80))"
    )
    assert wide == []
    overflowing = "buttons => buttons.filter(button => button.scrollWidth > button.clientWidth).length"
    assert page.locator("button:visible").evaluate_all(overflowing) == 0
    assert page.evaluate(SMALL_TARGETS, TARGET) == []
    expect(page.get_by_role("button", name="Take a photo")).to_be_visible()


def test_the_answer_is_near_the_paper_on_a_phone(open_page: OpenPage) -> None:
    """On a narrow screen the answer comes right after the paper and its tools, before anything else."""
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    draw(page, DIGITS[7])
    expect(page.locator("#sentence")).to_contain_text("It looks like 7")
    box = page.locator("#sentence").bounding_box()

    assert box
    assert box["y"] + box["height"] < 844


def lightness(page: Page, ground: str) -> float:
    """The lightness of an element's background, 0 to 255."""
    levels: list[int] = page.locator(ground).evaluate(
        "element => getComputedStyle(element).backgroundColor.match(/\\d+/g).map(Number)"
    )
    return sum(levels) / len(levels)


def ink_lightness(page: Page) -> float:
    """The mean lightness of the ink on the paper, 0 to 255."""
    level: float = page.locator("#pad").evaluate(
        """canvas => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const inked = data.filter((level, at) => at % 4 === 0 && data[at + 3] > 250);
          return inked.reduce((sum, level) => sum + level, 0) / inked.length;
        }"""
    )
    return level
