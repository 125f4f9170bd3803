"""What the answer to bytes that are no request says."""

import http.client
import json
from collections.abc import Iterator

import httpx
import pytest
from httptools import HttpParserCallbackError, HttpParserError, HttpParserInvalidMethodError, HttpParserInvalidURLError

from service.connections.refusals import no_http
from tests.service.raw_http import connect, request_head
from tests.service.running import running_service

TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
NO_REQUEST = "The bytes sent are not an HTTP/1.1 request"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module: they change nothing in it."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


def refused(client: httpx.Client, sent: bytes) -> str:
    """The detail of the problem that answers the bytes; it must have status 400 and close the connection."""
    with connect(client) as connection:
        connection.sendall(sent)
        response = http.client.HTTPResponse(connection)
        response.begin()
        problem = json.loads(response.read())
        assert connection.recv(1) == b""
    assert (response.status, problem["type"], problem["title"]) == (400, "/docs#malformed-body", "Malformed body")
    assert response.getheader("Connection") == "close"
    return str(problem["detail"])


def post(*headers: str) -> bytes:
    """The head of a prediction with those headers."""
    return request_head("POST", "/v1/predict", ["Content-Type: application/octet-stream", *headers])


def get(target: str = "/", method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    """A request line with those parts, and the rest of a head."""
    return f"{method} {target} {version}\r\nHost: test\r\n\r\n".encode("latin-1")


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (get(method="FOO"), "its method is not known"),
        (get(method="GETX"), "its method is not known"),
        (get(method="get"), "its method is not known"),
        (get(method="DESCRIBE"), "its method is not known"),
        (b"\0\0\0\0", "its method is not known"),
        (get("/a b"), "write a space in a path as %20"),
        (get("a"), "its target is neither a path nor a URL"),
        (get("/\xe4"), "its target is neither a path nor a URL"),
        (get("http://"), "its target is neither a path nor a URL"),
        (get("http://test:99999999/"), "its target is neither a path nor a URL"),
        (get(version="HTTP/9.9"), "its version is not known"),
        (get(version="HTTP/1.x"), "its version is not known"),
        (get(version="HTTP/x.1"), "its version is not known"),
        (get(version="HTTP/11"), "its version is not known"),
        (get(version="ICE/1.0"), "its version is not known"),
        (get(method="PATCH", version="RTSP/1.0"), "its version is not known"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "it begins with HTTP/2's preface"),
        (b"GET / HTTP/1.1\nHost: test\n\n", "a line does not end in CR and LF"),
        (b"GET / HTTP/1.1\r\nHost: test\n\n", "a line does not end in CR and LF"),
        (b"GET / HTTP/1.1\r\nHost: test\r\n\rX", "a line does not end in CR and LF"),
        (b"GET / HTTP/1.1\r\nHost: te\rst\r\n\r\n", "a line does not end in CR and LF"),
        (b"GET / HTTP/1.1\r\n Host: test\r\n\r\n", "a header begins with a space"),
        (b"GET / HTTP/1.1\r\nHost: test\r\n folded\r\n\r\n", "a header begins with a space"),
        (b"GET / HTTP/1.1\r\nHo st: test\r\n\r\n", "a header's name is empty, or has a character"),
        (b"GET / HTTP/1.1\r\nHost: te\0st\r\n\r\n", "a header's value has a control character"),
        (post("Content-Length: abc"), "its Content-Length is not a whole number"),
        (post("Content-Length: -1"), "its Content-Length is not a whole number"),
        (post("Content-Length: "), "its Content-Length is not a whole number"),
        (post(f"Content-Length: {10**30}"), "its Content-Length is too large a number"),
        (post("Content-Length: 784", "Content-Length: 784"), "its Content-Length comes more than once"),
        (post("Content-Length: 784", "Transfer-Encoding: chunked"), "both Content-Length and Transfer-Encoding"),
        (post("Transfer-Encoding: chunked", "Content-Length: 784"), "both Content-Length and Transfer-Encoding"),
        (post("Transfer-Encoding: "), "its Transfer-Encoding does not end in chunked"),
        (post("Transfer-Encoding: chunked, chunked"), "its Transfer-Encoding does not end in chunked"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(client: httpx.Client, sent: bytes, words: str) -> None:
    """The detail names the part of the head that the parser objects to, and mentions TLS only for TLS."""
    detail = refused(client, sent)

    assert detail.startswith(f"{NO_REQUEST}: ")
    assert words in detail
    assert "TLS" not in detail


def test_tls_is_told(client: httpx.Client) -> None:
    """A client that uses https:// instead of http:// is told so."""
    assert refused(client, TLS_HELLO) == f"{NO_REQUEST} but TLS; send one without TLS, to http://."


@pytest.mark.parametrize(
    "sent",
    [
        get("/", method="swordfish"),
        get("/ swordfish"),
        get("http://:swordfish"),
        get("/", version="HTTP/swordfish"),
        post("Content-Length: swordfish"),
        post("sword fish: swordfish"),
        post("Transfer-Encoding: swordfish"),
    ],
)
def test_nothing_that_was_sent_is_repeated(client: httpx.Client, sent: bytes) -> None:
    """This holds for every part of the head."""
    assert "fish" not in refused(client, sent)


def test_the_last_objection_is_told(client: httpx.Client) -> None:
    """This holds after answered requests on the same connection, and for a head that comes in parts."""
    with connect(client) as connection:
        connection.sendall(request_head("GET", "/health/live", []))
        assert connection.recv(4096).startswith(b"HTTP/1.1 204")
        connection.sendall(b"POST / HTTP/1.1\r\nContent-")
        connection.sendall(b"Length: abc\r\n\r\n")
        assert b"its Content-Length is not a whole number" in connection.recv(4096)


@pytest.mark.parametrize("kind", [HttpParserError, HttpParserCallbackError])
def test_an_objection_that_is_not_known_is_not_repeated(kind: type[HttpParserError]) -> None:
    """Another release of the parser may say anything, even the bytes themselves."""
    assert no_http(kind("swordfish"), b"GE").detail == f"{NO_REQUEST}; send one."


def test_tls_amid_a_head_is_none() -> None:
    """The first bytes of a TLS record mean TLS only where a method should be."""
    assert "TLS" not in no_http(HttpParserInvalidURLError("Invalid char in url path"), TLS_HELLO[:2]).detail
    assert "TLS" in no_http(HttpParserInvalidMethodError("Invalid method encountered"), TLS_HELLO[:2]).detail
