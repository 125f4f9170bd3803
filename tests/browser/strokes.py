"""Draws digits on the page, as a hand does with mouse, pen or finger, and as picture files."""

from io import BytesIO
from itertools import pairwise

from PIL import Image, ImageDraw
from playwright.sync_api import Page

Place = tuple[float, float]

NEXT_FRAME = "() => new Promise(shown => requestAnimationFrame(() => requestAnimationFrame(shown)))"
# The canvas's own pixels: a screenshot may differ by a grey level where the page has moved by less than a pixel.
PAPER = "canvas => canvas.toDataURL()"

# Lines through places [x, y], in hundredths of the paper's height.
DIGITS: dict[int, list[list[Place]]] = {
    0: [[(50, 20), (33, 30), (28, 52), (36, 76), (52, 82), (66, 70), (71, 48), (64, 27), (50, 20)]],
    1: [[(53, 18), (50, 50), (47, 82)]],
    2: [[(30, 33), (40, 20), (58, 21), (66, 34), (56, 54), (30, 80), (50, 79), (73, 80)]],
    3: [[(32, 24), (50, 18), (64, 27), (62, 42), (46, 49), (64, 56), (67, 71), (52, 83), (30, 76)]],
    4: [[(38, 18), (28, 54), (72, 54)], [(62, 26), (58, 84)]],
    5: [[(68, 19), (38, 19), (34, 46), (52, 43), (67, 56), (64, 74), (48, 83), (30, 76)]],
    6: [[(60, 18), (40, 38), (31, 62), (40, 80), (58, 81), (67, 66), (57, 53), (42, 55), (33, 66)]],
    7: [[(29, 22), (70, 21), (57, 50), (45, 84)]],
    8: [[(64, 28), (51, 18), (37, 26), (40, 41), (60, 56), (66, 72), (51, 83), (36, 73), (42, 56), (62, 40), (64, 28)]],
    9: [[(66, 32), (52, 19), (36, 27), (36, 44), (52, 50), (65, 36), (64, 58), (58, 83)]],
}

_STEPS = 6  # pointer moves from one place to the next


def draw(page: Page, lines: list[list[Place]]) -> None:
    """Draw lines on the paper with the mouse."""
    page.locator("#pad").scroll_into_view_if_needed()
    for line in lines:
        (x, y), *others = (on_paper(page, place) for place in line)
        page.mouse.move(x, y)
        page.mouse.down()
        for x, y in others:
            page.mouse.move(x, y, steps=_STEPS)
        page.mouse.up()


def draw_with_pen(page: Page, lines: list[list[Place]]) -> None:
    """Draw lines on the paper with a pen; only the browser's DevTools protocol can send its events."""
    session = page.context.new_cdp_session(page)
    for line in lines:
        places = list(_between(page, line))
        kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*places, places[-1]], strict=True):
            event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "pointerType": "pen"}
            session.send("Input.dispatchMouseEvent", event)


def draw_with_finger(page: Page, lines: list[list[Place]], end: str = "touchEnd") -> None:
    """Draw lines on the paper with a finger; `touchCancel` in place of `touchEnd` cancels the touch."""
    session = page.context.new_cdp_session(page)
    for line in lines:
        for at, (x, y) in enumerate(_between(page, line)):
            kind = "touchMove" if at else "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        session.send("Input.dispatchTouchEvent", {"type": end, "touchPoints": []})


def on_paper(page: Page, place: Place) -> Place:
    """A place of the paper, in the window's coordinates."""
    box = page.locator("#pad").bounding_box()
    assert box
    return box["x"] + place[0] / 100 * box["height"], box["y"] + place[1] / 100 * box["height"]


def picture_of(digit: int, size: tuple[int, int] = (300, 300), file_format: str = "PNG", **options: object) -> bytes:
    """A picture file of a digit, dark on light, in the middle of the picture."""
    picture = Image.new("L", size, 245)
    pen = ImageDraw.Draw(picture)
    scale = min(size) / 100
    left, top = (size[0] - 100 * scale) / 2, (size[1] - 100 * scale) / 2
    for line in DIGITS[digit]:
        places = [(left + x * scale, top + y * scale) for x, y in line]
        pen.line(places, fill=20, width=round(8 * scale), joint="curve")
    file = BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def _between(page: Page, line: list[Place]) -> list[Place]:
    """The places of a line in the window's coordinates, with more places interpolated between them."""
    places = [on_paper(page, place) for place in line]
    steps = [
        (x + (next_x - x) * step / _STEPS, y + (next_y - y) * step / _STEPS)
        for (x, y), (next_x, next_y) in pairwise(places)
        for step in range(_STEPS)
    ]
    return [*steps, places[-1]]
