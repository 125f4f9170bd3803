"""GET /: the page to draw on; its script, style and icon come from this service, so it works with no network.

The files are read once, when the process starts, and looked up by full name: no path is built from what a client sent.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from service.problems import NotFound

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parents[1] / "web"
_START = "index.html"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# Nothing from elsewhere, nothing inline: nothing that a user draws or opens can become a script.
# Pictures are opened from memory (blob:), and shown from answers (data:).
_POLICY = "; ".join(
    [
        "default-src 'none'",
        *("script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data: blob:"),
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
    ]
)


@dataclass(frozen=True)
class _WebFile:
    """One file of the page, as it is sent."""

    content: bytes
    etag: str
    media_type: str


def _read(path: Path) -> _WebFile:
    content = path.read_bytes()
    return _WebFile(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"', _MEDIA_TYPES[path.suffix])


_FILES = {path.name: _read(path) for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES}


@router.get("/")
async def page(request: Request) -> Response:
    """Show the page."""
    return _answer(_FILES[_START], request)


@router.get("/web/{name}")
async def web_file(request: Request, name: str) -> Response:
    """Give one of the files that the page is made of."""
    if name not in _FILES:
        raise NotFound(f"There is nothing at {request.url.path}; the page is at /.")
    return _answer(_FILES[name], request)


def _answer(file: _WebFile, request: Request) -> Response:
    """The file, or 304 to a browser that has it already."""
    headers = {
        "Cache-Control": "no-cache",  # cached, but revalidated each time: an upgrade shows at once
        "ETag": file.etag,
        "Content-Security-Policy": _POLICY,
    }
    # The header may list several ETags, and mark them as weak; the quoted digest is found in any of these forms.
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers={**headers, "Content-Type": file.media_type})
