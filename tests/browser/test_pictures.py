import base64
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.strokes import DIGITS, NEXT_FRAME, PAPER, draw, on_paper, picture_of

pytestmark = pytest.mark.browser

# A DataTransfer with one file, as the events of dropping and pasting have it.
WITH_FILE = """([picture, name, type]) => {
  const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  return transfer;
}"""
COPY_PICTURE = """async picture => {
  const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0));
  await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
}"""
# Decoding the first file waits until `release` is called.
SLOW_FIRST_FILE = """const decode = window.createImageBitmap;
let first = true;
const held = new Promise(release => { window.release = release; });
window.createImageBitmap = async (source, ...more) => {
  const waits = first;
  first = false;
  if (waits) await held;
  return decode(source, ...more);
};"""
# The lightest and the darkest level behind a picture's transparent left quarter.
GROUND_LEVELS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width / 4, canvas.height);
  const over = getComputedStyle(document.getElementById("paper")).backgroundColor.match(/\\d+/g).map(Number)[0];
  const levels = data.filter((level, at) => at % 4 === 0);
  const shown = levels.map((level, at) => level + over * (1 - data[4 * at + 3] / 255));
  return [shown.reduce((a, b) => Math.max(a, b)), shown.reduce((a, b) => Math.min(a, b))];
}"""
_ORIENTATION = 0x0112  # Exif: how the camera was held
_TURNED_LEFT = 6  # to be shown upright, it must be turned a quarter to the right


def upload(page: Page, content: bytes, name: str = "digit.png", media_type: str = "image/png") -> None:
    """Choose a file with the button."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open a picture").click()
    chooser.value.set_files({"name": name, "mimeType": media_type, "buffer": content})


def drop(page: Page, content: bytes, name: str, media_type: str = "image/png") -> None:
    """Drop a file onto the page."""
    transfer = page.evaluate_handle(WITH_FILE, [base64.b64encode(content).decode(), name, media_type])
    page.dispatch_event("footer", "drop", {"dataTransfer": transfer})


def drop_paths(page: Page, *paths: Path) -> None:
    """Drop files or folders; only the browser's DevTools protocol can drop a folder."""
    session = page.context.new_cdp_session(page)
    x, y = on_paper(page, (50, 50))
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})


def sentence(page: Page, words: str) -> None:
    """Wait until the result's sentence has these words."""
    expect(page.locator("#sentence")).to_contain_text(words)


@pytest.mark.parametrize(
    ("file_format", "media_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("BMP", "image/bmp"), ("GIF", "image/gif")],
)
def test_an_opened_picture_is_read(page: Page, file_format: str, media_type: str) -> None:
    """A picture from a file is shown on the paper and read."""
    upload(page, picture_of(5, file_format=file_format), "five", media_type)

    sentence(page, "It looks like 5")
    expect(page.locator("#hint")).to_be_hidden()
    expect(page.locator("#picture-name")).to_be_hidden()
    expect(page.locator("#seen-picture")).to_be_visible()


def test_a_picture_that_the_browser_cannot_show_is_read_all_the_same(page: Page) -> None:
    """A TIFF is named on the paper in place of being shown, and read by the service."""
    upload(page, picture_of(2, file_format="TIFF"), "scan.tiff", "image/tiff")

    sentence(page, "It looks like 2")
    expect(page.locator("#picture-name")).to_have_text("scan.tiff (this browser cannot show it)")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("seven.png", picture_of(7)[:200], "The picture does not decode: it is damaged, truncated"),
        ("seven.json", b'{"instances": []}', "This kind of file is not read here."),
    ],
)
def test_the_browser_is_not_blamed_for_a_file(page: Page, name: str, content: bytes, words: str) -> None:
    """For a file that the service can't read either, the paper shows only the name, and the result what is wrong."""
    drop(page, content, name, "")

    sentence(page, words)
    expect(page.locator("#picture-name")).to_have_text(name)


def test_a_photograph_is_sent_as_it_came(page: Page) -> None:
    """A photograph that was taken with the camera held sideways is turned upright and read."""
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED_LEFT
    upright = picture_of(4, (300, 300))
    lying = _turned_left(upright, exif.tobytes())
    upload(page, lying, "photo.jpg", "image/jpeg")

    sentence(page, "It looks like 4")


def test_the_same_file_can_be_opened_again(page: Page) -> None:
    """Opening, clearing and opening the same file shows it again."""
    for _ in range(2):
        upload(page, picture_of(3))
        sentence(page, "It looks like 3")
        page.get_by_role("button", name="Clear").click()
        sentence(page, "Draw a digit")


def test_a_dropped_picture_is_read(page: Page) -> None:
    """A file that is dropped anywhere on the page is read; the paper shows where it will go."""
    picture = base64.b64encode(picture_of(6)).decode()
    transfer = page.evaluate_handle(WITH_FILE, [picture, "six.png", "image/png"])
    page.dispatch_event("footer", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#paper")).to_have_attribute("data-over", "")
    page.dispatch_event("footer", "drop", {"dataTransfer": transfer})

    sentence(page, "It looks like 6")
    expect(page.locator("#paper")).not_to_have_attribute("data-over", "")


def test_a_pasted_picture_is_read(page: Page) -> None:
    """A picture on the clipboard is read after Ctrl+V."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(COPY_PICTURE, base64.b64encode(picture_of(9)).decode())
    page.keyboard.press("Control+V")

    sentence(page, "It looks like 9")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#copied")).to_have_text("Copied. Put your file in place of your-picture.png.")


def test_phones_take_a_photo(page: Page) -> None:
    """The input behind the button for photos asks for the rear camera, and its picture is read."""
    photo = page.locator("#photo")
    expect(photo).to_have_attribute("capture", "environment")
    photo.set_input_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": picture_of(7, file_format="JPEG")})

    sentence(page, "It looks like 7")


def test_drawing_on_a_picture_starts_anew(page: Page) -> None:
    """A stroke replaces the picture, and the page says so; undoing it brings the picture back."""
    upload(page, picture_of(0))
    sentence(page, "It looks like 0")
    draw(page, DIGITS[1])
    sentence(page, "It looks like 1")
    expect(page.locator("#notice")).to_have_text(
        "Your drawing has taken the picture\u2019s place. Undo brings it back."
    )
    page.get_by_role("button", name="Undo").click()

    sentence(page, "It looks like 0")
    expect(page.locator("#notice")).to_have_text("")


@pytest.mark.parametrize(
    ("file_format", "media_type"),
    [
        ("PNG", ""),
        ("JPEG", ""),
        ("TIFF", ""),
        ("GIF", "application/octet-stream"),
        ("WEBP", "image/x-webp"),
        ("BMP", ""),
    ],
)
def test_a_picture_is_known_by_its_content(page: Page, file_format: str, media_type: str) -> None:
    """A file without an extension, for which the browser gives no media type or an unusual one, is still read."""
    drop(page, picture_of(5, file_format=file_format), "five", media_type)

    sentence(page, "It looks like 5")


def test_a_file_that_changes_on_the_disk_stays_what_it_was(page: Page, tmp_path: Path) -> None:
    """The opened content is kept: undo and redo work after the file has changed or is gone."""
    file = tmp_path / "digit.png"
    file.write_bytes(picture_of(5))
    page.locator("#file").set_input_files(file)
    sentence(page, "It looks like 5")
    file.write_bytes(picture_of(3, (400, 400)))
    page.get_by_role("button", name="Undo").click()
    sentence(page, "Draw a digit")
    page.get_by_role("button", name="Redo").click()
    sentence(page, "It looks like 5")

    file.unlink()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Redo").click()
    sentence(page, "It looks like 5")


def test_a_dropped_folder_is_explained(page: Page, tmp_path: Path) -> None:
    """A folder is no picture: the page says what to do, and the drawing stays."""
    draw(page, DIGITS[1])
    sentence(page, "It looks like 1")
    drop_paths(page, tmp_path)

    expect(page.locator("#notice")).to_contain_text("folder")
    sentence(page, "It looks like 1")


def test_a_drop_without_a_file_is_explained(page: Page) -> None:
    """If text or a link is dropped, the page says what to drop; the next stroke removes that notice."""
    transfer = page.evaluate_handle("() => { const t = new DataTransfer(); t.setData('text/plain', '7'); return t; }")
    page.dispatch_event("footer", "drop", {"dataTransfer": transfer})
    expect(page.locator("#notice")).to_have_text("There is no file in what was dropped. Drop a picture\u2019s file.")

    draw(page, DIGITS[1])
    expect(page.locator("#notice")).to_have_text("")


def test_of_two_files_the_later_one_stays(open_page: OpenPage) -> None:
    """Two files one right after the other: the second one stays, though the first one takes longer to decode."""
    page = open_page(SLOW_FIRST_FILE)
    drop(page, picture_of(5), "five.png")
    drop(page, picture_of(3), "three.png")
    sentence(page, "It looks like 3")
    page.evaluate("window.release()")
    page.wait_for_timeout(300)

    sentence(page, "It looks like 3")


def test_a_file_over_the_limit_is_explained(page: Page, tmp_path: Path) -> None:
    """The page gives the limit on bodies in megabytes, and says what to do, without a word about the API."""
    file = tmp_path / "digit.bmp"
    file.write_bytes(picture_of(5, file_format="BMP").ljust(17_230_000, b"\0"))
    page.locator("#file").set_input_files(file)

    sentence(page, "The picture is too large.")
    remedy = "Make the picture smaller or crop it to the digits, then open it again."
    expect(page.locator("#advice")).to_have_text(f"Its file has 17.3 MB, and 16.7 MB is the most. {remedy}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ink", [0, 255])
def test_a_transparent_picture_can_be_seen(open_page: OpenPage, ink: int, scheme: str) -> None:
    """Black and white strokes on a transparent ground stand out from the paper in both colour schemes."""
    page = open_page(color_scheme=scheme)
    picture = Image.new("LA", (200, 200), (ink, 0))
    ImageDraw.Draw(picture).rectangle((90, 40, 110, 160), fill=(ink, 255))
    upload(page, encoded(picture))
    expect(page.locator("#hint")).to_be_hidden()
    page.evaluate(NEXT_FRAME)

    light, dark = (contrast(level, ink) for level in page.locator("#pad").evaluate(GROUND_LEVELS))
    assert min(light, dark) >= 3


def test_the_eraser_leaves_a_picture_alone(page: Page) -> None:
    """The eraser does nothing on a picture, and the page says so."""
    upload(page, picture_of(5))
    sentence(page, "It looks like 5")
    before = page.locator("#pad").evaluate(PAPER)
    page.get_by_label("Eraser").check()
    x, y = on_paper(page, (50, 50))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y)
    page.evaluate(NEXT_FRAME)
    assert page.locator("#pad").evaluate(PAPER) == before
    page.mouse.up()

    expect(page.locator("#notice")).to_have_text(
        "The eraser takes drawn lines away, not pictures. Clear takes a picture away."
    )
    sentence(page, "It looks like 5")
    page.get_by_role("button", name="Undo").click()
    sentence(page, "Draw a digit")


def test_a_blank_picture_is_explained(page: Page, tmp_path: Path) -> None:
    """The service's own message says what to do about a picture with nothing on it."""
    blank = tmp_path / "blank.png"
    Image.new("L", (100, 100), 255).save(blank)
    upload(page, blank.read_bytes())

    sentence(page, "The picture is blank: draw or photograph one digit on it.")
    expect(page.locator("#big")).to_be_hidden()


def test_a_file_that_is_no_picture_is_explained(page: Page) -> None:
    """A file of another kind is answered in plain words, without the media types of the API."""
    upload(page, b"seven", "seven.txt", "text/plain")

    sentence(page, "This kind of file is not read here.")
    expect(page.locator("#advice")).to_have_text("Send a PNG, JPEG, WebP, BMP, GIF or TIFF.")


def _turned_left(picture: bytes, exif: bytes) -> bytes:
    """The picture as a camera held sideways writes it."""
    file = BytesIO()
    Image.open(BytesIO(picture)).transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif)
    return file.getvalue()


def encoded(picture: Image.Image) -> bytes:
    """The picture as a PNG."""
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def contrast(one: float, other: float) -> float:
    """The contrast of two greys, 0 to 255, as WCAG defines it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(level: float) -> float:
    share = level / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


@pytest.mark.parametrize("act", ["draw", "clear"])
def test_what_is_done_meanwhile_is_not_replaced(open_page: OpenPage, act: str) -> None:
    """A picture that is slow to open does not replace what has been done in the meantime."""
    page = open_page(SLOW_FIRST_FILE)
    draw(page, DIGITS[1])
    sentence(page, "It looks like 1")
    drop(page, picture_of(5), "five.png")
    expect(page.locator("#notice")).to_have_text("The picture is being opened …")
    if act == "draw":
        draw(page, [[(30, 82), (66, 82)]])
    else:
        page.get_by_role("button", name="Clear").click()
    expect(page.locator("#notice")).to_have_text("")
    page.evaluate(NEXT_FRAME)
    before = page.locator("#pad").evaluate(PAPER)
    page.evaluate("window.release()")
    page.wait_for_timeout(300)
    assert page.locator("#pad").evaluate(PAPER) == before


def test_a_picture_of_very_many_pixels_is_not_decoded(page: Page) -> None:
    """Decoding it would crash a phone's browser; the service tells from its header that it is too large."""
    drop(page, _plain_png(9000, 9000), "wall.png")
    sentence(page, "The picture is too large.")
    expect(page.locator("#picture-name")).to_have_text("wall.png")


def test_of_many_pictures_the_last_ones_can_be_undone_to(page: Page) -> None:
    """Undo keeps a bounded number of pictures, which bounds their memory."""
    for at in range(12):
        drop(page, picture_of(at % 10), f"{at}.png")
        sentence(page, f"It looks like {at % 10}")
    undo = page.get_by_role("button", name="Undo")
    times = 0
    while undo.get_attribute("aria-disabled") == "false":
        undo.click()
        times += 1
    assert times == 10


def test_what_is_pasted_into_the_keys_field_stays_there(page: Page) -> None:
    """Office programs copy a picture along with the text; pasted into the field, it leaves the drawing alone."""
    page.route("**/v1/predict*", lambda route: route.fulfill(status=401, json={"detail": "A key is needed."}))
    draw(page, DIGITS[1])
    before = page.locator("#pad").evaluate(PAPER)
    transfer = page.evaluate_handle(WITH_FILE, [base64.b64encode(picture_of(5)).decode(), "image.png", "image/png"])
    paste = """(field, clipboardData) =>
        field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))"""
    page.locator("#key").evaluate(paste, transfer)
    page.wait_for_timeout(300)
    assert page.locator("#pad").evaluate(PAPER) == before
    page.locator("#paper").evaluate(paste, transfer)
    expect(page.locator("#hint")).to_be_hidden()
    page.wait_for_function("before => document.getElementById('pad').toDataURL() !== before", arg=before)


def _plain_png(width: int, height: int) -> bytes:
    file = BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()
