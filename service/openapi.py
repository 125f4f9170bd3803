"""The OpenAPI document's own parts: the introduction, and the problem that every error answer is."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.problems import BY_STATUS, ProblemDocument

DESCRIPTION = "\n".join(
    [
        "Reads handwritten digits: pictures or arrays in, digits and probabilities out.",
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


def add_problem_schema(app: FastAPI) -> None:
    """Let the app's OpenAPI document define `ProblemDocument`, which its responses refer to."""

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
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # FastAPI's documented way to extend the document
