"""The end of a connection whose client may still be sending a request that was answered already (RFC 9112, 9.6).

When bytes arrive at a closed socket, the system resets the connection. A client that sends its whole request before it
reads, as Python's urllib does, then sees the reset instead of the answer that tells it why. So this side is half-closed
first, and the bytes that still arrive are thrown away. `protocol` and `pieces` decide whether to linger. Any number of
connections may linger: they take turns in reading, with each other and with open connections that `wire` holds back.
"""

import asyncio
import contextlib
from typing import cast

# A client that only drips bytes can hold a connection open, and delay the service's stop, for this long: half of a
# request's default timeout. In that time a body of 20 MB arrives over 32 Mbit/s.
_LONGEST_SECONDS = 5.0
# A lost segment is usually retransmitted within a second. A client that is silent for longer than this will send no
# more: it has read the answer, or left without closing.
_LONGEST_SILENCE_SECONDS = 2.0
# Sixteen times the default limit on a body, so that a body over a raised limit can be read to its end too.
_MOST_BYTES = 256 * 1024 * 1024
# How fast bytes that are thrown away are read, from all connections together, in pieces of at most a quarter of a
# megabyte. This takes a seventh of the event loop's time; unbounded, one client can take nearly all of it.
_BYTES_PER_SECOND = 256 * 1024 * 1024
# What a piece counts for at least: waking up for a piece takes as long as reading this much.
_LEAST_BYTES = 8 * 1024


class Turns:
    """Paces the connections of a service that throw away what they read, one after the other, so that others go on."""

    def __init__(self) -> None:
        self._free_seconds = 0.0

    def next_seconds(self, size_bytes: int, now_seconds: float) -> float:
        """When a connection that has read a piece of this size may read the next one, by the clock of `now_seconds`."""
        took_seconds = max(size_bytes, _LEAST_BYTES) / _BYTES_PER_SECOND
        self._free_seconds = max(self._free_seconds, now_seconds) + took_seconds
        return self._free_seconds


class Lingering(asyncio.Protocol):
    """Takes over a transport, half-closes it, and closes it when the client closes or a bound is reached."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        self._transport = transport
        self._loop = loop
        self._turns = turns
        self._before = cast("asyncio.Protocol", transport.get_protocol())  # is told of the end
        self._left_bytes = _MOST_BYTES
        self._heard_seconds = loop.time()
        self._end_seconds = self._heard_seconds + _LONGEST_SECONDS
        self._look = loop.call_at(self._due_seconds, self._close_if_due)
        self._pause: asyncio.TimerHandle | None = None
        transport.set_protocol(self)
        transport.resume_reading()
        with contextlib.suppress(OSError):  # the client has reset the connection: its end is on its way
            transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Drop the bytes, and let other connections have their turn; called by the event loop."""
        self._heard_seconds = self._loop.time()
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._transport.close()
            return
        self._transport.pause_reading()
        self._pause = self._loop.call_at(self._turns.next_seconds(len(data), self._heard_seconds), self._read_on)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; called by the event loop, also when the client has closed."""
        self._look.cancel()
        if self._pause is not None:
            self._pause.cancel()
        self._before.connection_lost(exc)

    @property
    def _due_seconds(self) -> float:
        return min(self._heard_seconds + _LONGEST_SILENCE_SECONDS, self._end_seconds)

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _close_if_due(self) -> None:
        if self._loop.time() >= self._due_seconds:
            self._transport.close()
        else:
            self._look = self._loop.call_at(self._due_seconds, self._close_if_due)
