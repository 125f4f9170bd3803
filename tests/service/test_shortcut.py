"""The shortcut of /v1/predict answers as the route does: the same requests are sent both ways."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.bodies.media_types import BYTES, JSON
from tests.service.bodies.test_reader import form, picture
from tests.service.conftest import StartService
from tests.service.fakes import FakeLoader, FirstPixelEngine, row_of
from tests.service.raw_http import connect, everything_from, request_head
from tests.service.running import running_service
from tests.service.scraping import scrape
from tests.service.test_predict import BYTES_HEADERS, JSON_HEADERS, PATH, waiting_rows

# The headers that contain a time.
TIMES = frozenset({"date", "server-timing"})
ROWS = np.stack([row_of(digit) for digit in (3, 1, 4)])
LEVELS = np.rint(ROWS * 255).astype(np.uint8).tobytes()
PIXELS = json.dumps({"pixels": ROWS[0].tolist()}).encode()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all tests of this module that need no other."""
    with running_service(tmp_path_factory.mktemp("store")) as client:
        yield client


def both_answers(
    client: httpx.Client, content: bytes, headers: dict[str, str], seconds: float = 30
) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    """The answers of the shortcut and of the route, without the time that each took.

    A request with a deadline takes the route; as `seconds` is the service's own deadline, nothing else changes.
    """
    answers = []
    for more in ({}, {"X-Request-Timeout-Seconds": str(seconds)}):
        answer = client.post(PATH, content=content, headers={"X-Request-ID": "the-same", **headers, **more})
        told = [(name, "" if name in TIMES else value) for name, value in answer.headers.multi_items()]
        answers.append((answer.status_code, told, answer.content))
    return answers


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("more", [{}, {"X-Request-Timeout-Seconds": "30"}])
def test_a_lone_request_passes_the_queue_by(start_service: StartService, more: dict[str, str]) -> None:
    """Whichever way it takes, its time in the queue is zero."""
    client = start_service(FakeLoader(FirstPixelEngine(inline_rows=4)))
    answer = client.post(PATH, content=PIXELS, headers=JSON_HEADERS | more)
    assert "queue;dur=0.000," in answer.headers["server-timing"]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (PIXELS, JSON),
        (PIXELS, f"{JSON}; charset=utf-8"),
        (json.dumps({"instances": (ROWS * 255).tolist(), "max_value": 255}).encode(), JSON),
        (json.dumps({"instances": ROWS.reshape(-1, 28, 28).tolist()}).encode(), JSON),
        (LEVELS[:784], BYTES),
        (LEVELS, BYTES),
        (LEVELS * 100, BYTES),
        (picture(), "image/png"),
        # With an id: its boundary differs in each process that collects the tests.
        pytest.param(*form(("file", picture()), ("file", picture())), id="form"),
    ],
)
def test_good_bodies(client: httpx.Client, content: bytes, content_type: str) -> None:
    """Every kind of body has the same prediction, with the same headers."""
    shortcut, route = both_answers(client, content, {"Content-Type": content_type})

    assert shortcut[0] == 200
    assert shortcut == route


@pytest.mark.parametrize(
    ("status", "content", "headers"),
    [
        (400, b'{"pixels": [', JSON_HEADERS),
        (400, b"--x", {"Content-Type": "multipart/form-data"}),
        (413, LEVELS * 4000, BYTES_HEADERS),
        (415, LEVELS, {}),
        (415, LEVELS, {"Content-Type": "text/plain"}),
        (415, LEVELS, {"Content-Type": BYTES, "Content-Encoding": "gzip"}),
        (422, b"", BYTES_HEADERS),
        (422, LEVELS[1:], BYTES_HEADERS),
        (422, b'{"pixels": [0.5]}', JSON_HEADERS),
        (422, PIXELS.replace(b"0.5", b"1.5"), JSON_HEADERS),
        (422, b"no picture", {"Content-Type": "image/png"}),
    ],
)
def test_bodies_that_are_refused(client: httpx.Client, status: int, content: bytes, headers: dict[str, str]) -> None:
    """Both ways report an error in the same words."""
    shortcut, route = both_answers(client, content, headers)

    assert shortcut[0] == status
    assert shortcut == route


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("status", "content", "settings"),
    [
        (413, LEVELS, {"max_instances": 2}),
        (413, LEVELS, {"max_body_bytes": 2000}),
    ],
)
def test_limits(start_service: StartService, status: int, content: bytes, settings: dict[str, Any]) -> None:
    """Each limit is the same."""
    shortcut, route = both_answers(start_service(**settings), content, BYTES_HEADERS)

    assert shortcut[0] == status
    assert shortcut == route


@pytest.mark.usefixtures("store")
def test_the_queue_is_full(start_service: StartService) -> None:
    """One row too many is refused, with the same Retry-After."""
    engine = FirstPixelEngine(threading.Event())
    client = start_service(FakeLoader(engine), queue_limit=3, max_instances=3)
    with waiting_rows(client, engine, 3):
        shortcut, route = both_answers(client, LEVELS, BYTES_HEADERS)

    assert shortcut[0] == 429
    assert shortcut == route


def test_no_version_serves(start_service: StartService, tmp_path: Path) -> None:
    """Nothing is ready yet."""
    client = start_service(ready=False, model_store=tmp_path / "empty")

    shortcut, route = both_answers(client, LEVELS, BYTES_HEADERS)

    assert shortcut[0] == 503
    assert shortcut == route


@pytest.mark.usefixtures("store")
def test_the_deadline_passes(start_service: StartService) -> None:
    """The network does not answer in time."""
    gate = threading.Event()
    client = start_service(FakeLoader(FirstPixelEngine(gate)), request_timeout_seconds=0.2)
    try:
        shortcut, route = both_answers(client, LEVELS, BYTES_HEADERS, 0.2)
    finally:
        gate.set()

    assert shortcut[0] == 504
    assert shortcut == route


def until_the_end(connection: socket.socket) -> bytes:
    """All that arrives before the service closes the connection, or resets it because more was sent after that."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65_536):
            received += more
    return received


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("connection", ["close", "keep-alive"])
@pytest.mark.parametrize("content", [LEVELS, LEVELS[1:]])
def test_connections_that_end(client: httpx.Client, version: str, connection: str, content: bytes) -> None:
    """Both ways close the connection after the same answers, and announce it in the same way."""
    received = []
    for more in ([], ["X-Request-Timeout-Seconds: 30"]):
        fields = [f"Content-Type: {BYTES}", f"Content-Length: {len(content)}", f"Connection: {connection}"]
        head = request_head("POST", PATH, [*fields, "X-Request-ID: the-same", *more])
        with connect(client) as sent:
            sent.sendall(head.replace(b"HTTP/1.1", f"HTTP/{version}".encode()) + content)
            sent.sendall(request_head("GET", "/nothing", ["Connection: close", "X-Request-ID: the-same"]))
            received.append(until_the_end(sent))
    shortcut, route = (re.sub(rb"(?:server-timing|date): .*?\r\n", b"", answers) for answers in received)

    goes_on = version == "1.1" and connection == "keep-alive"
    assert shortcut.count(b"HTTP/1.1 ") == 1 + goes_on
    assert shortcut == route


@pytest.mark.parametrize("header_seconds", [0.2, 60])
@pytest.mark.parametrize("more", [[], ["X-Request-Timeout-Seconds: 30"]])
def test_idle_connections(tmp_path: Path, more: list[str], header_seconds: float) -> None:
    """An answered connection is closed after the idle timeout, whatever the timeout of a header is."""
    fields = [f"Content-Type: {BYTES}", "Content-Length: 784", *more]
    with (
        running_service(tmp_path, header_seconds=header_seconds, idle_seconds=1) as client,
        connect(client) as connection,
    ):
        for pause_seconds in (0.0, 0.5):
            time.sleep(pause_seconds)
            connection.sendall(request_head("POST", PATH, fields) + LEVELS[:784])
            assert b"HTTP/1.1 200" in connection.recv(65_536)
        answered = time.monotonic()
        assert connection.recv(1) == b""

    assert 0.9 < time.monotonic() - answered < 5


def test_predictions_sent_together_keep_their_order(client: httpx.Client) -> None:
    """They are answered in order, whichever way each one takes."""
    ways = [[], [], ["X-Request-Timeout-Seconds: 30"], [], ["Connection: close"]]
    sent = [
        request_head("POST", PATH, [f"Content-Type: {BYTES}", "Content-Length: 784", f"X-Request-ID: {at}", *more])
        + LEVELS[:784]
        for at, more in enumerate(ways)
    ]
    with connect(client) as connection:
        connection.sendall(b"".join(sent))
        received = everything_from(connection)

    assert re.findall(rb'"request_id":"(\d)"', received) == [b"0", b"1", b"2", b"3", b"4"]
    assert received.count(b"HTTP/1.1 200 OK") == len(ways)


def test_both_ways_count_the_same(client: httpx.Client) -> None:
    """Requests, their durations and predictions are counted once for each answer."""
    labels = {"method": "POST", "route": PATH, "status": "200"}
    names = {
        "digits_http_requests_total": labels,
        "digits_http_request_duration_seconds_count": {"route": PATH},
        "digits_predictions_total": {"digit": "3", "version": "1"},
        "digits_batch_rows_sum": {},
    }
    before = scrape(client)
    both_answers(client, LEVELS[:784], BYTES_HEADERS)
    after = scrape(client)

    assert {name: after.value(name, **of) - before.value(name, **of) for name, of in names.items()} == dict.fromkeys(
        names, 2
    )
