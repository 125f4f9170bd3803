"""The Date header of every answer (RFC 9110, 6.6.1): made at most once a second, and only while answers are written.

uvicorn makes it in a loop that wakes up ten times a second, even in an idle worker; and the answer to a request that
takes seconds would have the date of the request's beginning.
"""

import asyncio
import time
from email.utils import formatdate
from typing import Any

_NAME = b"date"


class Dates:
    """The current date; shared by all connections of a service, which have one event loop."""

    def __init__(self) -> None:
        self._until_seconds = float("-inf")
        self._text = self._line = b""

    def line(self, now_seconds: float) -> bytes:
        """The header's whole line; takes the event loop's time, which the caller has at hand."""
        if now_seconds >= self._until_seconds:
            self._renew(now_seconds)
        return self._line

    def header(self) -> tuple[bytes, bytes]:
        """Name and value; to be called in the event loop."""
        self.line(asyncio.get_running_loop().time())
        return _NAME, self._text

    def _renew(self, now_seconds: float) -> None:
        # Valid until the clock's next second begins; a clock that is set meanwhile, forward or back, takes effect then.
        clock_seconds = time.time()
        self._until_seconds = now_seconds + 1 - clock_seconds % 1
        self._text = formatdate(int(clock_seconds), usegmt=True).encode()
        self._line = b"%b: %b\r\n" % (_NAME, self._text)


class DateFirst(list[tuple[bytes, bytes]]):
    """Replaces uvicorn's default headers, to which uvicorn adds an answer's own headers when it writes its head."""

    def __init__(self, dates: Dates) -> None:
        super().__init__()
        self._dates = dates

    def __add__(self, own: list[Any]) -> list[Any]:
        """The headers of an answer that is written now."""
        return [self._dates.header(), *own]
