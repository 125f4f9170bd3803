"""The open loop: requests leave on a schedule, whatever the server does; latency counts from the intended time.

A closed loop stops asking while the server is slow and so hides the wait; this one does not. A request that is due
and finds no connection free waits for one, and that wait is part of its latency.
"""

import asyncio
import collections
import contextlib
import re
import selectors
import time
from dataclasses import dataclass, field
from typing import cast

from benchmarks.figures import OpenPoint, percentile
from benchmarks.requests import Request, on_the_wire

# How long to wait for answers after the last request was due; an answer that is missing then is an error.
_GRACE_SECONDS = 5.0
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200"


@dataclass
class Outcome:
    """What became of the requests."""

    latencies_seconds: list[float] = field(default_factory=list)
    errors: int = 0

    def note(self, received: bytes, latency_seconds: float) -> None:
        """Count one answer."""
        if received.startswith(_OK):
            self.latencies_seconds.append(latency_seconds)
        else:
            self.errors += 1


def offer(port: int, request: Request, connections: int, per_second: float, seconds: float) -> OpenPoint:
    """Send a request `per_second` times a second, spread over connections, for some seconds.

    Raises:
        OSError: Nobody listens.
    """
    cpu_before = time.process_time()
    # epoll sleeps whole milliseconds, so that a request would leave up to one millisecond late; select does not.
    with contextlib.closing(asyncio.SelectorEventLoop(selectors.SelectSelector())) as loop:
        outcome = Outcome()
        schedule = Schedule(outcome, on_the_wire(request, port), per_second, round(per_second * seconds))
        took_seconds = loop.run_until_complete(schedule.run(port, connections, _GRACE_SECONDS))
    return summed_up(
        request.load, connections, per_second, outcome, took_seconds, (time.process_time() - cpu_before) / took_seconds
    )


def summed_up(
    load: str, connections: int, per_second: float, outcome: Outcome, took_seconds: float, client_cpu_share: float
) -> OpenPoint:
    """Percentiles and rate of an outcome; 0 where nothing was answered."""
    ordered = sorted(outcome.latencies_seconds)
    p50, p99, p999 = (1000 * percentile(ordered, share) if ordered else 0.0 for share in (0.5, 0.99, 0.999))
    return OpenPoint(
        load=load,
        connections=connections,
        offered_per_second=per_second,
        achieved_per_second=len(ordered) / took_seconds,
        p50_ms=p50,
        p99_ms=p99,
        p999_ms=p999,
        errors=outcome.errors,
        client_cpu_share=client_cpu_share,
    )


class Schedule:
    """Hands each request, when it is due, to a connection that is free."""

    def __init__(
        self, outcome: Outcome, wire: bytes, per_second: float, requests: int, tick_seconds: float = 0.0
    ) -> None:
        """Make a schedule; requests that come due within one tick leave together, which takes less CPU."""
        self._outcome = outcome
        self._tick_seconds = tick_seconds
        self._wire = wire
        self._interval_seconds = 1 / per_second
        self._left = requests
        self._free: collections.deque[_Connection] = collections.deque()
        self._waiting: collections.deque[float] = collections.deque()
        self._unanswered = requests

    async def run(self, port: int, connections: int, grace_seconds: float) -> float:
        """Offer all requests, then wait `grace_seconds` for missing answers; give the seconds until the last answer."""
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        opened = [
            (await loop.create_connection(lambda: _Connection(self), "127.0.0.1", port))[1] for _ in range(connections)
        ]
        self._free.extend(opened)
        start = loop.time()
        self._due_seconds = start
        self._send_what_is_due()
        allowed = self._left * self._interval_seconds + grace_seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done, allowed)
        took_seconds = loop.time() - start
        self._outcome.errors += self._unanswered
        for connection in opened:
            connection.close()
        return took_seconds

    def _send_what_is_due(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._left and self._due_seconds <= now:
            self._waiting.append(self._due_seconds)
            self._due_seconds += self._interval_seconds
            self._left -= 1
        self._hand_out()
        if self._left:
            loop.call_at(max(self._due_seconds, now + self._tick_seconds), self._send_what_is_due)

    def _hand_out(self) -> None:
        while self._waiting and self._free:
            self._free.popleft().send(self._wire, self._waiting.popleft())

    def answered(self, connection: "_Connection", latency_seconds: float, received: bytes) -> None:
        """Count an answer and give its connection the next request that waits."""
        self._outcome.note(received, latency_seconds)
        self._free.append(connection)
        self._hand_out()
        self._count_down()

    def lost(self) -> None:
        """Count a request whose connection broke; the connection is not replaced."""
        self._outcome.errors += 1
        self._count_down()

    def _count_down(self) -> None:
        self._unanswered -= 1
        if not self._unanswered and not self._done.done():
            self._done.set_result(None)


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on it."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._received = b""
        self._intended_seconds: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # TCP gives no other
        self._clock = asyncio.get_running_loop().time

    def send(self, wire: bytes, intended_seconds: float) -> None:
        self._intended_seconds = intended_seconds
        self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._intended_seconds is None or not is_whole(self._received):
            return
        received, latency_seconds = self._received, self._clock() - self._intended_seconds
        self._received, self._intended_seconds = b"", None
        self._schedule.answered(self, latency_seconds, received)

    def connection_lost(self, _: Exception | None) -> None:
        if self._intended_seconds is not None:
            self._intended_seconds = None
            self._schedule.lost()

    def close(self) -> None:
        self._intended_seconds = None
        self._transport.close()


def is_whole(received: bytes) -> bool:
    """Whether an answer with a Content-Length has arrived in full."""
    head, separator, body = received.partition(b"\r\n\r\n")
    length = _CONTENT_LENGTH.search(head)
    return bool(separator) and length is not None and len(body) >= int(length.group(1))
