"""The parts of the OpenAPI document that no route declares: the introduction, the problem schema and the API key."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.keys import GUARDED
from service.problems import BY_STATUS, ProblemDocument, documented, header_reference

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


def _header(description: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "required": True, "schema": {"type": kind}}


_HEADERS = {
    "X-Request-ID": _header("The caller's own id, or a new one."),
    "X-Model-Version": _header("The version that answered.", "integer"),
    "Server-Timing": _header("How long decode, queue and infer took, in milliseconds."),
    "Retry-After": _header("After how many seconds to ask again.", "integer"),
    "WWW-Authenticate": _header("How to send a key (RFC 6750)."),
}


def complete_document(app: FastAPI, *, needs_key: bool) -> None:
    """Add to the app's OpenAPI document the definitions that responses refer to, and how a key is sent."""

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
            # FastAPI's own error schemas: here every error is a problem.
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            made["components"]["headers"] = _HEADERS
            made["components"]["securitySchemes"] = _SECURITY_SCHEMES
            if needs_key:
                _require_key(made["paths"])
            _add_request_id(made["paths"])
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # FastAPI's documented way to extend the document


def _require_key(paths: dict[str, Any]) -> None:
    """Document that each guarded operation needs a key, and what it answers without one."""
    unauthorized = {str(status): response for status, response in documented(401).items()}
    for path, operations in paths.items():
        if path.startswith(GUARDED):
            for operation in operations.values():
                operation["security"] = [{name: []} for name in _SECURITY_SCHEMES]
                operation["responses"] |= unauthorized


def _add_request_id(paths: dict[str, Any]) -> None:
    """Document that each answer has the request's id."""
    for operations in paths.values():
        for operation in operations.values():
            for response in operation["responses"].values():
                response["headers"] = response.get("headers", {}) | {"X-Request-ID": header_reference("X-Request-ID")}
