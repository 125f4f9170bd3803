from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import FloatRect, Page, expect

from tests.browser.answers import prediction, reading
from tests.browser.strokes import DIGITS, NEXT_FRAME, PAPER, Place, draw, picture_of

pytestmark = pytest.mark.browser

# Boxes in pixels of the picture that the page sends, 560 x 280.
TWENTY_FIVE = reading((2, 0.99, [70, 56, 140, 168]), (5, 0.87, [350, 56, 112, 180]))


def read_numbers(page: Page) -> None:
    """Switch to the mode that reads numbers."""
    page.get_by_label("A number").check()
    expect(page.locator("#hint")).to_have_text("Draw a number here")


def answer_with(page: Page, answer: dict[str, object]) -> None:
    """Let `/v1/read` give this answer."""
    page.route("**/v1/read", lambda route: route.fulfill(json=answer))


def place_of(page: Page, selector: str, at: int = 0) -> FloatRect:
    """Where an element is in the window."""
    box = page.locator(selector).nth(at).bounding_box()
    assert box
    return box


def assert_on(page: Page, at: int, expected: tuple[float, float, float, float]) -> None:
    """Assert that box `at` covers a part of the paper: left, top, width, height in hundredths of the paper's height."""
    paper, box = place_of(page, "#pad"), place_of(page, "#boxes li", at)
    unit = paper["height"] / 100
    found = (box["x"] - paper["x"], box["y"] - paper["y"], box["width"], box["height"])
    assert [length / unit for length in found] == pytest.approx(expected, abs=1)


def test_a_number_is_read_with_its_boxes(page: Page) -> None:
    """The digits of a number are shown as text, with a confidence each, and framed on the paper."""
    answer_with(page, TWENTY_FIVE)
    read_numbers(page)
    draw(page, DIGITS[2])

    expect(page.locator("#sentence")).to_have_text("It reads 25")
    expect(page.locator("#big")).to_have_text("25")
    assert page.locator("#bars .digit").all_inner_texts() == ["2", "5"]
    assert page.locator("#bars .share").all_inner_texts() == ["99.0 %", "87.0 %"]
    assert page.locator("#boxes li").all_inner_texts() == ["2", "5"]
    assert_on(page, 0, (25, 20, 50, 60))
    assert_on(page, 1, (125, 20, 40, 64.3))


def test_what_is_no_digit_is_marked(page: Page) -> None:
    """A digit with `is_digit: false` has a question mark and a dashed box, and the page says how many there are."""
    digits = ((2, 0.99, [70, 56, 140, 168]), (5, 0.87, [350, 56, 112, 180]))
    answer_with(page, reading(*digits, is_digit=[True, False]))
    read_numbers(page)
    draw(page, DIGITS[2])

    expect(page.locator("#advice")).to_have_text("2 digits, left to right. 1 of them doesn't look like a digit.")
    assert page.locator("#boxes li").all_inner_texts() == ["2", "5?"]
    styles = page.locator("#boxes li").evaluate_all("boxes => boxes.map(box => getComputedStyle(box).outlineStyle)")
    assert styles == ["solid", "dashed"]
    assert page.locator("#bars .digit").all_inner_texts() == ["2", "5?"]
    assert page.locator("#bars .mark").all_text_contents() == ["", "doesn't look like a digit"]


def test_boxes_lie_on_a_turned_picture(page: Page) -> None:
    """Boxes are in pixels of the upright picture; the page shows it whole, in the middle of the paper."""
    exif = Image.Exif()
    exif[0x0112] = 6  # held sideways: 200 x 600 in the file is 600 x 200 upright
    file = BytesIO()
    Image.new("L", (200, 600), 255).save(file, "JPEG", exif=exif)
    answer_with(page, reading((1, 0.9, [0, 0, 300, 200])))
    read_numbers(page)
    page.locator("#file").set_input_files({"name": "n.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()})

    expect(page.locator("#sentence")).to_have_text("It reads 1")
    # 600 x 200 fills the width of a paper of 200 x 100 and leaves a sixth of its height above and below.
    assert_on(page, 0, (0, 16.7, 100, 66.7))


def test_boxes_go_with_what_they_frame(page: Page) -> None:
    """A changed drawing has no boxes of the old one."""
    answer_with(page, TWENTY_FIVE)
    read_numbers(page)
    draw(page, DIGITS[2])
    expect(page.locator("#boxes li")).to_have_count(2)
    page.get_by_role("button", name="Clear").click()

    expect(page.locator("#boxes li")).to_have_count(0)
    expect(page.locator("#sentence")).to_have_text("Draw a number, or open a picture of one.")


def test_a_picture_without_digits(page: Page) -> None:
    """An answer with no digits says so."""
    answer_with(page, reading())
    read_numbers(page)
    draw(page, DIGITS[2])

    expect(page.locator("#sentence")).to_have_text("There is no digit on it.")
    expect(page.locator("#bars li")).to_have_count(0)


def test_each_mode_keeps_its_paper(page: Page) -> None:
    """Switching back and forth restores each drawing and reads it again."""
    answer_with(page, TWENTY_FIVE)
    draw(page, DIGITS[4])
    expect(page.locator("#sentence")).to_contain_text("It looks like 4")
    read_numbers(page)
    expect(page.locator("#sentence")).to_have_text("Draw a number, or open a picture of one.")
    page.get_by_role("button", name="Sample 2026").click()
    expect(page.locator("#sentence")).to_have_text("It reads 25")
    page.get_by_label("One digit").check()

    expect(page.locator("#sentence")).to_contain_text("It looks like 4")
    expect(page.locator("#boxes li")).to_have_count(0)
    assert page.locator("#bars .digit").all_inner_texts() == list("0123456789")


def test_a_service_without_the_route_says_so(page: Page) -> None:
    """If the service does not read numbers, the page says so."""
    page.route(
        "**/v1/read",
        lambda route: route.fulfill(status=404, json={"status": 404, "detail": "There is nothing at /v1/read."}),
    )
    read_numbers(page)
    draw(page, DIGITS[2])

    expect(page.locator("#sentence")).to_have_text("This service does not do that yet.")


@pytest.mark.parametrize("number", ["2026", "314", "90"])
def test_samples_are_read_by_the_service_itself(page: Page, number: str) -> None:
    """Each of the page's sample numbers is read right, with a box for each digit."""
    read_numbers(page)
    page.get_by_role("button", name=f"Sample {number}").click()

    expect(page.locator("#sentence")).to_have_text(f"It reads {number}")
    assert page.locator("#boxes li").all_inner_texts() == list(number)


def test_a_drawn_number_is_read_by_the_service_itself(page: Page) -> None:
    """Two digits drawn side by side are read from left to right, whichever was drawn first."""
    read_numbers(page)
    draw(page, [[(x + 100, y) for x, y in line] for line in DIGITS[7]])
    draw(page, DIGITS[4])

    expect(page.locator("#sentence")).to_have_text("It reads 47")


def test_lines_of_numbers_are_shown_as_lines(page: Page) -> None:
    """Lines stand one above the other, as they were written."""
    answer = reading((1, 0.9, [10, 10, 40, 80]), (2, 0.9, [60, 10, 40, 80]), (3, 0.9, [10, 150, 40, 80]))
    page.route("**/v1/read", lambda route: route.fulfill(json={**answer, "text": "12\n3"}))
    page.get_by_role("radio", name="A number").check()
    draw(page, DIGITS[1])

    expect(page.locator("#advice")).to_have_text("3 digits, line by line.")
    assert page.locator("#sentence").inner_text() == "It reads 12\n3"
    assert page.locator("#big").inner_text() == "12\n3"


def side_by_side(first: int, second: int, width: float) -> list[list[Place]]:
    """Two digits on the paper for one: each takes `width` of the paper's width, at the left and at the right edge."""
    parts = ((first, 0.0), (second, 100 * (1 - width)))
    return [[(x * width + left, y * 0.6 + 20) for x, y in line] for digit, left in parts for line in DIGITS[digit]]


def doubt_digits(page: Page) -> None:
    """Let every drawing that is read as one digit be answered with `is_digit: false`."""
    page.route("**/v1/predict*", lambda route: route.fulfill(json=prediction(7, 0.99, is_digit=False)))


def test_several_digits_in_place_of_one_are_read_as_a_number(page: Page) -> None:
    """For a drawing that is no digit a button reads it in the other mode; each paper can be undone."""
    doubt_digits(page)
    draw(page, side_by_side(4, 2, 0.5))
    expect(page.locator("#advice")).to_have_text("Closest is 7, 99 %. Several digits?")
    page.get_by_role("button", name="Read as \u201cA number\u201d").click()

    expect(page.locator("#sentence")).to_have_text("It reads 42")
    expect(page.get_by_label("A number")).to_be_checked()
    expect(page.locator("#several")).to_be_hidden()
    expect(page.locator("#sentence")).to_be_focused()  # the button that had the focus is gone
    left, right = place_of(page, "#boxes li"), place_of(page, "#boxes li", 1)
    paper = place_of(page, "#pad")
    assert (left["x"] + right["x"] + right["width"]) / 2 == pytest.approx(paper["x"] + paper["width"] / 2, rel=0.1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#sentence")).to_have_text("Draw a number, or open a picture of one.")
    page.get_by_label("One digit").check()
    expect(page.locator("#several")).to_be_visible()


def test_digits_far_apart_in_place_of_one_are_asked_about(page: Page) -> None:
    """Of two digits far apart one is read, as a digit: the page asks whether there are several, until one is erased."""
    apart = side_by_side(4, 7, 0.35)
    draw(page, apart)
    expect(page.locator("#sentence")).to_contain_text("It looks like")
    expect(page.locator("#advice")).to_have_text("Several digits?")
    page.get_by_role("button", name="Read as").click()
    expect(page.locator("#sentence")).to_have_text("It reads 47")

    page.get_by_label("One digit").check()
    page.get_by_label("Eraser").check()
    draw(page, apart[-1:])
    expect(page.locator("#several")).to_be_hidden()


def test_parts_of_one_digit_are_not_taken_for_several(page: Page) -> None:
    """A 5 with a detached bar, as some people write it, is one digit: the page does not ask."""
    draw(page, [[(90, 19), (98, 19)], [(38, 19), (34, 46), (52, 43), (62, 56), (60, 74), (48, 83), (30, 76)]])
    expect(page.locator("#sentence")).to_contain_text("It looks like 5")
    expect(page.locator("#several")).to_be_hidden()


def test_a_picture_of_several_digits_is_read_as_a_number(page: Page) -> None:
    """A picture is taken along too, and stays on the paper for one digit, whatever is done on the other paper."""
    doubt_digits(page)
    picture = picture_of(3, (600, 300))
    page.locator("#file").set_input_files({"name": "n.png", "mimeType": "image/png", "buffer": picture})
    expect(page.locator("#several")).to_be_visible()
    page.evaluate(NEXT_FRAME)
    before = page.locator("#pad").evaluate(PAPER)
    page.get_by_role("button", name="Read as").click()
    expect(page.locator("#sentence")).to_have_text("It reads 3")

    page.get_by_role("button", name="Undo").click()
    draw(page, DIGITS[1])  # the undone step is forgotten
    page.get_by_label("One digit").check()
    expect(page.locator("#several")).to_be_visible()
    page.evaluate(NEXT_FRAME)
    assert page.locator("#pad").evaluate(PAPER) == before
