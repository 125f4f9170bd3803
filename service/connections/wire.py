"""What is read from a connection until it is a request: a head of bounded size, without upgrades and trailers.

What comes in one piece is parsed in parts, between which others have their turn.

httptools takes a request that asks for another protocol for the last one in HTTP, drops its body and stops. Clients
that ask for HTTP/2 in passing, as Java's do, want an answer in HTTP/1.1 where there is none (RFC 9110, 7.8).
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

# Servers allow 8 to 64 KiB. The parser takes quadratic time for a longer one, and the memory is taken before any limit.
# It counts from the second part on, because the first may be another request's body for the most part.
_MOST_HEAD_BYTES = 64 * 1024

# What is parsed in one go. Of a body that comes in a quarter of a megabyte that takes microseconds, but of chunks of a
# byte 3 ms; and uvloop reads 32 such pieces in a row, for which one client could hold the event loop for 5 s.
_PART_BYTES = 8 * 1024
# Less than this is parsed at once, which saves 3 % of the time that one image takes: in JSON it has up to 17 kB.
_AT_ONCE_BYTES = 20 * 1024
# How long what has come is parsed before others have their turn: not a batch's time.
_TURN_SECONDS = 0.001

# Many times what a picture takes. Rows of clients that have left are kept in the queue for as long: one that closes its
# connection looks like one that still reads, until it is sent something.
_PATIENCE_SECONDS = 0.5

# A target in absolute form, as for a proxy, may leave out the path of the start page (RFC 9110, 4.2.3).
_NO_PATH = re.compile(rb"^(https?://[^/?#]+)($|[?#])", re.IGNORECASE)

KeepsOpen = Any
"""A bool, as the event loop takes it: uvicorn, which never keeps a connection open, declares None."""


class BoundedHeads(HttpToolsProtocol, ABC):
    """A connection that reads requests, and says by `refuse_bytes` what it does not read on."""

    is_upgrade = False
    is_amid_body = False
    """Whether a request's head has been read, and its body not to the end."""
    turns: "Turns"
    """For reading what nobody wants: the same for all connections of a service."""
    first_headers: "DateFirst"
    """What uvicorn writes before an answer's own headers."""
    refusal: Problem
    """What the parser last objected to, while uvicorn is told of that."""
    _progress = 0
    _head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by uvicorn's server."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.parser = _NeverUpgraded(self)
        self.unparsed = deque[memoryview]()
        """The rest of what has come, while others have their turn."""

    def data_received(self, data: bytes) -> None:
        """Read on, and let others go on where that takes long; called by the event loop."""
        if len(data) <= _AT_ONCE_BYTES:
            self._parse(data)
            self._end_piece(len(data))
        else:
            self.unparsed.append(memoryview(data))
            self._parse_on(len(data))

    def _parse_on(self, size_bytes: int, *, has_paused: bool = False) -> None:
        """Read for a moment what has come, and the rest after others; nothing more comes meanwhile."""
        until = time.perf_counter() + _TURN_SECONDS
        while self.unparsed and not self.transport.is_closing():  # which a part of it may have led to
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
        # All of it belongs to a head that goes on, to trailers, or to the line before a chunk.
        self._head_bytes += len(data)
        if self._head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
            too_long = part_too_long if self.is_amid_body else head_too_long
            self.refuse_bytes(too_long(_MOST_HEAD_BYTES))

    def _end_piece(self, size_bytes: int, *, has_paused: bool = False) -> None:
        """Read more at once, unless nobody wants it or the body's reader is behind."""
        if isinstance(self.parser, _Deaf) or (self.is_amid_body and self.cycle.response_complete):
            self.read_on_in_turn(size_bytes)
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn declares
        if has_paused and (cycle is None or len(cycle.body) <= HIGH_WATER_LIMIT):
            self._read_on()

    def eof_received(self) -> KeepsOpen:
        """Keep the connection for a moment if a whole request is unanswered; called by the event loop.

        The client may only have ended its own side, as `nc -N` does, and read the answer. Whoever is not answered by
        then is taken to have left, as is at once whoever ends with half a request.
        """
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first, whatever uvicorn declares
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        self.loop.call_later(_PATIENCE_SECONDS, self.transport.close)
        return True

    def read_on_in_turn(self, size_bytes: int) -> None:
        """Let others go on first: so much has come that nobody wants, and there may be more of it without end."""
        if not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_at(self.turns.next_seconds(size_bytes, self.loop.time()), self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def read_no_more(self) -> None:
        """Forget what still comes, though it be read to see the end of the connection."""
        self.parser = _Deaf()

    def note_objection(self, error: HttpParserError, begins_with: bytes) -> None:
        """Keep in mind what is wrong with the bytes that begin so; called by the parser."""
        # The target alone may be as long as that: uvicorn then fails to take it apart.
        is_too_long = isinstance(error, HttpParserCallbackError) and len(self.url) >= _MOST_HEAD_BYTES
        self.refusal = head_too_long(_MOST_HEAD_BYTES) if is_too_long else no_http(error, begins_with)

    @abstractmethod
    def refuse_bytes(self, problem: Problem) -> None:
        """Answer what is no request that is read here, if there is anybody to answer, and end the connection."""

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
        """Start a request, unless it comes once more without its wish for another protocol; called by the parser."""
        self._progress += 1
        self.is_upgrade = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self.expect_100_continue and self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # its client takes what comes first for the answer (RFC 9110, 10.1.1)
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
        """The head that has just been read, as one that asks for no other protocol."""
        kept = [(name, value) for name, value in self.headers if name != b"upgrade"]
        version = self.parser.get_http_version().encode()
        return b"".join(
            [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
            + [b"%b: %b\r\n" % header for header in kept]
            + [b"\r\n"]
        )


class _NeverUpgraded(HttpRequestParser):
    """httptools' parser, which reads a request that asks for another protocol once more as one that does not."""

    def __init__(self, connection: BoundedHeads) -> None:
        super().__init__(connection)
        self._connection = connection
        # As uvicorn sets it: what comes behind a request that closes the connection is no reason not to answer that.
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
        """Forget it; called by uvicorn."""
