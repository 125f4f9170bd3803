"""The mixed load: clients of several kinds that ask all the time, and know what they should be answered."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.requests import Request, json_image, multipart, octet_image, octets, png, send_over
from benchmarks.stress.clients import predicted
from benchmarks.stress.threads import threads_of
from service.golden import GoldenImages

_BULK_ROWS = 1000
_WAIT_SECONDS = 20.0
# Between two requests of one client: the load is steady, and leaves the machine room for faults.
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Kind:
    """What one client sends, and the status that it should be answered with."""

    name: str
    request: Request
    status: int


@dataclass(frozen=True)
class Exchange:
    """One request and what became of it; `outcome` is the status, "wrong answer" or what broke the connection."""

    kind: str
    expected: int
    outcome: str
    began: float
    ended: float

    @property
    def is_as_expected(self) -> bool:
        """Whether it was answered with what it should be."""
        return self.outcome == str(self.expected)


def kinds(golden: GoldenImages) -> tuple[Kind, ...]:
    """Good bodies of each sort, and bad ones."""
    row = golden.pixels[0]
    many = golden.pixels[[at % len(golden.pixels) for at in range(_BULK_ROWS)]]
    good = [json_image(row), octet_image(row), png(row), multipart(row), octets(many)]
    json_type, png_type = (("Content-Type", "application/json"),), (("Content-Type", "image/png"),)
    noise = np.random.default_rng(0).bytes(2000)
    bad = [
        Kind("not JSON", Request("", "/v1/predict", json_type, b'{"pixels": [0.5,'), 400),
        Kind("783 numbers", Request("", "/v1/predict", json_type, b'{"pixels": [%b]}' % b",".join([b"0"] * 783)), 422),
        Kind("NaN", Request("", "/v1/predict", json_type, b'{"pixels": [%b]}' % b",".join([b"NaN"] * 784)), 422),
        Kind("no picture", Request("", "/v1/predict", png_type, noise), 422),
        Kind("picture cut short", Request("", "/v1/predict", png_type, png(row).body[:-30]), 422),
        Kind("no media type", Request("", "/v1/predict", (), b"1"), 415),
        Kind("no such path", Request("", "/v1/nothing", json_type, b"{}"), 404),
    ]
    return (*(Kind(request.load, request, 200) for request in good), *bad)


class Load:
    """One client for each kind; what has become of their requests is in `exchanges`."""

    def __init__(self, port: int, kinds: tuple[Kind, ...]) -> None:
        self._port, self._kinds = port, kinds
        self._expected: dict[str, bytes] = {}
        self.exchanges: list[Exchange] = []

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Ask for as long as the context is open."""
        with threads_of([partial(self._ask, kind) for kind in self._kinds]):
            yield self

    def _ask(self, kind: Kind, stop: threading.Event) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_WAIT_SECONDS)
        pauses = np.random.default_rng(list(kind.name.encode()))
        while not stop.wait(pauses.uniform(0, 2 * _PAUSE_SECONDS)):
            began = time.monotonic()
            outcome = self._outcome(connection, kind)
            self.exchanges.append(Exchange(kind.name, kind.status, outcome, began, time.monotonic()))
        connection.close()

    def _outcome(self, connection: http.client.HTTPConnection, kind: Kind) -> str:
        try:
            answer = send_over(connection, kind.request)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return type(error).__name__
        if answer.status != http.HTTPStatus.OK:
            return str(answer.status)
        # The same network under every version: the predictions never change.
        found = predicted(answer.body)
        if found is None or found != self._expected.setdefault(kind.name, found):
            return "wrong answer"
        return "200"
