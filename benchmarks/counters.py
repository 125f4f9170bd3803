"""`python -m benchmarks.counters`: send requests with every outcome; does each counter equal what the client saw?"""

import argparse
import http.client
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.contenders import free_ports
from benchmarks.counting_client import KEY, PREDICT, Client, Question, Series
from benchmarks.digits import Released, digits
from benchmarks.processes import Server, ServerError, end_by_sigterm
from benchmarks.requests import json_image, octets, png
from benchmarks.stress.running import wait_until
from service.versions.golden import GoldenImages

_MOST_ROWS = 512
# Small limits, so that requests over them are small too; two of the largest requests do not fit into the queue.
ENVIRONMENT = {
    "DIGITS_API_KEYS": KEY,
    "DIGITS_MAX_INSTANCES": str(_MOST_ROWS),
    "DIGITS_QUEUE_LIMIT": str(_MOST_ROWS),
    "DIGITS_MAX_BODY_BYTES": "600000",
    "DIGITS_POLL_SECONDS": "0.1",
    "DIGITS_DRAIN_SECONDS": "0",
}
OUTCOMES = frozenset({200, 204, 400, 401, 404, 405, 413, 415, 422, 429, 499, 503, 504})
"""The statuses that the load causes: all of the contract but 500, which needs a fault in the service."""
_REPEATS = 5
_CONNECTIONS = 8
# Some requests are counted only after the client has its answer, or has left.
_SETTLE_SECONDS = 20.0
_OCTETS = (("Content-Type", "application/octet-stream"),)
_JSON = (("Content-Type", "application/json"),)
_WEBSOCKET = (
    *(("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
    ("Sec-WebSocket-Key", "MDEyMzQ1Njc4OUFCQ0RFRg=="),
)

_COUNTED = {
    "digits_http_requests_total": ("requests", "status", "method", "route"),
    "digits_http_request_duration_seconds_count": ("timed", "route"),
    "digits_rejected_total": ("rejected", "reason"),
    "digits_predictions_total": ("predictions", "digit"),
}


@dataclass(frozen=True)
class Line:
    """One series: what the client saw, and what the service counted."""

    series: Series
    saw: int
    counted: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare with one worker and with two; 0 if all is equal."""
    argparse.ArgumentParser(prog="python -m benchmarks.counters", description=__doc__).parse_args(arguments)
    end_by_sigterm()
    equal = True
    with tempfile.TemporaryDirectory() as folder:
        images = Released(Path(folder)).publish()
        for workers in (1, 2):
            lines = _with_workers(Path(folder), images, workers)
            _show(workers, lines)
            equal &= all(line.saw == line.counted for line in lines)
    return 0 if equal else 1


def compare(port: int, images: GoldenImages, publish: Callable[[], object]) -> list[Line]:
    """Send the load to a service that has just been started with an empty store.

    Args:
        port: The port of the service, which was started with `ENVIRONMENT`.
        images: Digits to ask for.
        publish: Puts version 1 into the store.

    Raises:
        ServerError: An outcome did not occur.
        TimeoutError: No version serves, or the queue is never full.
    """
    client = Client(port)
    ready = Question("GET", "/health/ready", route="/health/ready")
    client.ask(_octets(images, 1))  # no version serves yet
    publish()
    wait_until(lambda: client.ask(ready)[0] == http.HTTPStatus.OK)
    _send_all(client, _questions(images))
    _fill_queue(client, _octets(images, _MOST_ROWS))
    if missing := OUTCOMES - client.statuses():
        msg = f"no request was answered with {sorted(missing)}"
        raise ServerError(msg)
    return _settled(client)


def _questions(images: GoldenImages) -> list[Question]:
    """One question of each kind whose outcome is certain."""
    plain = [json_image(images.pixels[0]), png(images.pixels[1])]
    return [
        *(Question("POST", PREDICT, request.headers, request.body) for request in plain),
        _octets(images, 1),
        _octets(images, 5),
        Question("POST", f"{PREDICT}?version=1", _JSON, plain[0].body),
        *(Question("GET", path, route=path) for path in ("/", "/docs", "/openapi.json", "/health", "/v1/models")),
        Question("GET", "/health/live", route="/health/live"),
        Question("GET", "/health", _WEBSOCKET, route="/health"),  # no WebSockets here: a request like any other
        Question("POST", PREDICT, _JSON, b"{"),
        # Refused before its route is determined.
        Question("POST", PREDICT, (*_OCTETS, ("X-API-Key", "another")), route="unmatched"),
        Question("POST", f"{PREDICT}?version=9", _OCTETS, bytes(784)),
        Question("GET", "/made-up/path", route="unmatched"),
        Question("GET", PREDICT),
        _octets(images, _MOST_ROWS + 1),
        Question("POST", PREDICT, (*_OCTETS, ("Content-Length", "10000000")), None),
        Question("POST", PREDICT, (("Content-Type", "text/plain"),), b"7"),
        Question("POST", PREDICT, _OCTETS, bytes(783)),
        Question("POST", f"{PREDICT}?version=none", _OCTETS, bytes(784)),
        Question(
            "POST", PREDICT, (*_OCTETS, ("Content-Length", "784"), ("X-Request-Timeout-Seconds", "0.05")), None
        ),  # half a request, until its deadline
        Question("POST", "/v1/read", (("Content-Type", "image/png"),), b"no picture", route="/v1/read"),
    ]


def _octets(images: GoldenImages, rows: int) -> Question:
    request = octets(images.pixels[[at % len(images.pixels) for at in range(rows)]])
    return Question("POST", request.path, request.headers, request.body)


def _send_all(client: Client, questions: Sequence[Question]) -> None:
    """Send each several times, in random order, several at once; in between, clients leave or send nonsense."""
    leaving = Question("POST", PREDICT, (*_OCTETS, ("Content-Length", "784")))
    tasks: list[Callable[[], object]] = [partial(client.ask, question) for question in questions]
    tasks += [partial(client.leave, leaving, bytes(100)), client.send_nonsense]
    tasks *= _REPEATS
    random.shuffle(tasks)
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        for done in [threads.submit(task) for task in tasks]:
            done.result()


def _fill_queue(client: Client, largest: Question) -> None:
    """Send several of the largest requests at once, until the queue was full for one."""

    def burst() -> bool:
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            statuses = [status for status, _ in threads.map(client.ask, [largest] * _CONNECTIONS)]
        return http.HTTPStatus.TOO_MANY_REQUESTS in statuses

    wait_until(burst)


def _settled(client: Client) -> list[Line]:
    """Compare until all counts are equal or the time is up."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        saw = client.saw.copy()  # a scrape of the metrics does not include itself
        _, content = client.ask(Question("GET", "/metrics", route="/metrics"))
        counted = _counted(content.decode())
        lines = [Line(series, saw[series], counted[series]) for series in sorted(saw.keys() | counted.keys())]
        if all(line.saw == line.counted for line in lines) or time.monotonic() > deadline:
            return lines
        time.sleep(0.1)


def _counted(text: str) -> Counter[Series]:
    counted: Counter[Series] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in _COUNTED:
                kind, *labels = _COUNTED[sample.name]
                counted[(kind, *(sample.labels[label] for label in labels))] += int(sample.value)
    return counted


def _with_workers(folder: Path, images: GoldenImages, workers: int) -> list[Line]:
    store, released = folder / f"store-{workers}", Released(folder)
    (store / "digits").mkdir(parents=True)
    (port,) = free_ports(1)
    service = digits(released, ())
    environment = {
        **service.environment,
        **ENVIRONMENT,
        "DIGITS_MODEL_STORE": str(store),
        "DIGITS_PORT": str(port),
        "DIGITS_WORKERS": str(workers),
    }
    with Server(service.command, environment, folder / "log", service.folder):
        wait_until(lambda: _listens(port))
        return compare(port, images, lambda: (store / "digits" / "1").symlink_to(released.version))


def _show(workers: int, lines: Iterable[Line]) -> None:
    sys.stdout.write(f"\n{workers} worker{'s' * (workers > 1)}\n{'':50} {'client saw':>12} {'counted':>12}\n")
    for line in lines:
        differs = "" if line.saw == line.counted else "  NOT EQUAL"
        sys.stdout.write(f"{' '.join(line.series):50} {line.saw:12} {line.counted:12}{differs}\n")


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
