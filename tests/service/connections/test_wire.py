import gc
import http.client
import select
import socket
from collections.abc import Iterator

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.service.raw_http import connect, everything_from, request_head
from tests.service.running import WAIT_SECONDS, running_service, wait_until
from tests.service.scraping import scrape

PIXELS_BYTES = 784
OCTETS = "Content-Type: application/octet-stream"
UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
LEAVE = request_head("GET", "/health/live", ["Connection: close"])
CHUNKED = request_head("POST", "/v1/predict", [OCTETS, "Transfer-Encoding: chunked"])
CHUNK = b"310\r\n" + bytes(PIXELS_BYTES) + b"\r\n"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module that change nothing in it."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


def answer_from(connection: socket.socket) -> http.client.HTTPResponse:
    """The next answer, with its body read; no other answer may have come behind it yet."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.read()
    return response


@pytest.mark.parametrize("at_once", [True, False])
def test_a_wish_for_another_protocol_costs_no_body(client: httpx.Client, *, at_once: bool) -> None:
    """A client that would rather speak HTTP/2, as Java's and `curl --http2` do, is answered in HTTP/1.1."""
    head = request_head("POST", "/v1/predict", [OCTETS, f"Content-Length: {PIXELS_BYTES}", *UPGRADE])
    with connect(client) as connection:
        if at_once:
            connection.sendall(head + bytes(PIXELS_BYTES))
        else:
            connection.sendall(head)
            wait_until(lambda: scrape(client).value("digits_http_requests_in_progress") == 2)  # with the scrape
            connection.sendall(bytes(PIXELS_BYTES))
        assert answer_from(connection).status == 200
        connection.sendall(LEAVE)
        assert everything_from(connection).startswith(b"HTTP/1.1 204")


def test_what_is_sent_behind_such_a_wish_is_answered(client: httpx.Client) -> None:
    """Requests that are sent together are all answered, even if some ask for another protocol and have no body."""
    websocket = request_head("GET", "/health/live", ["Connection: Upgrade", "Upgrade: websocket"])
    with connect(client) as connection:
        connection.sendall(websocket + websocket + LEAVE)
        assert everything_from(connection).count(b"HTTP/1.1 204") == 3


@pytest.mark.parametrize(
    ("begun", "more", "status"),
    [
        (b"GET / HTTP/1.1\r\nX-Long: ", b"a" * 10_000, 431),
        (b"GET /", b"a" * 10_000, 431),
        (b"GET / HTTP/1.1\r\n", b"a:b\r\n" * 2_000, 431),
        (CHUNKED + CHUNK + b"0\r\nX-Long: ", b"a" * 10_000, 400),
        (CHUNKED + b"310;", b"a" * 10_000, 400),
    ],
)
def test_a_head_has_a_bound(client: httpx.Client, begun: bytes, more: bytes, status: int) -> None:
    """A head, a trailer or a chunk's line that never ends is refused, however fast it comes."""
    with connect(client) as connection:
        connection.sendall(begun)
        sent_bytes = 0
        while sent_bytes < 20_000_000 and not select.select([connection], [], [], 0)[0]:
            connection.sendall(more)
            sent_bytes += len(more)
        assert everything_from(connection).startswith(b"HTTP/1.1 %d" % status)
    assert sent_bytes < 15_000_000  # including what the system buffers


def test_a_long_head_is_told(client: httpx.Client) -> None:
    """The answer is a problem that says how long a head may be, and it is counted."""
    before = scrape(client).value("digits_rejected_total", reason="head-too-long")
    with connect(client) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        while not select.select([connection], [], [], 0.01)[0]:
            connection.sendall(b"a" * 20_000)
        received = everything_from(connection)

    assert received.startswith(b"HTTP/1.1 431")
    assert b"/docs#head-too-long" in received
    assert b"over 65536 bytes" in received
    seen = scrape(client)
    assert seen.value("digits_rejected_total", reason="head-too-long") == before + 1
    assert seen.value("digits_http_requests_total", method="other", route="unmatched", status="431") >= 1


@pytest.mark.parametrize("size_bytes", [65_536, 70_000, 200_000])
@pytest.mark.parametrize("begun", [b"GET /", b"GET /?a=", b"GET http://test/"])
def test_a_long_path_is_too_long_a_head(client: httpx.Client, begun: bytes, size_bytes: int) -> None:
    """Even one that ends, and is found only when it is parsed: the problem is its length, not an invalid path."""
    with connect(client) as connection:
        connection.sendall(begun + b"a" * size_bytes + b" HTTP/1.1\r\nHost: test\r\n\r\n")
        received = everything_from(connection)

    assert received.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"connection: close\r\n" in received
    assert b"over 65536 bytes" in received


def test_a_chunk_line_behind_a_refusal_is_no_head(client: httpx.Client) -> None:
    """A chunk line that is too long, in a body that was refused unread, is reported as a malformed body."""
    head = request_head("POST", "/v1/predict", ["Content-Type: text/plain", "Transfer-Encoding: chunked"])
    with connect(client) as connection:
        connection.sendall(head)
        assert answer_from(connection).status == 415
        connection.sendall(b"310;" + b"a" * 200_000)
        received = everything_from(connection)

    assert received.startswith(b"HTTP/1.1 400")
    assert b"over 65536 bytes" in received


def test_a_head_that_is_not_too_long_is_read(client: httpx.Client) -> None:
    """This holds in many pieces, and again and again on one connection."""
    headers = [f"X-{number}: {'a' * 1000}" for number in range(50)]
    with connect(client) as connection:
        for _ in range(3):
            head = request_head("GET", "/health/live", headers)
            for at in range(0, len(head), 5000):
                connection.sendall(head[at : at + 5000])
            assert answer_from(connection).status == 204


@pytest.mark.parametrize("trailer", [b"Content-Type: text/plain", b"X-Request-ID: forged", b"Content-Encoding: gzip"])
def test_trailers_are_no_headers(client: httpx.Client, trailer: bytes) -> None:
    """A trailer after a chunked body changes nothing, even if it comes together with the head."""
    with connect(client) as connection:
        connection.sendall(CHUNKED + CHUNK + b"0\r\n" + trailer + b"\r\n\r\n")
        response = answer_from(connection)
    assert response.status == 200
    assert response.getheader("X-Request-ID") != "forged"


def test_a_body_that_was_refused_before_it_was_sent_is_not_waited_for(client: httpx.Client) -> None:
    """A client that asked whether to send its body, and may not, is told that the connection closes."""
    headers = ["Content-Type: text/plain", "Content-Length: 9", "Expect: 100-continue"]
    asked = request_head("POST", "/v1/predict", headers)
    with connect(client) as connection:
        connection.sendall(asked)
        response = answer_from(connection)
        assert (response.status, response.getheader("Connection")) == (415, "close")
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "target", ["http://test", "HTTP://test:80", "http://test?a=/b", "http://test/", "http://test/?a"]
)
def test_a_target_in_absolute_form_may_have_no_path(client: httpx.Client, target: str) -> None:
    """Clients use this form for a proxy, and a server must understand it (RFC 9112, 3.2.2)."""
    with connect(client) as connection:
        connection.sendall(request_head("GET", target, ["Connection: close"]))
        assert b"<!doctype html>" in everything_from(connection)


def test_a_client_of_http_1_0_is_not_told_to_go_on(client: httpx.Client) -> None:
    """HTTP/1.0 has no interim answers, whatever headers the client sends."""
    headers = [OCTETS, f"Content-Length: {PIXELS_BYTES}", "Expect: 100-continue"]
    asked = request_head("POST", "/v1/predict", headers).replace(b"HTTP/1.1", b"HTTP/1.0")
    with connect(client) as connection:
        connection.sendall(asked + bytes(PIXELS_BYTES))
        assert everything_from(connection).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nX-Begun: ",
        b"GET / HTTP/1.1\r\n\0\r\n",
        request_head("POST", "/v1/predict", [OCTETS, f"Content-Length: {PIXELS_BYTES}"]) + LEAVE[:-20],
        (request_head("POST", "/v1/predict", [OCTETS, "Content-Length: 1"]) + b"0") * 20,
        request_head("POST", "/v1/predict", ["Content-Type: text/plain", "Content-Length: 9", "Connection: close"]),
    ],
)
def test_a_connection_that_ends_early_leaves_nothing_behind(client: httpx.Client, sent: bytes) -> None:
    """No reference cycle keeps any of it until the garbage collector runs."""

    def connections() -> int:
        return sum(isinstance(thing, HttpToolsProtocol) for thing in gc.get_objects())

    client.get("/health/live")
    gc.collect()
    before = connections()
    gc.disable()
    try:
        for _ in range(5):
            with connect(client) as connection:
                connection.sendall(sent)
                connection.settimeout(WAIT_SECONDS)
        wait_until(lambda: connections() <= before)
    finally:
        gc.enable()
