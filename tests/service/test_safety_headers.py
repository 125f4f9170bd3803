"""The security headers of every answer, whichever route gives it."""

import platform

import httpx
import pytest

from tests.service.raw_http import connect, request_head

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PATHS = [
    "/",
    "/web/page.js",
    "/docs",
    "/docs/swagger-ui.css",
    "/openapi.json",
    "/health",
    "/metrics",
    "/v1/models",
    "/nothing",
]


@pytest.mark.parametrize("path", [*PATHS, "/v1/predict", "/v1/models/digits/versions/x"])
def test_every_answer_is_safe_in_a_browser(client: httpx.Client, path: str) -> None:
    """Every answer, even an error, forbids type sniffing, framing and all sources that its one policy does not name."""
    headers = client.get(path).headers
    assert {name: headers[name] for name in EVERYWHERE} == EVERYWHERE
    policies = headers.get_list("Content-Security-Policy")
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "frame-ancestors 'none'" in policies[0]


def test_a_prediction_is_as_safe(client: httpx.Client) -> None:
    """The shortcut's answers have the same headers."""
    answer = client.post("/v1/predict", content=bytes(784), headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 200
    assert {name: answer.headers[name] for name in EVERYWHERE} == EVERYWHERE


def test_the_reference_runs_its_own_script_only(client: httpx.Client) -> None:
    """The script inside /docs is named by its digest: no other inline script may run."""
    policy = client.get("/docs").headers["Content-Security-Policy"]
    (scripts,) = [part for part in policy.split("; ") if part.startswith("script-src")]
    assert "'sha256-" in scripts
    assert "unsafe" not in scripts


@pytest.mark.parametrize("path", PATHS)
def test_no_answer_names_what_it_was_made_with(client: httpx.Client, path: str) -> None:
    """Neither a header nor a body of these names server software, versions or paths.

    What a trainer wrote (manifest, card, report) and the reference's script are left out, as SECURITY.md says.
    """
    answer = client.get(path)
    assert_names_nothing(f"{answer.headers}{answer.text}")


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/v1/models/digits"])
def test_no_refusal_names_what_it_was_made_with(client: httpx.Client, path: str) -> None:
    """Nor does the answer to a method that is not allowed, or to a body that cannot be read."""
    answers = [
        client.delete(path),
        client.post("/v1/predict", content=b"{", headers={"Content-Type": "application/json"}),
    ]
    assert_names_nothing("".join(f"{answer.headers}{answer.text}" for answer in answers))


@pytest.mark.parametrize("request_line", [b"garbage\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_what_is_no_http_is_not_told_either(client: httpx.Client, request_line: bytes) -> None:
    """The answer to bytes that are no request names nothing internal."""
    with connect(client) as connection:
        connection.sendall(request_line)
        assert_names_nothing(connection.recv(65536).decode("latin-1"))


def assert_names_nothing(shown: str) -> None:
    """Assert that no server software, library, version of Python or path is in it."""
    for inside in ("uvicorn", "starlette", "python/", "traceback", "site-packages", "/home", "/tmp", "tensorflow"):  # noqa: S108
        assert inside not in shown.lower()
    assert platform.python_version() not in shown


def test_a_method_that_is_not_possible_is_answered_as_safely(client: httpx.Client) -> None:
    """405 has the headers too."""
    with connect(client) as connection:
        connection.sendall(request_head("PUT", "/v1/predict", []))
        head = connection.recv(65536).split(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 405")
    assert b"x-content-type-options: nosniff" in head
