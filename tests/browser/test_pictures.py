import base64
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.strokes import DIGITS, draw, picture_of

pytestmark = pytest.mark.browser

# A DataTransfer with one file, as dropping and pasting hand it over.
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
_ORIENTATION = 0x0112  # Exif: how the camera was held
_TURNED_LEFT = 6  # shown right, it must be turned a quarter to the right


def upload(page: Page, content: bytes, name: str = "digit.png", media_type: str = "image/png") -> None:
    """Choose a file as the button lets one do."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open a picture").click()
    chooser.value.set_files({"name": name, "mimeType": media_type, "buffer": content})


def sentence(page: Page, words: str) -> None:
    """Wait until the result says it."""
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


def test_phones_take_a_photo(page: Page) -> None:
    """The input behind the button for photos asks for the camera at the back, and its picture is read."""
    photo = page.locator("#photo")
    expect(photo).to_have_attribute("capture", "environment")
    photo.set_input_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": picture_of(7, file_format="JPEG")})

    sentence(page, "It looks like 7")


def test_drawing_on_a_picture_starts_anew(page: Page) -> None:
    """A stroke replaces the picture; undoing it brings the picture back."""
    upload(page, picture_of(0))
    sentence(page, "It looks like 0")
    draw(page, DIGITS[1])
    sentence(page, "It looks like 1")
    page.get_by_role("button", name="Undo").click()

    sentence(page, "It looks like 0")


def test_a_blank_picture_is_explained(page: Page, tmp_path: Path) -> None:
    """The service's own words tell what to do about a picture with nothing on it."""
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
    """The picture as a camera writes it that was held sideways."""
    file = BytesIO()
    Image.open(BytesIO(picture)).transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif)
    return file.getvalue()
