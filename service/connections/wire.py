"""How a connection's bytes become requests: with heads of bounded size, without upgrades and trailers.

A large piece is parsed in parts, between which other connections have their turn.

httptools takes a request that asks for an upgrade for the last one in HTTP, drops its body and stops. But clients that
offer to upgrade to HTTP/2, as Java's do, want an HTTP/1.1 answer from a server without HTTP/2 (RFC 9110, 7.8).
"""

import asyncio
import functools
import re
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.connections.refusals import head_too_long, no_http, part_too_long
from service.problems import Problem

if TYPE_CHECKING:
    from array import array

    from service.connections.dates import DateFirst
    from service.connections.lingering import Turns

# Servers allow 8 to 64 KiB. The parser takes quadratic time for a longer head, whose memory is taken before any limit
# applies. A head's first part does not count, because most of it may be another request's body.
_MOST_HEAD_BYTES = 64 * 1024

# What is parsed in one go. It takes microseconds in a plain body, but 3 ms in chunks of one byte. A piece can have a
# quarter of a megabyte, and uvloop reads 32 of them in a row: one client could hold up the event loop for 5 s.
_PART_BYTES = 8 * 1024
# Up to this much is parsed at once, which saves 3 % of the time that one image takes: in JSON it has up to 17 kB.
_AT_ONCE_BYTES = 20 * 1024
# How long one connection parses before others have their turn: less than a batch takes.
_TURN_SECONDS = 0.001

# Many times what a picture takes. The rows of a client that has left stay in the queue for as long: a closed connection
# looks like a half-closed one, until something is sent to it.
_PATIENCE_SECONDS = 0.5

# A target in absolute form, as for a proxy, may leave out the path of the start page (RFC 9110, 4.2.3).
_NO_PATH = re.compile(rb"^(https?://[^/?#]+)($|[?#])", re.IGNORECASE)

KeepsOpen = Any
"""A bool, as the event loop takes it: uvicorn, which never keeps a connection open, declares None."""


class BoundedHeads(HttpToolsProtocol, ABC):
    """A connection that reads requests, and calls `refuse_bytes` when it cannot read on."""

    is_upgrade = False
    is_amid_body = False
    """Whether a request's head has been read, but not all of its body."""
    turns: "Turns"
    """Paces the reading of bytes that will be thrown away; shared by all connections of a service."""
    first_headers: "DateFirst"
    """What uvicorn writes before an answer's own headers."""
    refusal: Problem
    """What the parser last objected to, for `send_400_response`, which uvicorn calls next."""
    _progress = 0
    _head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by uvicorn's server."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.parser = _NeverUpgraded(self)
        self.unparsed = deque[memoryview]()
        """The bytes received but not parsed yet, while other connections have their turn."""

    def data_received(self, data: bytes) -> None:
        """Parse the bytes, and let other connections go on if that takes long; called by the event loop."""
        if len(data) <= _AT_ONCE_BYTES:
            self._parse(data)
            self._end_piece(len(data))
        else:
            self.unparsed.append(memoryview(data))
            self._parse_on(len(data))

    def _parse_on(self, size_bytes: int, *, has_paused: bool = False) -> None:
        """Parse for a moment, and the rest after other connections; nothing more is read meanwhile."""
        until = time.perf_counter() + _TURN_SECONDS
        while self.unparsed and not self.transport.is_closing():  # a part may have led to that
            if time.perf_counter() >= until:
                self.flow.pause_reading()
                self.loop.call_soon(functools.partial(self._parse_on, size_bytes, has_paused=True))
                return
            piece = self.unparsed.pop()
            if len(piece) > _PART_BYTES:
                self.unparsed.append(piece[_PART_BYTES:])
            self._parse(bytes(piece[:_PART_BYTES]))
        self.unparsed.clear()
        self._end_piece(size_bytes, has_paused=has_paused)

    def _parse(self, data: bytes) -> None:
        before = self._progress
        super().data_received(data)
        if before != self._progress:
            self._head_bytes = 0
            return
        # All of it belongs to an unfinished head, to trailers, or to a chunk's size line.
        self._head_bytes += len(data)
        if self._head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
            too_long = part_too_long if self.is_amid_body else head_too_long
            self.refuse_bytes(too_long(_MOST_HEAD_BYTES))

    def _end_piece(self, size_bytes: int, *, has_paused: bool = False) -> None:
        """Read more at once, unless it will be thrown away or the body's reader is behind."""
        if isinstance(self.parser, _Deaf) or (self.is_amid_body and self.cycle.response_complete):
            self.read_on_in_turn(size_bytes)
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn declares
        if has_paused and (cycle is None or len(cycle.body) <= HIGH_WATER_LIMIT):
            self._read_on()

    def eof_received(self) -> KeepsOpen:
        """Keep the connection for a moment if a whole request is unanswered; called by the event loop.

        The client may only have half-closed the connection, as `nc -N` does, and still read the answer. A client that
        has no answer by then is treated as gone; one that closes amid a request is treated as gone at once.
        """
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn declares
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        self.loop.call_later(_PATIENCE_SECONDS, self.transport.close)
        return True

    def read_on_in_turn(self, size_bytes: int) -> None:
        """Let other connections go on first: this many bytes were thrown away, and more may come without end."""
        if not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_at(self.turns.next_seconds(size_bytes, self.loop.time()), self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def read_no_more(self) -> None:
        """Ignore what still comes; it is only read to notice the end of the connection."""
        self.parser = _Deaf()

    def note_objection(self, error: HttpParserError, begins_with: bytes) -> None:
        """Note what is wrong with the bytes that begin with these two; called by the parser."""
        # The target alone may be that long: uvicorn then fails to parse it.
        is_too_long = isinstance(error, HttpParserCallbackError) and len(self.url) >= _MOST_HEAD_BYTES
        self.refusal = head_too_long(_MOST_HEAD_BYTES) if is_too_long else no_http(error, begins_with)

    @abstractmethod
    def refuse_bytes(self, problem: Problem) -> None:
        """Answer bytes that cannot be read on, unless an earlier request is unanswered, and end the connection."""

    def on_message_begin(self) -> None:
        """Begin a request; called by the parser."""
        self._progress += 1
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; called by the parser, for trailers too, which must not count as headers (RFC 9110, 6.5.1)."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn declares
        if cycle is None or cycle.scope is not self.scope:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start a request, unless it will be parsed once more without its upgrade; called by the parser."""
        self._progress += 1
        self.is_upgrade = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self.expect_100_continue and self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # such a client takes a 100 for the answer (RFC 9110, 10.1.1)
        if not self.url.startswith(b"/"):
            self.url = _NO_PATH.sub(rb"\1/\2", self.url)
        if not self.is_upgrade:
            super().on_headers_complete()
            self.cycle.default_headers = self.first_headers  # read when the answer is written
            self.is_amid_body = True

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; called by the parser."""
        self._progress += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; called by the parser."""
        self._progress += 1
        if not self.is_upgrade:
            self.is_amid_body = False
            super().on_message_complete()

    def head_without_upgrade(self) -> bytes:
        """The head that has just been read, without its request for an upgrade."""
        kept = [(name, value) for name, value in self.headers if name != b"upgrade"]
        version = self.parser.get_http_version().encode()
        return b"".join(
            [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
            + [b"%b: %b\r\n" % header for header in kept]
            + [b"\r\n"]
        )


class _NeverUpgraded(HttpRequestParser):
    """httptools' parser, which parses a request that asks for an upgrade once more without the upgrade."""

    def __init__(self, connection: BoundedHeads) -> None:
        super().__init__(connection)
        self._connection = connection
        # As uvicorn sets it: bytes after a request that closes the connection must not prevent its answer.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: "bytes | bytearray | memoryview[int] | array[int]") -> None:
        """Read on; called by uvicorn, with bytes."""
        while True:
            try:
                super().feed_data(data)
            except HttpParserUpgrade as upgrade:
                if not self._connection.is_upgrade:
                    raise
                data = self._connection.head_without_upgrade() + bytes(data)[upgrade.args[0] :]
            except HttpParserError as error:
                self._connection.note_objection(error, bytes(data[:2]))
                raise
            else:
                return


class _Deaf(HttpRequestParser):
    """A parser that reads nothing."""

    def __init__(self) -> None:
        super().__init__(object())

    def feed_data(self, data: "bytes | bytearray | memoryview[int] | array[int]") -> None:
        """Ignore the bytes; called by uvicorn."""
