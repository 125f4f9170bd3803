"""Clients in a closed loop that compare each answer with the first one to the same request."""

import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from benchmarks.requests import Request, send, send_over
from benchmarks.stress.claims import percentile_ms
from benchmarks.stress.threads import threads_of

CONNECTIONS = 32
_WAIT_SECONDS = 20.0


@dataclass
class Clients:
    """Connections that take turns with the requests; what they have seen so far is in `seconds` and `failures`."""

    port: int
    requests: tuple[Request, ...]
    connections: int = CONNECTIONS
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator["Clients"]:
        """Ask for as long as the context is open."""
        asked = [(request, predicted(send(self.port, request).body)) for request in self.requests]
        turns = itertools.islice(itertools.cycle(asked), self.connections)
        with threads_of([partial(self._ask, *turn) for turn in turns]):
            yield self

    def ask_for(self, seconds: float) -> "Clients":
        """Ask for some seconds."""
        with self.asking():
            time.sleep(seconds)
        return self

    def p99_ms(self, first: int = 0) -> float:
        """Of the answers from that one on."""
        return percentile_ms(self.seconds[first:], 99)

    @property
    def account(self) -> str:
        """How many failed, of how many, and how."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(self.failures).most_common())
        return f"{len(self.failures)} of {len(self.seconds):,}{f' ({kinds})' if kinds else ''}"

    def _ask(self, request: Request, expected: bytes | None, stop: threading.Event) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WAIT_SECONDS)
        while not stop.is_set():
            started = time.perf_counter()
            try:
                answer = send_over(connection, request)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.failures.append(type(error).__name__)
                continue
            self.seconds.append(time.perf_counter() - started)
            if answer.status != http.HTTPStatus.OK:
                self.failures.append(str(answer.status))
            elif (found := predicted(answer.body)) is None or found != expected:
                self.failures.append("wrong answer")
        connection.close()


def predicted(body: bytes) -> bytes | None:
    """What is compared: all before the version and the request's id, unparsed, because a parsed megabyte takes time."""
    return body.partition(b'"model":')[0] if body.startswith(b'{"predictions":') else None
