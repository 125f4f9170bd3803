"""How answers are sent: in one piece, and to the end even if the client is still sending.

`protocol` decides what an answer is and which connections end; `lingering` ends a connection slowly.
"""

import asyncio
from typing import Protocol, cast

from service.connections.lingering import Lingering, Turns

# Larger pieces are sent uncopied: all clients that ask for a file share its bytes. With copies, each client that does
# not read would keep one in memory. The largest file has 1.5 MB.
_MOST_COPIED_BYTES = 64 * 1024


class _Connection(Protocol):
    """The connection that the transport belongs to."""

    @property
    def is_sent_more(self) -> bool:
        """Whether the client may still be sending: the rest of the body that was answered last, or more requests."""


class InOnePiece:
    """A transport that sends an answer's headers together with its body, as soon as the body is complete.

    uvicorn writes the two separately, and each piece costs a system call here and wakes the client up. Of an answer in
    parts, all that is written in one turn of the event loop is sent together. Of a transport's own methods, only
    `write` and `close` may be used to send.
    """

    def __init__(self, transport: asyncio.BaseTransport, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = loop
        self._turns = turns
        self._pieces: list[bytes] = []
        self._is_lingering = False

    def __getattr__(self, name: str) -> object:
        """All else is the transport's own."""
        return getattr(self._transport, name)

    def write(self, piece: bytes) -> None:
        """Send, at the latest when this turn of the loop is over."""
        if not self._pieces:
            self._loop.call_soon(self.send)
        self._pieces.append(piece)

    def write_at_once(self, piece: bytes) -> None:
        """Send now, after what has been written."""
        if self._pieces:
            self.send()
        self._transport.write(piece)

    def is_closing(self) -> bool:
        """Whether it is closed for writing; a lingering transport is."""
        return self._is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Send what is left, and close; linger first if the client may still be sending."""
        if self.is_closing():
            return
        # The protocol is not stored here: that would make a reference cycle.
        if cast("_Connection", self._transport.get_protocol()).is_sent_more:
            self.linger()
            return
        self.send()
        self._transport.close()

    def linger(self) -> None:
        """Send what is left, and close when the client has had time to read it."""
        self.send()
        if not self.is_closing():
            self._is_lingering = True
            Lingering(self._transport, self._loop, self._turns)

    def send(self) -> None:
        """Send what has been written."""
        pieces, self._pieces = self._pieces, []
        if not pieces or self.is_closing():  # the client may have left meanwhile
            return
        if sum(map(len, pieces)) > _MOST_COPIED_BYTES:
            self._transport.writelines(pieces)
        else:
            self._transport.write(b"".join(pieces))
