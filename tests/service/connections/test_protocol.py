import asyncio
import http.client
import json
import re
import socket
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.connections.dates import Dates
from service.connections.lingering import Turns
from service.connections.protocol import counting_protocol
from service.connections.wire import BoundedHeads
from service.exchange import IS_ALONE, WHOLE, ExchangeMiddleware
from service.telemetry.metrics import Metrics
from tests.service.bodies.test_reader import picture
from tests.service.line import Line
from tests.service.raw_http import connect, everything_from, request_head
from tests.service.running import WAIT_SECONDS, running_service, wait_until
from tests.service.scraping import scrape
from tests.service.test_pool import settle

TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


# The header timeout of the `hurried` service; the pauses between dripped bytes are a tenth of it.
HEADER_SECONDS, PAUSE_SECONDS = 0.5, 0.05
MANY_ROWS, LARGE_ANSWER_BYTES, TURN_SECONDS = 2000, 200_000, 0.2


@dataclass(frozen=True)
class Answer:
    """An answer that came back over a bare connection."""

    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    """A service whose connections use the real server's protocol."""
    with running_service(tmp_path) as client:
        yield client


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[httpx.Client]:
    """A service with a short header timeout."""
    with running_service(tmp_path, header_seconds=HEADER_SECONDS) as client:
        yield client


def seconds_until_closed(connection: socket.socket, dripped: bytes) -> float:
    """Send `dripped`, if not empty, again and again until the service closes; return how long that took."""
    started = time.monotonic()
    connection.settimeout(PAUSE_SECONDS)
    while time.monotonic() < started + WAIT_SECONDS:
        try:
            connection.sendall(dripped)
            if connection.recv(1) == b"":
                return time.monotonic() - started
        except TimeoutError:
            continue
        except OSError:  # closed while more was on its way
            return time.monotonic() - started
    pytest.fail("the service never closed the connection")


def connect_narrowly(client: httpx.Client) -> socket.socket:
    """A connection with small packets and buffers, so that the system buffers little of an unread answer."""
    connection = socket.socket()
    connection.settimeout(WAIT_SECONDS)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
    connection.connect((client.base_url.host, client.base_url.port))
    return connection


def ask_for_much(connection: socket.socket, headers: Sequence[str] = ()) -> None:
    """Send rows whose answer has over `LARGE_ANSWER_BYTES`."""
    size = f"Content-Length: {784 * MANY_ROWS}"
    head = request_head("POST", "/v1/predict", ["Content-Type: application/octet-stream", size, *headers])
    connection.sendall(head + bytes(784 * MANY_ROWS))


def read_answer(connection: socket.socket) -> Answer:
    """Read one answer whole."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


@pytest.mark.parametrize(
    "sent", [TLS_HELLO, b"BREW / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\0\0\r\n"]
)
def test_bytes_that_are_no_http_are_a_problem_and_counted(client: httpx.Client, sent: bytes) -> None:
    """The answer is like every other problem, the connection closes after it, and it is counted once."""
    with connect(client) as connection:
        connection.sendall(sent)
        answer = read_answer(connection)
        assert connection.recv(1) == b""

    problem = json.loads(answer.body)
    assert (answer.status, problem["status"], problem["type"]) == (400, 400, "/docs#malformed-body")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == problem["request_id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["connection"] == "close"
    seen = scrape(client)
    assert seen.value("digits_http_requests_total", method="other", route="unmatched", status="400") == 1
    assert seen.value("digits_rejected_total", reason="malformed-body") == 1


OCTETS = "Content-Type: application/octet-stream"
ROW = request_head("POST", "/v1/predict", [OCTETS, "Content-Length: 784"]) + bytes(784)
CHUNKED = [OCTETS, "Transfer-Encoding: chunked", "X-Request-ID: mine"]


@pytest.mark.parametrize("nonsense", [b"no length\r\n", b"-1\r\n\0\r\n", b"1\r\n\0\0\0\0\r\n"])
@pytest.mark.parametrize("at_once", [True, False])
def test_nonsense_amid_a_body_is_the_answer_to_its_request(
    client: httpx.Client, nonsense: bytes, *, at_once: bool
) -> None:
    """An invalid chunk is a malformed body: its request gets 400, once, under its id, and the connection closes."""
    begun = request_head("POST", "/v1/predict", CHUNKED) + b"4\r\nabcd\r\n"
    with connect(client) as connection:
        connection.sendall(begun + nonsense if at_once else begun)
        if not at_once:
            wait_until(lambda: scrape(client).value("digits_http_requests_in_progress") == 2)
            connection.sendall(nonsense)
        answer = read_answer(connection)
        assert connection.recv(1) == b""

    problem = json.loads(answer.body)
    assert (answer.status, problem["type"], problem["instance"]) == (400, "/docs#malformed-body", "/v1/predict")
    assert answer.headers["x-request-id"] == problem["request_id"] == "mine"
    assert answer.headers["connection"] == "close"
    seen = scrape(client)
    assert seen.value("digits_http_requests_total", method="POST", route="/v1/predict", status="400") == 1
    assert seen.value("digits_rejected_total", reason="malformed-body") == 1
    assert seen.value("digits_rejected_total", reason="client-gone") == 0


def test_nonsense_in_a_body_that_nobody_reads_is_told_as_well(client: httpx.Client) -> None:
    """Even a path that would answer without the body reports that the body is malformed."""
    with connect(client) as connection:
        connection.sendall(request_head("GET", "/health/live", CHUNKED) + b"no length\r\n")
        assert read_answer(connection).status == 400
        assert connection.recv(1) == b""

    assert client.get("/health/live").is_success


def test_nonsense_amid_a_queued_body_is_not_the_answer_to_another(client: httpx.Client) -> None:
    """An earlier request of the connection gets its own answer first, then the one with the nonsense gets its 400."""
    with connect(client) as connection:
        connection.sendall(ROW + request_head("POST", "/v1/predict", CHUNKED) + b"no length\r\n")
        assert re.findall(rb"HTTP/1.1 (\d+)", everything_from(connection)) == [b"200", b"400"]

    seen = scrape(client)
    for status in ("200", "400"):
        assert seen.value("digits_http_requests_total", method="POST", route="/v1/predict", status=status) == 1


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (ROW + b"\0", [200]),  # a length that was counted in characters
        (request_head("POST", "/v1/predict", [OCTETS]) + bytes(784), [422]),
        (request_head("GET", "/health/live", []) + b"JUNK\0", [204]),
        (request_head("GET", "/health/live", []) * 3 + ROW + b"JUNK\0", [204, 204, 204, 200]),
    ],
)
def test_a_whole_request_is_answered_whatever_is_behind_it(
    client: httpx.Client, sent: bytes, statuses: list[int]
) -> None:
    """The client gets an answer to each whole request; the last one says that the connection closes."""
    for _ in range(5):
        with connect(client) as connection:
            connection.sendall(sent)
            received = everything_from(connection)
        assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", received)] == statuses
        assert b"connection: close" in received.rpartition(b"HTTP/1.1")[2]

    assert scrape(client).value("digits_rejected_total", reason="malformed-body") == 0


def test_a_client_that_leaves_amid_a_body_is_still_counted_as_gone(client: httpx.Client) -> None:
    """Without nonsense, the end of a connection amid a body means that the client is gone."""
    with connect(client) as connection:
        connection.sendall(request_head("POST", "/v1/predict", CHUNKED) + b"4\r\nabcd\r\n")
        wait_until(lambda: scrape(client).value("digits_http_requests_in_progress") == 2)

    wait_until(lambda: scrape(client).value("digits_rejected_total", reason="client-gone") == 1)
    assert scrape(client).value("digits_rejected_total", reason="malformed-body") == 0


@pytest.mark.parametrize(
    ("headers", "part", "status"),
    [
        (["Content-Type: image/png", f"Content-Length: {10**9}"], bytes(200_000), 413),
        (["Content-Type: text/plain", "Content-Length: 40000"], bytes(40_000), 415),
    ],
)
def test_a_connection_keeps_nothing_of_a_body_that_was_refused(
    client: httpx.Client, headers: list[str], part: bytes, status: int
) -> None:
    """The received part of a body that nobody reads is freed with the answer, although the connection stays open."""
    head = request_head("POST", "/v1/predict", headers)
    with ExitStack() as connections:
        tracemalloc.start()
        connections.callback(tracemalloc.stop)
        before_bytes, _ = tracemalloc.get_traced_memory()
        for _ in range(30):
            connection = connections.enter_context(connect(client))
            connection.sendall(head + part)
            assert read_answer(connection).status == status
        kept_bytes = tracemalloc.get_traced_memory()[0] - before_bytes

    assert kept_bytes < 30 * len(part) / 2


def test_of_a_large_file_no_copies_wait_for_who_does_not_read(client: httpx.Client) -> None:
    """However many clients ask for a file and do not read it, memory holds it once."""
    path, clients = "/docs/swagger-ui-bundle.js", 20
    size = len(client.get(path).content)
    head = request_head("GET", path, [])
    with ExitStack() as connections:
        tracemalloc.start()
        connections.callback(tracemalloc.stop)
        before_bytes, _ = tracemalloc.get_traced_memory()
        for _ in range(clients):
            connections.enter_context(connect_narrowly(client)).sendall(head)
        asked = {"method": "GET", "route": path, "status": "200"}
        wait_until(lambda: scrape(client).value("digits_http_requests_total", **asked) == clients + 1)
        kept_bytes = tracemalloc.get_traced_memory()[0] - before_bytes

    assert kept_bytes < 2 * size


def test_an_answer_comes_in_one_piece(client: httpx.Client) -> None:
    """Headers and body are sent together, so that the waiting client is woken up once."""
    head = request_head("POST", "/v1/predict", ["Content-Type: text/plain", "Content-Length: 0"])
    with connect(client) as connection:
        for _ in range(50):
            connection.sendall(head)
            assert connection.recv(65_536).endswith(b"}")


PICTURE = picture()


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (request_head("GET", "/health/live", []), [204]),
        (request_head("POST", "/v1/predict", ["Content-Type: text/plain", "Content-Length: 0"]), [415]),
        (
            request_head("POST", "/v1/predict", ["Content-Type: image/png", f"Content-Length: {len(PICTURE)}"])
            + PICTURE,
            [200],
        ),
        (request_head("GET", "/health/live", []) + ROW * 3, [204, 200, 200, 200]),
        (ROW + b"GET /health", [200]),
    ],
    ids=["at once", "refused", "in a thread", "in a queue", "before half a head"],
)
def test_a_client_that_will_send_no_more_gets_its_answer(
    client: httpx.Client, sent: bytes, statuses: list[int]
) -> None:
    """It may half-close the connection after its last request, as `nc -N` does; the answer then ends the connection."""
    for _ in range(20):
        with connect(client) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            received = everything_from(connection)
        assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", received)] == statuses


def test_answers_to_requests_sent_together_keep_their_order(client: httpx.Client) -> None:
    """Each is complete and comes in order, the last one before the connection closes."""
    heads = [request_head("GET", path, []) for path in ("/health", "/nothing")]
    last = request_head("GET", "/health", ["Connection: close"])
    with connect(client) as connection:
        connection.sendall(b"".join(heads) + last)
        received = everything_from(connection)

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404", b"200"]
    assert received.endswith(b"}")


def test_of_very_many_requests_sent_together_the_first_are_answered(client: httpx.Client) -> None:
    """Accepted requests are all answered; the last answer says that the connection closes. The rest cost nothing."""
    with connect(client) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\n\r\n" * 600)
        received = everything_from(connection)

    statuses = re.findall(rb"HTTP/1.1 (\d+)", received)
    assert 16 < len(statuses) < 64
    assert set(statuses) == {b"204"}
    assert b"connection: close" in received.rpartition(b"HTTP/1.1")[2]
    assert received.count(b"connection: close") == 1
    seen = scrape(client)
    assert seen.value("digits_http_requests_total", method="GET", route="/health/live", status="204") == len(statuses)
    assert seen.value("digits_rejected_total", reason="malformed-body") == 0


def test_as_many_requests_as_clients_pipeline_are_answered_again_and_again(client: httpx.Client) -> None:
    """Sixteen pipelined requests, the last with a body that comes later, keep their connection."""
    row = request_head("POST", "/v1/predict", ["Content-Type: application/octet-stream", "Content-Length: 784"])
    with connect(client) as connection:
        for _ in range(3):
            connection.sendall(request_head("GET", "/health/live", []) * 15 + row)
            received = b""
            while received.count(b"HTTP/1.1 204") < 15:
                received += connection.recv(65_536)
            connection.sendall(bytes(784))
            assert read_answer(connection).status == 200


def test_a_request_is_alone_if_no_other_came_in_its_turn() -> None:
    """Of requests that arrive on two connections in one turn of the event loop none is alone; a later one is."""
    alone: list[bool] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] == "http":
            alone.append(scope["state"][IS_ALONE])
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    async def story() -> None:
        exchange = ExchangeMiddleware(app, Metrics(), draining=lambda: False)
        config = uvicorn.Config(exchange, log_config=None, access_log=False, ws="none")
        config.load()
        kind, state = counting_protocol(Metrics(), WAIT_SECONDS), ServerState()
        protocols = [kind(config=config, server_state=state, app_state={}) for _ in range(2)]
        for protocol in protocols:
            protocol.connection_made(Line(protocol))
        for served in (protocols, protocols[:1]):
            for protocol in served:
                protocol.data_received(request_head("GET", "/", []))
            await settle()
        for protocol in protocols:
            protocol.connection_lost(None)

    asyncio.run(asyncio.wait_for(story(), WAIT_SECONDS))
    assert alone == [False, False, True]


def test_while_requests_are_queued_no_more_is_read() -> None:
    """An answer makes room only for what it answers: no more requests are queued than came in one piece."""

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        watching = asyncio.ensure_future(receive())  # for the client to leave, as predictions do
        await asyncio.sleep(0)
        watching.cancel()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def story() -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
        config.load()
        protocol = counting_protocol(Metrics(), HEADER_SECONDS)(config=config, server_state=ServerState(), app_state={})
        line, sent, queued = Line(protocol), 0, 0
        protocol.connection_made(line)
        while sent < 100:
            if line.is_read:
                protocol.data_received(request_head("GET", "/", []) * 10)
                sent += 10
            queued = max(queued, len(protocol.pipeline))
            await asyncio.sleep(0)
        await settle()
        assert queued <= 10
        assert protocol.server_state.total_requests == sent
        protocol.connection_lost(None)

    asyncio.run(asyncio.wait_for(story(), WAIT_SECONDS))


class LongTurns(Turns):
    """Turns that are long enough to be seen on a machine that delays a test."""

    def next_seconds(self, size_bytes: int, now_seconds: float) -> float:
        """When the next piece may be read: never sooner than in `TURN_SECONDS`."""
        return max(super().next_seconds(size_bytes, now_seconds), now_seconds + TURN_SECONDS)


def test_what_comes_of_an_answered_body_is_read_in_turns() -> None:
    """While a client sends a refused body, others go on; after the body's end the connection is read as before."""

    async def refuse(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def story() -> None:
        config = uvicorn.Config(refuse, log_config=None, access_log=False, ws="none")
        config.load()
        protocol = counting_protocol(Metrics(), WAIT_SECONDS)(config=config, server_state=ServerState(), app_state={})
        assert isinstance(protocol, BoundedHeads)
        protocol.turns = LongTurns()
        line, part = Line(protocol), bytes(250_000)
        protocol.connection_made(line)
        for before in (request_head("POST", "/", [f"Content-Length: {3 * len(part)}"]), b""):
            protocol.data_received(before + part)
            await settle()  # now it is answered
            assert not line.is_read
            await asyncio.sleep(2 * TURN_SECONDS)
            assert line.is_read
        protocol.data_received(part)
        await settle()
        assert line.is_read
        protocol.data_received(request_head("GET", "/", []))
        await settle()
        assert protocol.server_state.total_requests == 2
        protocol.connection_lost(None)

    asyncio.run(asyncio.wait_for(story(), WAIT_SECONDS))


CHUNKED_HEAD = request_head("POST", "/", ["Transfer-Encoding: chunked"])
MANY_CHUNKS = 60_000  # some fifteen turns, and nearly as many as may wait to be read


@pytest.mark.parametrize("is_behind", [False, True])
def test_a_flood_of_chunks_is_read_between_others(*, is_behind: bool) -> None:
    """However much a client sends at once, others get their turn before all of it is parsed, and none of it is lost.

    No more is read from the client while its body waits to be read.
    """
    gate, seen = asyncio.Event(), bytearray()

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        more = True
        while more:
            message = await receive()
            seen.extend(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def story() -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
        config.load()
        protocol = counting_protocol(Metrics(), WAIT_SECONDS)(config=config, server_state=ServerState(), app_state={})
        line, first = Line(protocol), b"b" * (70_000 if is_behind else 1)
        protocol.connection_made(line)
        assert isinstance(protocol, BoundedHeads)
        protocol.data_received(CHUNKED_HEAD + b"%x\r\n%b\r\n" % (len(first), first) + b"1\r\na\r\n" * MANY_CHUNKS)
        turns = 0
        while protocol.unparsed:
            assert not line.is_read
            turns += 1
            await asyncio.sleep(0)
        assert turns > 3
        assert line.is_read is not is_behind
        gate.set()
        await settle()
        assert line.is_read
        protocol.data_received(b"0\r\n\r\n")
        await settle()
        assert bytes(seen) == first + b"a" * MANY_CHUNKS
        assert protocol.server_state.total_requests == 1
        protocol.connection_lost(None)

    asyncio.run(asyncio.wait_for(story(), WAIT_SECONDS))


def test_a_flood_from_who_has_left_is_not_parsed() -> None:
    """The unparsed rest is dropped with the connection."""

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def story() -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
        config.load()
        protocol = counting_protocol(Metrics(), WAIT_SECONDS)(config=config, server_state=ServerState(), app_state={})
        line = Line(protocol)
        protocol.connection_made(line)
        assert isinstance(protocol, BoundedHeads)
        protocol.data_received(CHUNKED_HEAD + b"1\r\na\r\n" * MANY_CHUNKS)
        assert protocol.unparsed
        line.close()
        protocol.connection_lost(None)
        await settle()
        assert not protocol.unparsed

    asyncio.run(asyncio.wait_for(story(), WAIT_SECONDS))


class SlowDates(Dates):
    """Dates as on a machine that runs others in the middle of a refusal."""

    def line(self, now_seconds: float) -> bytes:
        """The date, after more than a turn."""
        time.sleep(TURN_SECONDS)
        return super().line(now_seconds)


def test_what_was_refused_is_read_on_although_its_refusal_took_long() -> None:
    """A client that still sends would see a reset instead of the answer if no more were read."""

    async def story() -> None:
        config = uvicorn.Config(lambda: None, log_config=None, access_log=False, ws="none")
        config.load()
        protocol = counting_protocol(Metrics(), WAIT_SECONDS)(config=config, server_state=ServerState(), app_state={})
        cast("Any", protocol).dates = SlowDates()
        line = Line(protocol)
        protocol.connection_made(line)
        protocol.data_received(b"GET / HTTP/9.9\r\n\r\n" + bytes(100_000))
        await settle()
        assert line.is_read
        cast("asyncio.Protocol", line.protocol).connection_lost(None)

    asyncio.run(asyncio.wait_for(story(), WAIT_SECONDS))


def test_behind_an_unanswered_request_a_head_without_end_is_not_read_on() -> None:
    """While the answer is made, no more of the head is kept and it is read in turns; then the answer comes."""

    async def story() -> None:
        answering = asyncio.Event()

        async def app(_: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await answering.wait()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
        config.load()
        protocol = counting_protocol(Metrics(), HEADER_SECONDS)(config=config, server_state=ServerState(), app_state={})
        line = Line(protocol)
        protocol.connection_made(line)
        protocol.data_received(request_head("GET", "/", []) + b"GET /")
        for _ in range(100):
            protocol.data_received(b"a" * 4096)
        assert len(protocol.url) < 100_000
        await settle()
        seen = [line.is_read]  # to see whether the client leaves
        protocol.data_received(b"a" * 4096)
        seen.append(line.is_read)
        await asyncio.sleep(PAUSE_SECONDS)
        assert [*seen, line.is_read] == [True, False, True]
        answering.set()
        await settle()
        assert protocol.server_state.total_requests == 1
        cast("asyncio.Protocol", line.protocol).connection_lost(None)

    asyncio.run(asyncio.wait_for(story(), WAIT_SECONDS))


PARTS = ({"type": "http.response.start", "status": 200, "headers": []}, {"type": "http.response.body"})
IN_ONE = ({"type": WHOLE, "status": 200, "headers": [], "body": b""},)


@pytest.mark.parametrize("messages", [PARTS, IN_ONE], ids=["in parts", "whole"])
@pytest.mark.parametrize(("status", "leaves"), [(499, True), (200, False)])
def test_an_answer_that_finds_nobody_is_counted_as_that(
    messages: tuple[dict[str, Any], ...], status: int, *, leaves: bool
) -> None:
    """This holds whichever way the answer takes, also if another request of the connection waits behind it."""
    metrics = Metrics()

    async def story() -> None:
        answering = asyncio.Event()

        async def app(_: Scope, __: Receive, send: Send) -> None:
            await answering.wait()
            for message in messages:
                await send(message)

        exchange = ExchangeMiddleware(app, metrics, lambda: False)
        config = uvicorn.Config(exchange, log_config=None, access_log=False, ws="none", lifespan="off")
        config.load()
        protocol = counting_protocol(metrics, HEADER_SECONDS)(config=config, server_state=ServerState(), app_state={})
        line = Line(protocol)
        protocol.connection_made(line)
        protocol.data_received(request_head("GET", "/", []) * (2 if leaves else 1))
        await settle()
        if leaves:
            line.close()
            protocol.connection_lost(ConnectionResetError())
        answering.set()
        await settle()
        protocol.connection_lost(None)

    asyncio.run(asyncio.wait_for(story(), WAIT_SECONDS))
    labels = {"method": "GET", "route": "unmatched", "status": str(status)}
    assert metrics.registry.get_sample_value("digits_http_requests_total", labels) == 1
    assert metrics.registry.get_sample_value("digits_rejected_total", {"reason": "client-gone"}) == int(leaves)


@pytest.mark.parametrize(("begun", "dripped"), [(b"", b""), (b"GET /", b"a"), (b"", b"\r\n")])
def test_a_connection_that_never_has_a_header_is_closed(hurried: httpx.Client, begun: bytes, dripped: bytes) -> None:
    """This holds whether it sends nothing, a header without end, or empty lines."""
    with connect(hurried) as connection:
        connection.sendall(begun)
        assert HEADER_SECONDS / 2 < seconds_until_closed(connection, dripped) < HEADER_SECONDS * 8


@pytest.mark.parametrize(
    ("first", "dripped"),
    [
        (request_head("GET", "/health/live", []), b"\r\n"),
        (request_head("GET", "/health/live", []) + b"GET /", b"a"),
        (request_head("POST", "/v1/predict", ["Content-Type: text/plain", "Content-Length: 99999"]), b"a"),
    ],
)
def test_after_an_answer_what_never_ends_is_cut_off(hurried: httpx.Client, first: bytes, dripped: bytes) -> None:
    """The next header has the same timeout as the first one, and so has a refused body."""
    with connect(hurried) as connection:
        connection.sendall(first)
        assert read_answer(connection).status in (204, 415)
        assert seconds_until_closed(connection, dripped) < HEADER_SECONDS * 8


def test_who_sends_slowly_what_was_refused_has_its_answer(hurried: httpx.Client) -> None:
    """The rest of a refused body has the time of a header; the connection then ends without losing the answer."""
    part = bytes(100_000)
    head = request_head("POST", "/v1/predict", ["Content-Type: text/plain", f"Content-Length: {20 * len(part)}"])
    with connect(hurried) as connection:
        connection.sendall(head)
        for _ in range(20):
            time.sleep(HEADER_SECONDS / 5)
            connection.sendall(part)
        assert read_answer(connection).status == 415


def test_a_connection_that_is_used_stays(hurried: httpx.Client) -> None:
    """It stays however long it exists: the timeout is for one header, and between requests it may be idle."""
    with connect(hurried) as connection:
        for _ in range(3):
            connection.sendall(request_head("GET", "/health/live", []))
            assert read_answer(connection).status == 204
            time.sleep(HEADER_SECONDS * 1.5)
        connection.sendall(b"GET /health")  # the first part of a header has its time from here on
        time.sleep(PAUSE_SECONDS)
        connection.sendall(b"/live HTTP/1.1\r\nHost: test\r\n\r\n")
        assert read_answer(connection).status == 204


@pytest.mark.parametrize("ending", [[], ["Connection: close"]])
def test_an_answer_that_nobody_reads_is_cut_off(hurried: httpx.Client, ending: list[str]) -> None:
    """Its connection ends although the client is still there, also if the service itself wants to close it."""
    with connect_narrowly(hurried) as connection:
        ask_for_much(connection, ending)
        time.sleep(HEADER_SECONDS * 4)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            read_answer(connection)


def test_an_answer_that_is_read_slowly_arrives(hurried: httpx.Client) -> None:
    """It arrives however long it takes, as the client keeps reading some of it."""
    with connect_narrowly(hurried) as connection:
        ask_for_much(connection)
        response = http.client.HTTPResponse(connection)
        response.begin()
        parts = []
        for _ in range(8):
            parts.append(response.read(LARGE_ANSWER_BYTES // 16))
            time.sleep(HEADER_SECONDS / 2)
        body = b"".join([*parts, response.read()])
    assert len(json.loads(body)["predictions"]) == MANY_ROWS


def test_a_body_has_the_time_of_its_request(hurried: httpx.Client) -> None:
    """The header timeout does not cut off what comes after a header: a late body has an answer of its own."""
    head = request_head("POST", "/v1/predict", ["Content-Type: application/octet-stream", "Content-Length: 784"])
    with connect(hurried) as connection:
        connection.sendall(head)
        time.sleep(HEADER_SECONDS * 2)
        connection.sendall(bytes(784))
        assert read_answer(connection).status == 200
