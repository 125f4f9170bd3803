"""The end of a connection whose client may still be sending what was answered already (RFC 9112, 9.6).

Where bytes come to a closed socket the system resets the connection. A client that sends its whole request before it
reads, as Python's urllib does, sees that in place of the answer that tells it why. So it is told first that no more
will come, and what it sends meanwhile is thrown away. Whether to linger is for `protocol` and `pieces` to say. Of such
connections there may be any number: one costs no more than one that is idle, which may stay for longer.
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
# Sixteen times the largest body that is taken by default, so that one over a limit that was raised passes too. To read
# and forget them takes two tenths of a second of the event loop, spread over one or more.
_MOST_BYTES = 256 * 1024 * 1024
# From one piece, a quarter of a megabyte at most, to the next: it takes 0.1 ms. uvloop would read 32 in a row.
_PAUSE_SECONDS = 0.001


class Lingering(asyncio.Protocol):
    """Takes a transport over, ends what is written to it, and closes it when the client does, or a bound is reached."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
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
        self._pause = self._loop.call_later(_PAUSE_SECONDS, self._read_on)

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
