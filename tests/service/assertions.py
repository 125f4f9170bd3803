"""What every error answer has in common, asserted in one place."""

from typing import Any

import httpx

from service.problems import BY_STATUS, MEDIA_TYPE

_ALWAYS = {"type", "title", "status", "detail", "instance", "request_id", "error"}


def assert_problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """Assert that the answer is the problem of that status and reason in its canonical shape; give its document."""
    assert response.status_code == status, response.text[:1000]
    assert response.headers["content-type"] == MEDIA_TYPE
    document: dict[str, Any] = response.json()
    assert _ALWAYS <= document.keys() <= _ALWAYS | {"errors"}
    assert document["status"] == status
    assert document["type"] == f"/docs#{reason}"
    assert document["title"] == BY_STATUS[status].title
    assert document["instance"] == response.request.url.path
    assert document["request_id"] == response.headers["X-Request-ID"]
    assert document["error"] == document["detail"]
    _assert_sentence(document["detail"])
    for place in document.get("errors", []):
        assert place.keys() == {"pointer", "detail"}
        assert place["pointer"] == "" or place["pointer"].startswith("/")
    return document


def _assert_sentence(detail: str) -> None:
    """The detail ends like a sentence, and leaks no internals."""
    assert detail.rstrip('"').endswith(".")
    assert ".." not in detail
    for inside in ("Traceback", "Error(", "site-packages", "object at 0x"):
        assert inside not in detail
