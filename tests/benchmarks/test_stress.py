"""The stress test's own parts: what it counts, and what its proxy does."""

import contextlib
import http.client
import socket

import numpy as np
import pytest

from benchmarks.contenders import free_ports
from benchmarks.requests import Request, send
from benchmarks.stress.answers import Question
from benchmarks.stress.claims import Claim, at_most, percentile_ms
from benchmarks.stress.clients import Clients
from benchmarks.stress.overload import Refusals, flood
from benchmarks.stress.proxy import Proxy
from benchmarks.stress.running import wait_until
from tests.benchmarks.made_up import SEVEN, answering, prediction

REQUEST = Request("one", "/", (("Content-Type", "text/plain"),), b"1")


def test_a_claim_says_whether_it_holds() -> None:
    """A measurement may equal the bound; without a measurement no claim holds."""
    assert at_most("p99", 2.0, 2.0, "ms").line == "pass  p99: 2 / 2 ms"
    assert at_most("p99", 2.1, 2.0, "ms").line == "FAIL  p99: 2.1 / 2 ms"
    assert not at_most("p99", percentile_ms([], 99), 2.0, "ms").holds
    assert Claim("x", "1", holds=True).line == "pass  x: 1"


def test_clients_count_refusals_and_wrong_answers() -> None:
    """A status other than 200 is one kind of failure; an answer that the named version would not give is another."""
    mirrored = SEVEN[::-1]
    answers = iter([(200, prediction(SEVEN)), (503, {}), (200, prediction(mirrored)), (200, prediction(mirrored, 2))])
    with answering(lambda _: next(answers, (200, prediction(SEVEN, 3)))) as port:
        clients = Clients(port, (Question(REQUEST, np.array([SEVEN], np.float32)),), {1: False, 2: True, 3: False})
        with clients.asking():
            wait_until(lambda: len(clients.seconds) >= 5)
    assert clients.failures == ["503", "wrong answer"]
    assert clients.versions == {1, 2, 3}
    assert clients.account.startswith("2 of ")


def test_a_flood_tells_refusals_from_answers() -> None:
    """Each status is counted, and the value of Retry-After is kept."""
    outcome = Refusals()
    outcome.note(b"HTTP/1.1 200 OK\r\n\r\n", 0.1)
    outcome.note(b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\n\r\n", 0.2)
    outcome.note(b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", 9.0)
    assert dict(outcome.statuses) == {200: 1, 429: 1, 504: 1}
    assert (outcome.latencies_seconds, outcome.errors, outcome.retry_after_seconds) == ([0.1], 2, [3])
    assert outcome.slowest_seconds == 9.0


def test_a_flood_is_sent_whole() -> None:
    """All requests of a short flood are answered, and it is over when they are."""
    with answering(lambda _: (200, {})) as port:
        outcome, took_seconds = flood(port, REQUEST, per_second=100, seconds=0.2, connections=5)
    assert (outcome.statuses[200], outcome.errors) == (20, 0)
    assert took_seconds < 10


def test_a_proxy_turns_to_what_is_ready() -> None:
    """Of two instances one does not exist: every connection goes to the other."""
    bodies: list[bytes] = []

    def answer(body: bytes) -> tuple[int, object]:
        bodies.append(body)
        return 200, {}

    with answering(answer) as port:
        proxy = Proxy([*free_ports(1), port])
        with proxy.running() as in_front:
            wait_until(lambda: proxy.ready == {port})
            assert [send(in_front, REQUEST).status for _ in range(6)] == [200] * 6
            assert bodies == [REQUEST.body] * 6
    assert proxy.refused == 0


def test_a_connection_that_ends_with_the_proxy_was_not_refused() -> None:
    """Stopping the proxy while a client is connected counts no refusal, even if another instance could be tried."""
    request = b"A part of a request"
    with contextlib.ExitStack() as opened:
        instance = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        instance.settimeout(10)
        proxy = Proxy([instance.getsockname()[1], *free_ports(1)])

        def accepted() -> bytes:
            connection, _ = instance.accept()
            opened.enter_context(connection).sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            return connection.recv(100)

        with proxy.running() as in_front:
            accepted()  # the first check whether the instance is ready
            wait_until(lambda: bool(proxy.ready))
            opened.enter_context(socket.create_connection(("127.0.0.1", in_front))).sendall(request)
            wait_until(lambda: accepted() == request)
    assert proxy.refused == 0


def test_a_proxy_without_instances_closes_the_connection() -> None:
    """Nothing is held back or tried again in silence."""
    proxy = Proxy(free_ports(1))
    with proxy.running() as in_front, pytest.raises((OSError, http.client.HTTPException)):
        send(in_front, REQUEST)
    assert proxy.refused == 1
