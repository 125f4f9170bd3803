"""A connection without a network, for tests of the code that reads and closes connections."""

import asyncio
from typing import Any


class Line(asyncio.Transport):
    """A transport that drops what is sent, and notes whether it is being read, is half-closed, and is open."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.is_read, self.is_open, self.is_ended = True, True, False

    def pause_reading(self) -> None:
        """Read no more."""
        self.is_read = False

    def resume_reading(self) -> None:
        """Read on."""
        self.is_read = True

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return not self.is_open

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that receives its events."""
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand its events to another protocol."""
        self.protocol = protocol

    def close(self) -> None:
        """Close it."""
        self.is_open = False

    def write_eof(self) -> None:
        """Half-close it: nothing more will be sent."""
        self.is_ended = True

    def write(self, _: Any) -> None:
        """Drop what is sent."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits to be sent."""
        return 0
