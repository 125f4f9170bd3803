"""Clients in a closed loop that check whether each answer is right."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from benchmarks.requests import send_over
from benchmarks.stress.answers import RELEASED_ONLY, Published, Question
from benchmarks.stress.claims import percentile_ms
from benchmarks.stress.threads import threads_of

CONNECTIONS = 32
_WAIT_SECONDS = 20.0


@dataclass
class Clients:
    """A connection for each question; the results so far are in `seconds`, `failures` and `versions`."""

    port: int
    questions: tuple[Question, ...]
    published: Published = field(default_factory=lambda: RELEASED_ONLY)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    versions: set[int] = field(default_factory=set)

    @contextmanager
    def asking(self) -> Iterator["Clients"]:
        """Ask for as long as the context is open."""
        with threads_of([partial(self._ask, question) for question in self.questions]):
            yield self

    def ask_for(self, seconds: float) -> "Clients":
        """Ask for some seconds."""
        with self.asking():
            time.sleep(seconds)
        return self

    def p99_ms(self, first: int = 0) -> float:
        """The 99th percentile of the answers from index `first` on."""
        return percentile_ms(self.seconds[first:], 99)

    @property
    def account(self) -> str:
        """How many failed, of how many, and how."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(self.failures).most_common())
        return f"{len(self.failures)} of {len(self.seconds):,}{f' ({kinds})' if kinds else ''}"

    def _ask(self, question: Question, stop: threading.Event) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WAIT_SECONDS)
        while not stop.is_set():
            started = time.perf_counter()
            try:
                answer = send_over(connection, question.request)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.failures.append(type(error).__name__)
                continue
            self.seconds.append(time.perf_counter() - started)
            if answer.status != http.HTTPStatus.OK:
                self.failures.append(str(answer.status))
            elif (version := question.version_of(answer.body, self.published)) is None:
                self.failures.append("wrong answer")
            else:
                self.versions.add(version)
        connection.close()
