import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from service.head import HeadAsGet
from tests.service.raw_http import connect, everything_from, request_head
from tests.service.running import running_service
from tests.service.scraping import scrape

# The page, a long file, JSON, nothing at all, and problems.
FOUND = ("/", "/web/page.js", "/docs", "/docs/swagger-ui-bundle.js", "/openapi.json", "/health/ready", "/v1/models")
OTHERS = ("/health/live", "/nothing", "/v1/models/other")
NOT_COMPARED = {"x-request-id", "connection", "date"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module that change nothing in it."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


def told(answer: httpx.Response) -> dict[str, str]:
    """The headers that do not differ from request to request."""
    return {name: value for name, value in answer.headers.items() if name not in NOT_COMPARED}


@pytest.mark.parametrize("path", [*FOUND, *OTHERS])
def test_head_is_get_without_a_body(client: httpx.Client, path: str) -> None:
    """Status and headers, the length among them, are those of GET, for problems too."""
    get = client.get(path)
    head = client.head(path)

    assert (head.status_code, head.content) == (get.status_code, b"")
    assert told(head) == told(get)
    if get.content:
        assert int(head.headers["Content-Length"]) == len(get.content)


def test_the_connection_goes_on_behind_a_head(client: httpx.Client) -> None:
    """No byte of a body follows, so the client finds the next answer where it expects it."""
    with connect(client) as connection:
        connection.sendall(request_head("HEAD", "/", []) + request_head("GET", "/health/live", ["Connection: close"]))
        received = everything_from(connection)

    first, second, rest = received.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 204")
    assert rest == b""


def test_metrics_have_a_head_of_their_own(client: httpx.Client) -> None:
    """It is counted as HEAD, under the route that was asked for."""
    before = scrape(client).value("digits_http_requests_total", method="HEAD", route="/metrics", status="200")
    assert client.head("/metrics").headers["Content-Length"] != "0"
    after = scrape(client).value("digits_http_requests_total", method="HEAD", route="/metrics", status="200")

    assert after == before + 1


def test_where_there_is_no_get_there_is_no_head(client: httpx.Client) -> None:
    """A path that only takes POST says so."""
    answer = client.head("/v1/predict")

    assert (answer.status_code, answer.headers["Allow"], answer.content) == (405, "POST", b"")


def test_other_methods_are_told_of_head(client: httpx.Client) -> None:
    """Allow lists it, and so does the sentence that says what to use."""
    answer = client.post("/health")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.json()["detail"] == "POST is not possible at /health; use GET, HEAD."


def test_a_fault_leaves_head_what_it_was() -> None:
    """The code that answers for an exception sees that the request was a HEAD."""
    scope: dict[str, Any] = {"type": "http", "method": "HEAD"}
    seen = []

    async def fault(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["method"])
        raise RuntimeError

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_: Message) -> None:
        seen.append("answered")

    with pytest.raises(RuntimeError):
        asyncio.run(HeadAsGet(fault)(scope, receive, send))

    assert (seen, scope["method"]) == (["GET"], "HEAD")
