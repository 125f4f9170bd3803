"""The Date that every answer has (RFC 9110, 6.6.1): made once a second at most, and only while somebody is answered.

uvicorn makes it in a loop that wakes up ten times a second, which an idle worker need not; and a request that takes
seconds would have the date of its beginning.
"""

import asyncio
import time
from email.utils import formatdate
from typing import Any

_NAME = b"date"


class Dates:
    """The date of now; the same for all connections of a service, which have one event loop."""

    def __init__(self) -> None:
        self._until_seconds = float("-inf")
        self._text = self._line = b""

    def line(self, now_seconds: float) -> bytes:
        """The header's whole line; takes the event loop's time, which whoever writes an answer has at hand."""
        if now_seconds >= self._until_seconds:
            self._renew(now_seconds)
        return self._line

    def header(self) -> tuple[bytes, bytes]:
        """Name and value; for what runs in the event loop."""
        self.line(asyncio.get_running_loop().time())
        return _NAME, self._text

    def _renew(self, now_seconds: float) -> None:
        # Until the clock's next second begins; a clock that is set meanwhile is believed then, whichever way it went.
        clock_seconds = time.time()
        self._until_seconds = now_seconds + 1 - clock_seconds % 1
        self._text = formatdate(int(clock_seconds), usegmt=True).encode()
        self._line = b"%b: %b\r\n" % (_NAME, self._text)


class DateFirst(list[tuple[bytes, bytes]]):
    """In the place of uvicorn's default headers, to which it adds an answer's own when it writes the head of that."""

    def __init__(self, dates: Dates) -> None:
        super().__init__()
        self._dates = dates

    def __add__(self, own: list[Any]) -> list[Any]:
        """The headers of an answer that is written now."""
        return [self._dates.header(), *own]
