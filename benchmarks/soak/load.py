"""The mixed load: clients of several kinds that ask all the time and know which answer is right."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.requests import Request, json_image, multipart, octet_image, png, send_over
from benchmarks.stress.answers import Published, Question, bulk_question, own_questions
from benchmarks.stress.threads import threads_of
from service.versions.golden import GoldenImages

_BULK_ROWS = 1000
_WAIT_SECONDS = 20.0
# Between two requests of one client: the load is steady, and leaves the machine room for faults.
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Kind:
    """What one client sends, and the status that it should get: 200 for a good question only."""

    name: str
    request: Request
    status: int
    question: Question | None = None


@dataclass(frozen=True)
class Exchange:
    """One request and what became of it; `outcome` is the status, "wrong answer" or the connection's error."""

    kind: str
    expected: int
    outcome: str
    began: float
    ended: float

    @property
    def is_as_expected(self) -> bool:
        """Whether it got the expected status and a right answer."""
        return self.outcome == str(self.expected)


def kinds(golden: GoldenImages) -> tuple[Kind, ...]:
    """Good bodies of each sort, each with its own image, and bad ones."""
    builders = (json_image, octet_image, png, multipart)
    good = [*own_questions(golden, len(builders), builders), bulk_question(golden, _BULK_ROWS)]
    row = golden.pixels[0]
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
    return (*(Kind(question.request.load, question.request, 200, question) for question in good), *bad)


class Load:
    """One client for each kind; the outcomes of their requests are in `exchanges`."""

    def __init__(self, port: int, kinds: tuple[Kind, ...], published: Published) -> None:
        self._port, self._kinds, self._published = port, kinds, published
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
        if kind.question is None or kind.question.version_of(answer.body, self._published) is None:
            return "wrong answer"
        return "200"
