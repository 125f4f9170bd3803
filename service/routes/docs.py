"""GET /docs: the API reference; its scripts and styles come from this service, so it works with no network."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

router = APIRouter(include_in_schema=False)

_ASSETS = Path(fastapi_offline.__file__).parent / "static"


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Show the API reference."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Digits",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="/docs/favicon.png",
    )


@router.get("/docs/swagger-ui-bundle.js")
async def script() -> FileResponse:
    """The reference's script."""
    return FileResponse(_ASSETS / "swagger-ui-bundle.js")


@router.get("/docs/swagger-ui.css")
async def style() -> FileResponse:
    """The reference's style."""
    return FileResponse(_ASSETS / "swagger-ui.css")


@router.get("/docs/favicon.png")
async def icon() -> FileResponse:
    """The reference's icon."""
    return FileResponse(_ASSETS / "favicon.png")
