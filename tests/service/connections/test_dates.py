"""The date of every answer."""

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from service.connections.dates import DateFirst, Dates
from service.telemetry.metrics import Metrics
from tests.service.fakes import Clock
from tests.service.raw_http import connect, everything_from, request_head
from tests.service.running import client_of, listening, running_service

OCTETS = "Content-Type: application/octet-stream"
PREDICTION = request_head("POST", "/v1/predict", [OCTETS, "Content-Length: 784"]) + bytes(784)
END = ["Connection: close"]
FIXDATE = re.compile(
    rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)
# The clock's second in which the date was written, and how long it takes to arrive on a busy machine.
MOST_SECONDS = 2.0


@pytest.fixture(scope="module", params=["auto", "asyncio"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service in each event loop that it may run in: each has a time of its own."""
    with running_service(tmp_path_factory.mktemp("store"), loop=request.param) as client:
        yield client


def dates_of(received: bytes) -> list[bytes]:
    """The date of each answer; each must have exactly one."""
    heads = re.findall(rb"HTTP/1\.1 \d+ [^\r]*\r\n.*?\r\n\r\n", received, re.DOTALL)
    assert heads
    found = [re.findall(rb"\r\ndate: ([^\r]*)\r\n", head, re.IGNORECASE) for head in heads]
    assert all(len(each) == 1 for each in found), found
    return [each[0] for each in found]


def age_seconds(date: bytes) -> float:
    """How long ago the date was; it must have the right format."""
    assert FIXDATE.fullmatch(date)
    return time.time() - parsedate_to_datetime(date.decode()).timestamp()


def read_some(connection: socket.socket) -> bytes:
    """One answer that comes in one piece."""
    return connection.recv(65_536)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (PREDICTION.replace(b"Host", b"Connection: close\r\nHost"), 200),
        (request_head("GET", "/", END), 200),
        (request_head("GET", "/health/live", END), 204),
        (request_head("HEAD", "/health", END), 200),
        (request_head("GET", "/nothing", END), 404),
        (request_head("DELETE", "/v1/predict", END), 405),
        (request_head("POST", "/v1/predict", ["Content-Type: text/plain", "Content-Length: 9", *END]), 415),
        (request_head("POST", "/v1/predict", [OCTETS, "Transfer-Encoding: chunked"]) + b"no length\r\n", 400),
        (b"FOO / HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * 200_000, 431),
    ],
)
def test_every_answer_has_its_date(client: httpx.Client, sent: bytes, status: int) -> None:
    """Each answer has one correct date in HTTP's format, whichever way it takes, even if the connection refuses."""
    with connect(client) as connection:
        connection.sendall(sent)
        received = everything_from(connection)

    assert received.startswith(b"HTTP/1.1 %d" % status)
    (date,) = dates_of(received)
    assert 0 <= age_seconds(date) < MOST_SECONDS


def test_the_date_moves_on(client: httpx.Client) -> None:
    """Each answer on a kept-alive connection has the date of its own writing, by the shortcut and by uvicorn."""
    with connect(client) as connection:
        for _ in range(3):
            for sent in (PREDICTION, request_head("GET", "/health", [])):
                connection.sendall(sent)
                (date,) = dates_of(read_some(connection))
                assert 0 <= age_seconds(date) < MOST_SECONDS
            time.sleep(1.1)


def test_requests_sent_together_have_a_date_each(client: httpx.Client) -> None:
    """This holds whichever way each takes."""
    sent = PREDICTION * 3 + request_head("GET", "/health", []) + PREDICTION + request_head("HEAD", "/", END)
    with connect(client) as connection:
        connection.sendall(sent)
        assert len(dates_of(everything_from(connection))) == 6


def test_who_is_told_to_go_on_has_the_date_with_the_answer(client: httpx.Client) -> None:
    """100 Continue has no headers; the answer after it has a date."""
    head = request_head("POST", "/v1/predict", [OCTETS, "Content-Length: 784", "Expect: 100-continue", *END])
    with connect(client) as connection:
        connection.sendall(head)
        assert read_some(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(bytes(784))
        received = everything_from(connection)

    assert received.startswith(b"HTTP/1.1 200")
    assert len(dates_of(received)) == 1


def test_an_answer_that_takes_long_has_the_date_of_its_end() -> None:
    """It is not the date of its request."""

    async def slow(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(MOST_SECONDS + 1)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    with listening(slow, Metrics()) as port, client_of(port) as client:
        answer = client.get("/")
    assert 0 <= age_seconds(answer.headers["Date"].encode()) < MOST_SECONDS


def test_a_date_is_made_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes when the clock's second does, and follows a clock that is set back."""
    clock, made = Clock(1_000_000_000.25), Dates()
    monkeypatch.setattr(time, "time", clock)

    assert made.line(50.0) == b"date: Sun, 09 Sep 2001 01:46:40 GMT\r\n"
    clock.advance(0.8)
    assert made.line(50.7) == b"date: Sun, 09 Sep 2001 01:46:40 GMT\r\n"
    assert made.line(50.8) == b"date: Sun, 09 Sep 2001 01:46:41 GMT\r\n"
    clock.advance(-3600)
    assert made.line(51.8) == b"date: Sun, 09 Sep 2001 00:46:41 GMT\r\n"


def test_uvicorn_is_given_the_date_when_it_writes() -> None:
    """The list to which uvicorn adds an answer's headers gives the date first, and keeps nothing."""

    async def story() -> None:
        first, own = DateFirst(Dates()), [(b"a", b"b")]
        for _ in range(2):
            (name, value), *others = first + own
            assert (name, others) == (b"date", own)
            assert age_seconds(value) < MOST_SECONDS

    asyncio.run(story())
