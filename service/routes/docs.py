"""GET /docs and /openapi.json: the API reference; its scripts and styles are served from here, so it works offline."""

import base64
import hashlib
import re
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, Response

from service.problems import BY_STATUS

router = APIRouter(include_in_schema=False)

_ASSETS = Path(fastapi_offline.__file__).parent / "static"
# 2 MB in total, read once: a file response would answer range requests, and bad ranges without a problem.
_SCRIPT, _STYLE, _ICON = (
    (_ASSETS / name).read_bytes() for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
)

_SWAGGER = bytes(
    get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Digits",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="/docs/favicon.png",
        swagger_ui_parameters={"deepLinking": False},  # deep links would overwrite `#not-found` in the URL
    ).body
)


def _problems() -> str:
    """The section that the `type` of each problem refers to."""
    described = "".join(
        f'<dt id="{kind.reason}"><strong>{kind.title}</strong> ({kind.status})</dt>'
        f"<dd>{_sentence(str(kind.__doc__).partition(': ')[2])}</dd>"
        for kind in BY_STATUS.values()
    )
    told = "<code>detail</code> says what to do, and <code>errors</code> where."
    # Above the reference, which is rendered later and would push them down; shown only to readers who follow a `type`.
    rules = "main:not(:has(:target)) { display: none } :target { background: #fe9 }"
    section = f"<h2>Problems</h2><p>{told}</p><dl>{described}</dl>"
    return f'<style>{rules}</style><main class="swagger-ui"><div class="wrapper">{section}</div></main>'


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


_BODY = b"<body>"
_PAGE = _SWAGGER.replace(_BODY, _BODY + _problems().encode())


def _policy(page: bytes) -> str:
    """The Content-Security-Policy of a Swagger UI page: allows this service's scripts, and inline scripts by digest."""
    inline = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in inline]
    scripts = " ".join(["script-src 'self'", *(f"'sha256-{digest}'" for digest in digests)])
    # Swagger UI writes styles into its elements and draws with data URLs.
    others = ["style-src 'self' 'unsafe-inline'", "img-src 'self' data:", "connect-src 'self'"]
    locks = ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return "; ".join(["default-src 'none'", scripts, *others, *locks])


_POLICY = _policy(_PAGE)


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Show the API reference."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/openapi.json")
async def document(request: Request) -> JSONResponse:
    """Describe the API."""
    app: FastAPI = request.app
    return JSONResponse(app.openapi())


@router.get("/docs/swagger-ui-bundle.js")
async def script() -> Response:
    """Answer with the reference's script."""
    return Response(_SCRIPT, media_type="text/javascript")


@router.get("/docs/swagger-ui.css")
async def style() -> Response:
    """Answer with the reference's style."""
    return Response(_STYLE, media_type="text/css")


@router.get("/docs/favicon.png")
async def icon() -> Response:
    """Answer with the reference's icon."""
    return Response(_ICON, media_type="image/png")
