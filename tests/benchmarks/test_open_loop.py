"""The open loop keeps its schedule and hides no wait."""

import time
from typing import Any

import pytest

from benchmarks import open_loop
from benchmarks.open_loop import Outcome, is_whole, summed_up
from benchmarks.requests import Request
from tests.benchmarks.made_up import answering

REQUEST = Request("one", "/", (("Content-Type", "text/plain"),), b"1")


def test_the_wait_for_a_slow_server_is_part_of_the_latency() -> None:
    """A server that needs 20 ms and is asked every 5 ms on one connection falls behind by 15 ms with each request."""

    def slow(_: bytes) -> tuple[int, Any]:
        time.sleep(0.02)
        return 200, {}

    with answering(slow) as port:
        point = open_loop.offer(port, REQUEST, connections=1, per_second=200, seconds=0.1)
    assert point.errors == 0
    # Twenty requests: the last is due after 95 ms and answered after 400 ms at the earliest.
    assert point.p999_ms >= 300
    assert point.p50_ms >= 150
    assert point.achieved_per_second <= 50


def test_a_server_that_keeps_up_is_asked_at_the_offered_rate() -> None:
    """All requests are answered, and none is sent before its time."""
    arrived = []

    def quick(_: bytes) -> tuple[int, Any]:
        arrived.append(time.monotonic())
        return 200, {}

    with answering(quick) as port:
        point = open_loop.offer(port, REQUEST, connections=4, per_second=100, seconds=0.5)
    assert point.errors == 0
    assert len(arrived) == 50
    assert arrived[-1] - arrived[0] >= 0.4
    assert point.achieved_per_second <= 105


def test_other_answers_than_200_are_errors() -> None:
    """A refusal is quick, but does not count as throughput."""
    with answering(lambda _: (503, {})) as port:
        point = open_loop.offer(port, REQUEST, connections=2, per_second=100, seconds=0.1)
    assert (point.errors, point.achieved_per_second, point.p50_ms) == (10, 0.0, 0.0)


def test_broken_connections_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests whose connection broke and requests that find no connection left are all counted."""
    monkeypatch.setattr(open_loop, "_GRACE_SECONDS", 0.2)

    def broken(_: bytes) -> tuple[int, Any]:
        raise ConnectionAbortedError

    with answering(broken) as port:
        point = open_loop.offer(port, REQUEST, connections=2, per_second=100, seconds=0.1)
    assert (point.errors, point.achieved_per_second) == (10, 0.0)


def test_percentiles_are_of_the_answered_requests() -> None:
    """The rate and the percentiles leave out failed requests."""
    outcome = Outcome(latencies_seconds=[at / 1000 for at in range(100, 0, -1)], errors=7)
    point = summed_up("one", 4, 60.0, outcome, took_seconds=2.0, client_cpu_share=0.1)
    assert (point.p50_ms, point.p99_ms, point.achieved_per_second, point.errors) == (50.0, 99.0, 50.0, 7)


@pytest.mark.parametrize(
    ("received", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\ncontent-length: 0", False),
    ],
)
def test_an_answer_is_whole_when_all_its_body_has_come(received: bytes, *, whole: bool) -> None:
    """The header says how long the body is; what looks like a header in the body does not count."""
    assert is_whole(received) is whole
