"""The end of a connection whose client may still be sending what was answered already (RFC 9112, 9.6).

Where bytes come to a closed socket the system resets the connection. A client that sends its whole request before it
reads, as Python's urllib does, sees that in place of the answer that tells it why. So it is told first that no more
will come, and what it sends meanwhile is thrown away. Whether to linger is for `protocol` and `pieces` to say. Of such
connections there may be any number: all of them take turns in reading, also with those of `wire` that go on.
"""

import asyncio
import contextlib
from typing import cast

# A client that only drips may hold a connection, and a stop of the service, this long: half of what a request may take
# by default. In that time a body of 20 MB arrives over 32 Mbit/s.
_LONGEST_SECONDS = 5.0
# A lost segment is mostly sent again within a second. A client that is silent for longer than this will send no more:
# it has read the answer, or left without a word.
_LONGEST_SILENCE_SECONDS = 2.0
# Sixteen times the largest body that is taken by default, so that one over a limit that was raised passes too.
_MOST_BYTES = 256 * 1024 * 1024
# Of what nobody wants so much is read from all connections together, in pieces of a quarter of a megabyte at most. It
# takes a seventh of the event loop's time; unbounded, one client can take nearly all of it.
_BYTES_PER_SECOND = 256 * 1024 * 1024
# What a piece counts for at least: to be woken up for one takes as long as to read this much.
_LEAST_BYTES = 8 * 1024


class Turns:
    """Lets the connections of a service throw away what they read one after the other, so that others go on."""

    def __init__(self) -> None:
        self._free_seconds = 0.0

    def next_seconds(self, size_bytes: int, now_seconds: float) -> float:
        """When a connection that has read a piece of that size may read the next one; in the time of the given one."""
        took_seconds = max(size_bytes, _LEAST_BYTES) / _BYTES_PER_SECOND
        self._free_seconds = max(self._free_seconds, now_seconds) + took_seconds
        return self._free_seconds


class Lingering(asyncio.Protocol):
    """Takes a transport over, ends what is written to it, and closes it when the client does, or a bound is reached."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        self._transport = transport
        self._loop = loop
        self._turns = turns
        self._before = cast("asyncio.Protocol", transport.get_protocol())  # it hears of the end
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
        """Forget it, and let others have their turn; called by the event loop."""
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
