import asyncio
import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator

import httpx
import pytest

from service.connections.lingering import Lingering, Turns
from tests.service.fakes import Clock
from tests.service.line import Line
from tests.service.raw_http import connect, everything_from, read_status, request_head
from tests.service.running import WAIT_SECONDS, running_service, wait_until

MEGABYTE = 1_000_000
OCTETS = "application/octet-stream"
CHUNKED = [f"Content-Type: {OCTETS}", "Transfer-Encoding: chunked"]
REFUSED = ["Content-Type: text/plain", f"Content-Length: {10**15}", "Connection: close"]


@pytest.fixture(scope="module", params=["auto", "asyncio"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service in each event loop that it may run in: uvloop where there is one, else Python's own."""
    with running_service(tmp_path_factory.mktemp("store"), loop=request.param) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "media_type", "size", "status"),
    [
        ("/v1/predict", "text/plain", MEGABYTE, 415),
        ("/v1/predict", OCTETS, 8 * MEGABYTE, 413),
        ("/v1/predict", "image/png", 50 * MEGABYTE, 413),
        ("/nothing", OCTETS, 50 * MEGABYTE, 404),
    ],
)
def test_who_sends_all_before_it_reads_has_its_answer(
    client: httpx.Client, path: str, media_type: str, size: int, status: int
) -> None:
    """Python's own client writes its whole body, whatever comes back, and only then reads the answer."""
    url = str(client.base_url.join(path))
    for _ in range(3):
        request = urllib.request.Request(url, data=bytes(size), headers={"Content-Type": media_type})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=WAIT_SECONDS)
        assert refused.value.status == status
        assert b"request_id" in refused.value.read()


def test_a_body_in_chunks_that_gets_too_large_has_its_answer(client: httpx.Client) -> None:
    """It is refused while it arrives, and the client sends it to its end all the same."""
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=WAIT_SECONDS)
    headers = {"Content-Type": OCTETS, "Transfer-Encoding": "chunked", "Connection": "close"}
    with contextlib.closing(connection):
        connection.request("POST", "/v1/predict", iter([bytes(MEGABYTE)] * 40), headers, encode_chunked=True)
        assert connection.getresponse().status == 413


@pytest.mark.parametrize(
    ("nonsense", "status"),
    [
        (request_head("POST", "/v1/predict", CHUNKED) + b"4\r\nabcd\r\nno length\r\n", 400),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"a" * MEGABYTE, 431),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
    ],
    ids=["amid a body", "too long", "another version"],
)
def test_what_is_no_http_has_its_answer(client: httpx.Client, nonsense: bytes, status: int) -> None:
    """This holds however many bytes come."""
    with connect(client) as connection:
        connection.sendall(nonsense)
        connection.sendall(bytes(8 * MEGABYTE))
        assert read_status(connection) == status


def test_of_very_many_requests_sent_together_those_taken_have_their_answers(client: httpx.Client) -> None:
    """The connection ends after these answers, and not before the last of them has arrived."""
    with connect(client) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\n\r\n" * 300_000)
        received = everything_from(connection)
    assert received.count(b"HTTP/1.1 204") > 16
    assert b"connection: close" in received.rpartition(b"HTTP/1.1")[2]


def test_bytes_without_end_are_cut_off(client: httpx.Client) -> None:
    """This holds however fast they come."""
    with connect(client) as connection:
        connection.sendall(request_head("POST", "/v1/predict", REFUSED))
        assert everything_from(connection).startswith(b"HTTP/1.1 415")
        sent_megabytes = 0
        with contextlib.suppress(OSError):
            while sent_megabytes < 1000:
                connection.sendall(bytes(MEGABYTE))
                sent_megabytes += 1
    assert sent_megabytes < 400


@pytest.mark.parametrize("path", ["/health/live", "/nothing"])
def test_who_has_sent_all_is_not_waited_for(client: httpx.Client, path: str) -> None:
    """A connection whose last request is complete is closed with its answer, whether or not the client closes."""

    def is_closed() -> bool:
        try:
            connection.sendall(b"a")
        except OSError:
            return True
        return False

    with connect(client) as connection:
        connection.sendall(request_head("GET", path, ["Connection: close"]))
        assert everything_from(connection)
        wait_until(is_closed, seconds=1)


class ResetLine(Line):
    """A connection that the client has reset."""

    def write_eof(self) -> None:
        """Half-close the connection, and find out that it was reset."""
        super().write_eof()
        raise OSError


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which time passes only when a test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__()

    def time(self) -> float:
        """Tell the time."""
        return self.clock()

    def sleep(self, seconds: float) -> None:
        """Let time pass, and do what is due."""
        self.clock.seconds += seconds
        self.call_soon(self.stop)
        self.run_forever()


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that is closed with its test."""
    with contextlib.closing(Loop()) as loop:
        yield loop


class TestBounds:
    """How long a client that has had its answer is still read from."""

    def test_silence(self, loop: Loop) -> None:
        """The connection of a client that sends nothing for two seconds is closed."""
        line = Line(asyncio.Protocol())
        lingering = Lingering(line, loop, Turns())
        assert line.is_ended
        loop.sleep(1.5)
        lingering.data_received(b"a")
        loop.sleep(1.9)
        assert line.is_open
        loop.sleep(0.2)
        assert not line.is_open

    def test_dripping(self, loop: Loop) -> None:
        """The connection of a client that sends a byte again and again is closed after five seconds."""
        line = Line(asyncio.Protocol())
        lingering = Lingering(line, loop, Turns())
        for _ in range(9):
            loop.sleep(0.5)
            lingering.data_received(b"a")
        assert line.is_open
        loop.sleep(0.6)
        assert not line.is_open

    def test_haste(self, loop: Loop) -> None:
        """Clients that send all the time are read from in turn, together no faster than one alone."""
        turns, mebibyte = Turns(), bytes(1024 * 1024)
        lines = [Line(asyncio.Protocol()) for _ in range(4)]
        for line in lines:
            Lingering(line, loop, turns).data_received(mebibyte)
        seen = []
        for _ in range(5):
            seen.append([line.is_read for line in lines])
            loop.sleep(0.004)
        assert seen == [[True] * read + [False] * (4 - read) for read in range(5)]

    def test_more_than_a_quarter_of_a_gigabyte(self, loop: Loop) -> None:
        """The connection of a client that sends more than a quarter of a gigabyte is closed."""
        line = Line(asyncio.Protocol())
        lingering, mebibyte = Lingering(line, loop, Turns()), bytes(1024 * 1024)
        for _ in range(256):
            lingering.data_received(mebibyte)
        assert line.is_open
        lingering.data_received(b"a")
        assert not line.is_open

    def test_one_that_has_reset_the_connection(self, loop: Loop) -> None:
        """A client that is gone before the service can half-close the connection causes no error."""
        line = ResetLine(asyncio.Protocol())
        Lingering(line, loop, Turns())
        assert line.is_ended


class TestTurns:
    """When connections whose bytes are thrown away may read on."""

    def test_time_in_which_nobody_read_is_not_made_up_for(self) -> None:
        """After a pause the next connection waits for as long as ever."""
        turns = Turns()
        assert turns.next_seconds(2**28, 10.0) == 11.0
        assert turns.next_seconds(2**27, 20.0) == 20.5

    def test_a_small_piece_takes_time_as_well(self) -> None:
        """Waking up takes time, however little there is to read."""
        turns = Turns()
        first, second = turns.next_seconds(1, 0.0), turns.next_seconds(1, 0.0)
        assert 0 < first < second
