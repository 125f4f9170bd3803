"""A connection on which a test can misbehave: send half a body, lie about its length, or leave early."""

import socket
from collections.abc import Iterable

import httpx


def connect(client: httpx.Client) -> socket.socket:
    """Open a separate connection to the client's service; close it with `with`."""
    return socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=10)


def request_head(method: str, path: str, headers: Iterable[str]) -> bytes:
    """The request line and headers, with Host and the empty line at the end."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *headers, "", ""]).encode("latin-1")


def read_status(connection: socket.socket) -> int:
    """Read the answer's status."""
    received = b""
    while b"\r\n" not in received:
        more = connection.recv(4096)
        assert more, "the service closed the connection without an answer"
        received += more
    return int(received.split(b" ")[1])


def everything_from(connection: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))
