"""The OpenAPI document's own parts: the introduction, the problem that every error answer is, and the API key."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.keys import GUARDED
from service.problems import BY_STATUS, ProblemDocument, documented

DESCRIPTION = "\n".join(
    [
        "Reads handwritten digits: pictures or arrays in, digits and probabilities out.",
        "",
        "What answers GET also answers HEAD: the same without a body.",
        "",
        "Every answer carries `X-Request-ID`: the caller's own, or a new one. Every error is an",
        "`application/problem+json` document (RFC 9457):",
        "",
        "| status | type | title |",
        "| --- | --- | --- |",
        *(
            f"| {status} | `/docs#{problem.reason}` | {problem.title} |"
            for status, problem in sorted(BY_STATUS.items())
        ),
    ]
)


_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, when the service has any."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key, in another place."},
}


def complete_document(app: FastAPI, *, needs_key: bool) -> None:
    """Let the app's OpenAPI document define `ProblemDocument`, to which responses refer, and how a key is sent."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                license_info=app.license_info,
                routes=app.routes,
            )
            schemas = made["components"]["schemas"]
            schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
            # FastAPI's own error model: here every error is a problem.
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            made["components"]["securitySchemes"] = _SECURITY_SCHEMES
            if needs_key:
                _require_key(made["paths"])
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # FastAPI's documented way to extend the document


def _require_key(paths: dict[str, Any]) -> None:
    """Say of each guarded operation that it needs a key, and what it answers without."""
    unauthorized = {str(status): response for status, response in documented(401).items()}
    for path, operations in paths.items():
        if path.startswith(GUARDED):
            for operation in operations.values():
                operation["security"] = [{name: []} for name in _SECURITY_SCHEMES]
                operation["responses"] |= unauthorized
