"""Five times the load that the service can take, on a schedule that does not wait: what it answers and what it refuses.

Both loads cost the service far more than the client, which shares the machine: pictures to clean up, and arrays of
several hundred rows. A refusal is an answer of 429 with the seconds to wait.
"""

import contextlib
import math
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import uvloop
from numpy.typing import NDArray

from benchmarks.drawing import file_of
from benchmarks.open_loop import Outcome, Schedule
from benchmarks.requests import Request, octets, on_the_wire
from benchmarks.stress.answers import asked
from benchmarks.stress.claims import Claim, at_most
from benchmarks.stress.clients import Clients
from benchmarks.stress.running import Running
from benchmarks.stress.threads import threads_of

_TIMES = 5
_GOODPUT = 0.85
_ROWS = 500
_PEAK_SECONDS = 8.0
# Enough to keep a worker busy, and few enough that it refuses none: of 32 with 500 rows each, one worker refuses most,
# and clients that retry at once, with 400 kB each time, then cost it more than the answers it gives.
_PEAK_CONNECTIONS = 16
_ENOUGH = 5000.0
# Sent at once: twice as much as may wait, which is one second's work of pictures or 1.3 seconds' of bulk.
_BURST_SECONDS, _LEAST_BURST = 3, 160
_LIGHT_SECONDS = 4.0
_LIGHT_CONNECTIONS = 2
_RECOVERED_SECONDS = 2.0
# Enough for the requests that wait in the service and those on their way; each connection has one at a time.
_MOST_CONNECTIONS = 3000
# Connections take turns: the service closes one that is free for five seconds, perhaps just as it is used again.
_TURN_SECONDS = 3.0
# Far less than is allowed for the round trip; uvloop's clock has a resolution of one millisecond.
_TICK_SECONDS = 0.002
# The service's own time limit for a request, and what the round trip and a busy client add to it.
_DEADLINE_SECONDS = 10.0
_ON_THE_WAY_SECONDS = 1.0
_MEMORY_TIMES = 2.0
_SAMPLE_SECONDS = 0.5
_STATUS = re.compile(rb"HTTP/1.1 (\d+)")
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)


@dataclass
class Refusals(Outcome):
    """What became of the requests, with refusals apart from other errors; times are on the monotonic clock."""

    statuses: Counter[int] = field(default_factory=Counter)
    retry_after_seconds: list[int] = field(default_factory=list)
    slowest_seconds: float = 0.0
    last_ok: float = 0.0
    first_refusal: float | None = None

    def note(self, received: bytes, latency_seconds: float) -> None:
        """Count one answer by its status."""
        super().note(received, latency_seconds)
        status = _STATUS.match(received)
        number = int(status.group(1)) if status else 0
        self.statuses[number] += 1
        self.slowest_seconds = max(self.slowest_seconds, latency_seconds)
        told = _RETRY_AFTER.search(received)
        if number == 200:
            self.last_ok = time.monotonic()
        elif number == 429 and told:
            self.first_refusal = self.first_refusal or time.monotonic()
            self.retry_after_seconds.append(int(told.group(1)))


def overload(running: Running, seconds: float) -> Iterator[Claim]:
    """Flood with each load in turn."""
    row = running.golden.pixels[0]
    for request in (_picture(row), octets(np.tile(row, (_ROWS, 1)))):
        yield from _flooded(running, request, seconds)


def _flooded(running: Running, request: Request, seconds: float) -> Iterator[Claim]:
    questions = (asked(running.port, request),) * _LIGHT_CONNECTIONS
    light = Clients(running.port, questions).ask_for(_LIGHT_SECONDS)
    with sampled(running) as at_peak:
        peak = _peak(running, request)
    with sampled(running) as during:
        outcome, took_seconds = flood(running.port, request, _TIMES * peak, seconds)
    time.sleep(max(0.0, seconds + _RECOVERED_SECONDS - took_seconds))
    after = Clients(running.port, questions).ask_for(_LIGHT_SECONDS)
    # Measured again: a machine's speed may change within minutes, and the load was between the two.
    peaks = statistics.mean((peak, _peak(running, request)))
    what = f"{request.load}, {_TIMES * peak:,.0f} a second"
    yield _goodput(what, len(outcome.latencies_seconds) / min(seconds, took_seconds), peaks)
    yield _the_rest(what, outcome)
    longest = _DEADLINE_SECONDS + _ON_THE_WAY_SECONDS
    yield at_most(f"{what}: the slowest answer", outcome.slowest_seconds, longest, "s")
    yield at_most(
        f"{what}: resident memory, at most twice", max(during) / 1e6, _MEMORY_TIMES * max(at_peak) / 1e6, "MB"
    )
    yield at_most(f"{what}: the last answer after the load's end", took_seconds - seconds, _RECOVERED_SECONDS, "s")
    yield at_most(f"{what}: p99 from then on, at most twice that before", after.p99_ms(), 2 * light.p99_ms(), "ms")
    yield _told(running, request, max(_LEAST_BURST, round(_BURST_SECONDS * peak)))


def _peak(running: Running, request: Request) -> float:
    """Answers a second in a closed loop: so many requests are due that each connection always has one."""
    outcome, took_seconds = flood(running.port, request, _ENOUGH, _PEAK_SECONDS, _PEAK_CONNECTIONS, grace_seconds=0)
    return len(outcome.latencies_seconds) / took_seconds


def _goodput(what: str, goodput: float, peak: float) -> Claim:
    figure = f"{goodput:,.0f} of {peak:,.0f} a second ({goodput / peak:.0%})"
    return Claim(f"{what}: answered, at least {_GOODPUT:.0%} of the peak", figure, goodput >= _GOODPUT * peak)


def _the_rest(what: str, outcome: Refusals) -> Claim:
    lost = outcome.errors - sum(count for status, count in outcome.statuses.items() if status != 200)
    figure = ", ".join(f"{count:,} x {status}" for status, count in sorted(outcome.statuses.items()))
    told = len(outcome.retry_after_seconds) == outcome.statuses[429]
    return Claim(
        f"{what}: all others are refused with 429 and Retry-After",
        f"{figure}, {lost} without an answer",
        told and not lost and set(outcome.statuses) <= {200, 429},
    )


def _told(running: Running, request: Request, at_once: int) -> Claim:
    """Send more at once than can wait; when the last accepted request is answered, there is room again."""
    outcome, _ = flood(running.port, request, 1e6, at_once / 1e6)
    if outcome.first_refusal is None:
        return Claim(f"{request.load}: Retry-After", f"none of {at_once} at once was refused", holds=False)
    told = statistics.median(outcome.retry_after_seconds)
    took = outcome.last_ok - outcome.first_refusal
    figure = f"{told:g} s told, {took:.2f} s until all that waited was answered"
    return Claim(
        f"{request.load}: Retry-After is right within a factor of two", figure, took / 2 <= told <= max(1, 2 * took)
    )


def flood(
    port: int,
    request: Request,
    per_second: float,
    seconds: float,
    connections: int | None = None,
    grace_seconds: float = _DEADLINE_SECONDS + _ON_THE_WAY_SECONDS,
) -> tuple[Refusals, float]:
    """Send on a schedule; give the outcome, and the seconds until the last answer or until the grace time is over."""
    outcome = Refusals()
    requests = max(1, round(per_second * seconds))
    schedule = Schedule(outcome, on_the_wire(request, port), per_second, requests, _TICK_SECONDS)
    connections = connections or min(_MOST_CONNECTIONS, math.ceil(per_second * min(seconds, _TURN_SECONDS)))
    # uvloop takes less CPU, which the client would otherwise take from the service.
    return outcome, uvloop.run(schedule.run(port, connections, grace_seconds))


@contextlib.contextmanager
def sampled(running: Running) -> Iterator[list[int]]:
    """Sample the service's resident memory, in bytes, while the context is open."""
    resident = [running.resident_bytes()]

    def look(stop: threading.Event) -> None:
        while not stop.wait(_SAMPLE_SECONDS):
            resident.append(running.resident_bytes())

    with threads_of([look]):
        yield resident


def _picture(row: NDArray[np.float32]) -> Request:
    """A digit on a page of 400 x 400, dark on light: it has to be found, cropped and centred."""
    levels = np.kron(255 - 255 * row.reshape(28, 28), np.ones((10, 10), np.float32))
    page = file_of(np.pad(levels, 60, constant_values=255))
    return Request("PNG 400x400", "/v1/predict", (("Content-Type", "image/png"),), page)
