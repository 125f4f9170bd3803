"""A connection without a network, for what reads and closes one."""

import asyncio
from typing import Any


class Line(asyncio.Transport):
    """A transport that loses what is sent, and tells whether it is read from, has said its last, and is open."""

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
        """Whether it has ended."""
        return not self.is_open

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who hears of it."""
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another hear of it."""
        self.protocol = protocol

    def close(self) -> None:
        """End it."""
        self.is_open = False

    def write_eof(self) -> None:
        """Say that no more will come."""
        self.is_ended = True

    def write(self, _: Any) -> None:
        """Lose what is sent."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits to be sent."""
        return 0
