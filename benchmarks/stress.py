"""`python -m benchmarks.stress`: reload, kill and send bulk under load; claims, figures, pass or fail. Linux."""

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.digits import Released, digits
from benchmarks.processes import Server, descendants
from benchmarks.requests import Request, json_image, octets, send

_CONNECTIONS = 32
_SETTLED_SECONDS = 3.0
_LONGEST_WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Claim:
    """A claim, the figure that was measured, and whether it holds."""

    text: str
    figure: str
    holds: bool


@dataclass
class Clients:
    """Connections that ask in a closed loop and compare each answer with the first one to the same request."""

    port: int
    requests: tuple[Request, ...]
    connections: int = _CONNECTIONS
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator["Clients"]:
        """Ask for as long as the context is open."""
        expected = [_probabilities(send(self.port, request).body) for request in self.requests]
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(stop, expected, at)) for at in range(self.connections)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def p99_ms(self, first: int = 0) -> float:
        """Of the answers from that one on."""
        return float(np.percentile(self.seconds[first:], 99) * 1000)

    def _ask(self, stop: threading.Event, expected: list[object], at: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        which = at % len(self.requests)
        request = self.requests[which]
        while not stop.is_set():
            started = time.perf_counter()
            try:
                connection.request("POST", request.path, request.body, dict(request.headers))
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.failures.append(type(error).__name__)
                continue
            self.seconds.append(time.perf_counter() - started)
            if response.status != http.HTTPStatus.OK:
                self.failures.append(str(response.status))
            elif _probabilities(body) != expected[which]:
                self.failures.append("wrong answer")
        connection.close()


def main() -> int:
    """Measure each claim; 0 if all hold."""
    options = _parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        released = Released(Path(folder))
        row = released.publish().pixels[0]
        port = _free_port()
        server = digits(released, ())
        environment = {**server.environment, "DIGITS_PORT": str(port), "DIGITS_POLL_SECONDS": "0.5"}
        with Server(server.command, environment, Path(folder, "log"), server.folder) as running:
            _wait(lambda: _ready(port))  # of all workers, not of the one that answers
            singles = Clients(port, (json_image(row), octets(row[None])))
            claims = [
                *_reloads(singles, released, options.reloads),
                *_kill(Clients(port, singles.requests), running),
                *_bulk(port, octets(row[None]), octets(np.tile(row, (10_000, 1)))),
            ]
    for claim in claims:
        sys.stdout.write(f"{'pass' if claim.holds else 'FAIL'}  {claim.text}: {claim.figure}\n")
    return 0 if all(claim.holds for claim in claims) else 1


def _reloads(clients: Clients, released: Released, count: int) -> list[Claim]:
    with clients.asking():
        time.sleep(_SETTLED_SECONDS)
        without, first = clients.p99_ms(), len(clients.seconds)
        for number in range(2, count + 2):
            _publish_again(released, number)
            _wait(partial(_serves, clients.port, number))
        during = clients.p99_ms(first)
    answered = f"{len(clients.failures)} of {len(clients.seconds)} ({', '.join(sorted(set(clients.failures)))})"
    return [
        Claim(f"{count} reloads under {_CONNECTIONS} connections: failed or wrong", answered, not clients.failures),
        Claim(
            "p99 during reloads, at most twice that without", f"{during:.0f} / {without:.0f} ms", during <= 2 * without
        ),
    ]


def _kill(clients: Clients, server: Server) -> list[Claim]:
    with clients.asking():
        time.sleep(1)
        before = _workers(server)
        killed = time.monotonic()
        os.kill(min(before), signal.SIGKILL)
        _wait(lambda: len(_workers(server) - before) == 1)
        replaced = time.monotonic() - killed
        time.sleep(_SETTLED_SECONDS)
    most = f"{len(clients.failures)} of {len(clients.seconds)}"
    return [
        Claim("a killed worker's replacement started, within 2 s", f"{replaced:.2f} s", replaced <= 2),
        Claim("requests lost with it, at most one a connection", most, len(clients.failures) <= clients.connections),
    ]


def _bulk(port: int, single: Request, bulk: Request) -> list[Claim]:
    alone, beside = Clients(port, (single,), 1), Clients(port, (single,), 1)
    with alone.asking():
        time.sleep(_SETTLED_SECONDS)
    with Clients(port, (bulk,), 1).asking() as heavy, beside.asking():
        time.sleep(2 * _SETTLED_SECONDS)
    figure = f"{beside.p99_ms():.1f} / {alone.p99_ms():.1f} ms, {len(heavy.seconds)} bulk answers"
    return [
        Claim(
            "singles' p99 beside 10,000-row bodies, at most three times", figure, beside.p99_ms() <= 3 * alone.p99_ms()
        )
    ]


def _publish_again(released: Released, number: int) -> None:
    """Publish the same network under another number, by one rename as the trainer does."""
    unfinished = released.store / "digits" / ".publishing-stress"
    shutil.copytree(released.version, unfinished)
    manifest = unfinished / "assets.extra/manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": number}))
    unfinished.rename(released.store / "digits" / str(number))


def _serves(port: int, number: int) -> bool:
    return _serving(port) == number


def _serving(port: int) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException, ValueError, KeyError, IndexError, TypeError):
        connection.request("GET", "/v1/models")
        number: int | None = json.loads(connection.getresponse().read())["models"][0]["serving"]
        return number
    return None


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def _workers(server: Server) -> set[int]:
    return {pid for pid in descendants(server.pid) if b"service.worker" in _command(pid)}


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _probabilities(body: bytes) -> object:
    with suppress(ValueError, KeyError, TypeError):
        return json.loads(body)["predictions"][0]["probabilities"]
    return None


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            msg = "it did not happen in time"
            raise TimeoutError(msg)
        time.sleep(0.02)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress", description=__doc__)
    parser.add_argument("--reloads", type=int, default=10, help="how many versions to publish (default %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
