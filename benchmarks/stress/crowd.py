"""Connections that only take up room: thousands that never ask, and hundreds that send one byte a second."""

import contextlib
import itertools
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.requests import json_image
from benchmarks.stress.answers import own_questions
from benchmarks.stress.claims import Claim
from benchmarks.stress.clients import Clients
from benchmarks.stress.running import Running
from benchmarks.stress.threads import threads_of

_SECONDS = 5.0
# Longer than a request's deadline, so that each slow one is answered with 504 once and begins again.
_SLOW_SECONDS = 14.0
_CONNECTIONS = 4
# File descriptors that this process and each worker need besides the connections.
_OTHER_FILES = 500
_SLOW_HEAD = (
    b"POST /v1/predict HTTP/1.1\r\nHost: stress\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: 784\r\n\r\n"
)


def crowd(running: Running, idle: int, slow: int) -> Iterator[Claim]:
    """Measure single images alone, beside `idle` connections, and beside `slow` bodies."""
    singles = own_questions(running.golden, _CONNECTIONS, (json_image,))
    alone = Clients(running.port, singles).ask_for(_SECONDS)
    possible = min(idle, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_FILES)
    if possible < idle:
        yield Claim(f"{idle:,} connections can be opened here", f"{possible:,}: the limit of open files", holds=False)
    with idle_connections(running.port, possible) as opened:
        beside = Clients(running.port, singles).ask_for(_SECONDS)
        lost = closed_among(opened)
    yield _unharmed(f"{possible:,} idle connections", alone, beside)
    yield Claim("idle connections that were closed", str(lost), not lost)
    with SlowBodies(running.port, slow).sending() as bodies:
        beside = Clients(running.port, singles).ask_for(_SLOW_SECONDS)
    yield _unharmed(f"{slow} bodies of one byte a second", alone, beside)
    answered = f"{bodies.timed_out} of {bodies.answered} with 504"
    yield Claim("slow bodies are answered when their time is over", answered, 0 < bodies.answered == bodies.timed_out)


def _unharmed(beside_what: str, alone: Clients, beside: Clients) -> Claim:
    figure = f"{beside.p99_ms():.1f} / {alone.p99_ms():.1f} ms, failed {beside.account}"
    holds = beside.p99_ms() <= 2 * alone.p99_ms() and not beside.failures
    return Claim(f"p99 beside {beside_what}, at most twice that without", figure, holds)


@contextlib.contextmanager
def idle_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections that ask for nothing."""
    with contextlib.ExitStack() as opened:
        yield [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]


def closed_among(connections: list[socket.socket]) -> int:
    """How many of them the service has closed: they are readable although nothing was asked."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))


@dataclass
class SlowBodies:
    """Clients that send one byte of a body each second, and begin again once they are answered.

    Their turns are spread over the second, like those of independent clients: sent all at once, the bytes would delay
    the clients that are measured, which run in the same process.
    """

    port: int
    count: int
    answered: int = 0
    timed_out: int = 0
    _connections: list[socket.socket] = field(default_factory=list)

    @contextlib.contextmanager
    def sending(self) -> Iterator["SlowBodies"]:
        """Send for as long as the context is open."""
        try:
            with threads_of([self._send_until]):
                yield self
        finally:
            for connection in self._connections:
                connection.close()

    def _begin(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.sendall(_SLOW_HEAD)
        connection.settimeout(0)
        return connection

    def _send_until(self, stop: threading.Event) -> None:
        due = time.monotonic()
        for place in itertools.cycle(range(self.count)):
            if stop.wait(max(0.0, due - time.monotonic())):
                break
            if place == len(self._connections):
                self._connections.append(self._begin())
            else:
                self._connections[place] = self._one_byte(self._connections[place])
            due += 1 / self.count

    def _one_byte(self, connection: socket.socket) -> socket.socket:
        """Send a byte, or read the answer and begin again."""
        try:
            received = connection.recv(4096)
        except BlockingIOError:
            with contextlib.suppress(OSError):
                connection.send(b"\0")
            return connection
        except OSError:
            received = b""
        self.answered += 1
        self.timed_out += received.startswith(b"HTTP/1.1 504")
        connection.close()
        return self._begin()
