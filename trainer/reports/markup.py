"""HTML from plain text: text that is not already marked as HTML is escaped. Knows nothing about models."""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.reports.facts import Table

_BARS = 2  # columns before the bars


class Html(str):
    """Text that is HTML already, and so is not escaped again."""

    __slots__ = ()


def to_html(text: str) -> Html:
    """Escapes plain text; leaves HTML as it is."""
    return text if isinstance(text, Html) else Html(html.escape(text))


def element(tag: str, *content: str, **attributes: str) -> Html:
    """Writes `<tag attributes>content</tag>`; an attribute's `_` becomes `-`, and `class_` is `class`."""
    inner = "".join(to_html(part) for part in content)
    return Html(f"{_opening(tag, attributes)}{inner}</{tag}>")


def section(title: str, *content: str) -> Html:
    """A part of the page under its heading."""
    return element("section", element("h2", title), *content)


def figure(content: Html, caption: str) -> Html:
    """A chart with its caption."""
    return element("figure", content, element("figcaption", caption))


def table(facts: Table, shares: Sequence[float] | None = None) -> Html:
    """A table that scrolls inside itself; `shares`, one per row, become bars scaled to the largest.

    The bars stand after the second column, which has the shares as numbers: later columns may be long.
    """
    heads = [element("th", head, scope="col") for head in facts.heads]
    lines = [[cell.replace(" %", "\N{NO-BREAK SPACE}%") for cell in row] for row in facts.rows]
    rows = [[element("th", line[0], scope="row"), *(element("td", cell) for cell in line[1:])] for line in lines]
    if shares is not None:
        heads.insert(_BARS, element("td"))
        largest = max(shares, default=0.0) or 1.0
        for row, share in zip(rows, shares, strict=True):
            row.insert(_BARS, element("td", element("span", style=f"width:{share / largest:.1%}"), class_="bar"))
    head = element("thead", element("tr", *heads)) if any(facts.heads) else Html()
    body = element("tbody", *(element("tr", *row) for row in rows))
    return scrolling(facts.name, element("table", head, body, class_="facts" if not head else "numbers"))


def scrolling(name: str, content: Html) -> Html:
    """Content that may be wider than a phone: it scrolls inside itself, by keyboard as well."""
    return element("div", content, class_="scroll", role="region", aria_label=name, tabindex="0")


def picture(image: NDArray[np.uint8], description: str) -> Html:
    """A grey image uint8 [height, width] as a PNG inside the page."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    height, width = image.shape
    return _opening("img", {"src": url, "alt": description, "width": str(width), "height": str(height)})


def _opening(tag: str, attributes: dict[str, Any]) -> Html:
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for name, value in attributes.items()
    )
    return Html(f"<{tag}{written}>")
