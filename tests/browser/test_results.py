import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.answers import prediction
from tests.browser.conftest import PATIENCE, OpenPage
from tests.browser.strokes import DIGITS, Place, draw, picture_of
from tests.service.process import READY_SECONDS, Process
from tests.service.running import wait_until
from tests.service.wrapping import write_wrapped

pytestmark = pytest.mark.browser

# One line, so that it is read as one digit; it has no digit's shape.
SCRIBBLE: list[list[Place]] = [[(25, 30), (75, 35), (25, 45), (75, 55), (25, 65), (75, 75)]]
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined });"


def problem(status: int, detail: str) -> dict[str, object]:
    """An error answer of the service."""
    return {"type": "/docs#some", "title": "Some", "status": status, "detail": detail, "request_id": "abc-123"}


def answer_with(page: Page, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
    """Let the next predictions end with a problem."""
    page.route(
        "**/v1/predict*",
        lambda route: route.fulfill(
            status=status,
            json=problem(status, detail),
            headers={"Content-Type": "application/problem+json", **(headers or {})},
        ),
    )


def test_bars_are_in_order_with_numbers(page: Page) -> None:
    """There are always ten bars, 0 to 9, each with its number and a length in proportion."""
    page.route("**/v1/predict*", lambda route: route.fulfill(json=prediction(8, 0.64)))
    draw(page, DIGITS[8])
    expect(page.locator("#sentence")).to_have_text("It looks like 8, 64 %")

    assert page.locator("#bars .digit").all_inner_texts() == list("0123456789")
    assert page.locator("#bars .share").all_inner_texts() == ["4.0 %"] * 8 + ["64.0 %", "4.0 %"]
    page.wait_for_timeout(200)  # bars grow
    lengths = page.locator("#bars .track").evaluate_all(
        "tracks => tracks.map(track => parseFloat(getComputedStyle(track, '::before').width) / track.clientWidth)"
    )
    assert lengths == pytest.approx([0.04] * 8 + [0.64, 0.04], abs=0.01)


def test_the_winner_is_marked_by_more_than_colour(page: Page) -> None:
    """The most probable digit is bold, framed, and named as such to a screen reader; no other one is."""
    draw(page, DIGITS[2])
    expect(page.locator("#bars li[data-wins]")).to_have_count(1)

    winner, other = page.locator("#bars li").nth(2), page.locator("#bars li").nth(3)
    weights = [each.evaluate("bar => Number(getComputedStyle(bar).fontWeight)") for each in (winner, other)]
    assert weights[0] > weights[1]
    assert page.locator("#bars .mark").all_text_contents() == ["", "", "most probable", *[""] * 7]


def test_what_the_model_saw_is_shown(page: Page) -> None:
    """Beside the digit is the service's own 28x28 picture, pixel by pixel."""
    draw(page, DIGITS[5])
    seen = page.locator("#seen-picture")
    expect(seen).to_be_visible()

    assert seen.evaluate(
        "async picture => (await picture.decode(), [picture.naturalWidth, picture.naturalHeight])"
    ) == [28, 28]
    assert seen.evaluate("picture => getComputedStyle(picture).imageRendering") == "pixelated"
    expect(page.get_by_role("img", name="The 28 by 28 picture that the model saw")).to_be_visible()


def test_model_and_times_are_shown(page: Page) -> None:
    """The version that answered, the time that the page measured and the service's own times are there."""
    draw(page, DIGITS[7])
    expect(page.locator("#sentence")).to_contain_text("It looks like 7")

    expect(page.locator("#version")).to_have_text("digits, version 1")
    assert int(page.locator("#latency").inner_text().removesuffix(" ms")) > 0
    parts = [part.split() for part in page.locator("#timing").inner_text().split(", ")]
    assert [name for name, _, _ in parts] == ["decode", "queue", "infer"]
    assert float(parts[0][1]) > 0


@pytest.mark.parametrize("after", ["error", "clear"])
def test_times_go_with_their_answer(page: Page, after: str) -> None:
    """Once there is no answer any more, no times are shown."""
    draw(page, DIGITS[7])
    expect(page.locator("#latency")).to_contain_text("ms")
    if after == "error":
        answer_with(page, 500, "It failed.")
        draw(page, DIGITS[7])
    else:
        page.get_by_role("button", name="Clear").click()

    expect(page.locator("#latency")).to_have_text("\u2013")
    expect(page.locator("#timing")).to_have_text("\u2013")


def test_report_and_card_of_the_version_are_linked(page: Page) -> None:
    """Beside the version are links to its training report and its model card, and both lead there."""
    draw(page, DIGITS[8])
    for name, words in (("report", "Confusion matrix"), ("card", "Model card")):
        href = page.get_by_role("link", name=name, exact=True).get_attribute("href")
        assert href == f"v1/models/digits/versions/1/{name}"
        answer = page.request.get(f"/{href}")
        assert answer.ok
        assert words.lower() in answer.text().lower()


def test_a_service_with_keys_gets_no_links_and_a_place_for_the_key(page: Page) -> None:
    """A link cannot carry the key, so the page shows none; the copied command has a placeholder for the key."""
    page.route("**/v1/predict*", lambda route: _if_it_has_the_key(route))
    draw(page, DIGITS[7])
    expect(page.locator("#sentence")).to_have_text("The service needs a key.")
    expect(page.get_by_role("link", name="report", exact=True)).to_be_hidden()
    page.get_by_label("API key").fill("secret")
    page.keyboard.press("Enter")
    expect(page.locator("#sentence")).to_contain_text("It looks like 7")
    expect(page.get_by_role("link", name="report", exact=True)).to_be_hidden()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    command = page.evaluate("navigator.clipboard.readText()")
    assert "-H 'X-API-Key: YOUR-KEY'" in command
    assert "secret" not in command


def _if_it_has_the_key(route: Route) -> None:
    if route.request.headers.get("x-api-key") == "secret":
        route.continue_()
    else:
        route.fulfill(status=401, json={"detail": "A key is needed."})


def test_what_is_no_digit_is_said_so(page: Page) -> None:
    """For a prediction with `is_digit: false` the page says that it doesn't look like a digit, and which is closest."""
    page.route("**/v1/predict*", lambda route: route.fulfill(json=prediction(3, 0.52, is_digit=False)))
    draw(page, DIGITS[3])

    expect(page.locator("#sentence")).to_have_text("It doesn't look like a digit.")
    expect(page.locator("#advice")).to_have_text("Closest is 3, 52 %. Several digits?")
    expect(page.locator("#big")).to_have_text("?")
    expect(page.locator("#bars-title")).to_have_text("If it were a digit: probability of each")
    expect(page.locator("#bars li[data-wins]")).to_have_count(0)


def test_a_version_that_tells_is_heard_on_the_page(browser: Browser, released_store: Path, tmp_path: Path) -> None:
    """The service's own verdict reaches the page: a drawing that it doubts is shown as no digit, in both modes."""
    # Above every probability that a drawing gets, so that each one is doubted.
    write_wrapped(released_store / "digits" / "1", tmp_path / "store" / "digits" / "1", threshold=1.0)
    service = Process(tmp_path / "store", tmp_path / "cache", DIGITS_WORKERS="1")
    try:
        wait_until(service.ready, READY_SECONDS)
        page = browser.new_page(base_url=str(service.client.base_url), viewport={"width": 1180, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto("/")
        draw(page, SCRIBBLE)
        expect(page.locator("#sentence")).to_have_text("It doesn't look like a digit.")
        expect(page.locator("#big")).to_have_text("?")
        page.get_by_label("A number").check()
        draw(page, SCRIBBLE)
        expect(page.locator("#advice")).to_contain_text("1 of them doesn't look like a digit.")
        expect(page.locator("#boxes li[data-doubted]")).to_have_count(1)
        page.close()
    finally:
        service.close()


@pytest.mark.parametrize("more", [{}, {"is_digit": True}])
def test_nothing_is_said_of_digits_that_are_digits(page: Page, more: dict[str, bool]) -> None:
    """If the field is missing or true, the page adds nothing to the digit."""
    page.route("**/v1/predict*", lambda route: route.fulfill(json=prediction(3, 0.52, **more)))
    draw(page, DIGITS[3])

    expect(page.locator("#sentence")).to_have_text("It looks like 3, 52 %")
    expect(page.locator("#advice")).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "detail", "headers", "sentence", "advice"),
    [
        (413, "Too many pixels.", {}, "The picture is too large.", "Too many pixels."),
        (422, "There is only noise.", {}, "There is only noise.", ""),
        (429, "20000 rows wait.", {"Retry-After": "3"}, "The service is busy.", "Try again in 3 s."),
        (503, "Loading.", {"Retry-After": "5"}, "The service is not ready.", "Loading. Try again in 5 s."),
        (504, "Too late.", {}, "The service took too long.", "Try again."),
        (500, "It failed.", {}, "The service could not answer.", "It failed. Its log has the reason under abc-123."),
    ],
)
def test_problems_are_told_in_plain_words(
    page: Page, status: int, detail: str, headers: dict[str, str], sentence: str, advice: str
) -> None:
    """Each kind of problem has its sentence, and advice where there is some; nothing of the old result is left."""
    draw(page, DIGITS[1])
    expect(page.locator("#seen")).to_be_visible()
    answer_with(page, status, detail, headers)
    draw(page, DIGITS[1])

    expect(page.locator("#sentence")).to_have_text(sentence)
    expect(page.locator("#advice")).to_have_text(advice)
    expect(page.get_by_role("button", name="Try again")).to_be_visible(visible=status in {429, 500, 503, 504})
    expect(page.locator("#seen")).to_be_hidden()
    expect(page.locator("#big")).to_be_hidden()
    assert page.locator("#bars .share").all_inner_texts() == ["\u2013"] * 10
    expect(page.locator("#result")).to_have_attribute("aria-busy", "false")


def test_an_answer_that_is_no_json_is_a_problem_too(page: Page) -> None:
    """A proxy's error page is not shown; the page says that the service could not answer."""
    page.route("**/v1/predict*", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    draw(page, DIGITS[1])

    expect(page.locator("#sentence")).to_have_text("The service could not answer.")


def test_a_service_that_is_gone_can_be_asked_again(page: Page) -> None:
    """The page says that the service cannot be reached; Try again asks about the same drawing once more."""

    def hang_up(route: Route) -> None:
        route.abort("connectionrefused")

    page.route("**/v1/predict*", hang_up)
    draw(page, DIGITS[7])
    expect(page.locator("#sentence")).to_have_text("The service cannot be reached.")
    page.unroute("**/v1/predict*", hang_up)
    page.get_by_role("button", name="Try again").click()

    expect(page.locator("#sentence")).to_contain_text("It looks like 7")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    expect(page.locator("#sentence")).to_be_focused()  # the button that had the focus is gone


def test_the_copied_command_asks_what_the_page_asked(page: Page, service: Process) -> None:
    """The command for a drawing runs in a shell unchanged, and gets the page's answer."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    draw(page, DIGITS[6])
    expect(page.locator("#sentence")).to_contain_text("It looks like 6")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    command = page.evaluate("navigator.clipboard.readText()")

    assert f"{service.client.base_url}/v1/predict'" in command
    assert '"digit":6' in run(command, Path.cwd())


def test_the_copied_command_names_the_file(open_page: OpenPage, tmp_path: Path) -> None:
    """For a picture the command names its file, quoted; if the page may not use the clipboard, it is shown instead."""
    name = "it's a 3 $HOME.png"
    (tmp_path / name).write_bytes(picture_of(3))
    page = open_page(NO_CLIPBOARD)
    page.locator("#file").set_input_files(tmp_path / name)
    expect(page.locator("#sentence")).to_contain_text("It looks like 3")
    page.get_by_role("button", name="Copy as curl").click()
    shown = page.get_by_role("textbox", name="The curl command")
    expect(shown).to_be_focused()

    assert '"digit":3' in run(shown.input_value(), tmp_path)

    page.keyboard.press("Control+Z")
    expect(shown).to_be_hidden()
    expect(page.get_by_role("button", name="Copy as curl")).to_be_focused()
    page.keyboard.press("Enter")  # there is nothing to copy
    expect(shown).to_be_hidden()


def test_the_copied_command_has_a_place_for_a_file_without_a_name(page: Page) -> None:
    """A photo has no file name that the user knows: the command has a placeholder, and the page says so."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    photo = picture_of(3, file_format="JPEG")
    page.locator("#photo").set_input_files({"name": "image.jpg", "mimeType": "image/jpeg", "buffer": photo})
    expect(page.locator("#sentence")).to_contain_text("It looks like 3")
    page.get_by_role("button", name="Copy as curl").click()

    expect(page.locator("#copied")).to_have_text("Copied. Put your file in place of your-picture.jpeg.")
    assert "'@your-picture.jpeg' -H 'Content-Type: image/jpeg'" in page.evaluate("navigator.clipboard.readText()")


def run(command: str, folder: Path) -> str:
    """Run the command in a shell in that folder and return what it prints."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    return subprocess.run(["bash", "-c", command], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"body": "<h1>Log in first</h1>"}, "The service could not answer."),
        ({"json": {}}, "The answer is not one of this service\u2019s."),
        ({"json": {"predictions": []}}, "The answer is not one of this service\u2019s."),
    ],
)
def test_an_answer_of_something_else_is_told(page: Page, answer: dict[str, Any], words: str) -> None:
    """A login page in front of the service may answer 200; the old result is gone, and the question can be repeated."""
    draw(page, DIGITS[8])
    expect(page.locator("#sentence")).to_contain_text("It looks like 8")
    page.route("**/v1/predict*", lambda route: route.fulfill(status=200, **answer))
    draw(page, [[(10, 10), (12, 12)]])

    expect(page.locator("#sentence")).to_have_text(words)
    expect(page.locator("#big")).to_be_hidden()
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#sentence")).to_contain_text("It looks like 8")


def test_an_answer_that_never_comes_is_given_up(page: Page) -> None:
    """The page says that the service took too long, not that it cannot be reached."""
    page.clock.install()
    page.route("**/v1/predict*", lambda _: None)
    with page.expect_request("**/v1/predict*"):
        draw(page, DIGITS[8])
    page.clock.fast_forward("00:40")
    expect(page.locator("#sentence")).to_have_text("The service took too long.")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_links_come_with_the_first_answer(page: Page) -> None:
    """Before that it is unknown whether a key is needed, without which the links would only lead to a refusal."""
    expect(page.locator("#documents")).to_be_hidden()
    draw(page, DIGITS[8])
    expect(page.locator("#documents")).to_be_visible()
