"""A client that counts what it sees of each request: its status, its problem, the digits that are predicted.

`counters` compares this with the service's own counts.
"""

import http.client
import json
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field

from service.problems import ClientGone

KEY = "key-of-the-counters"
"""The API key that every request carries."""
PREDICT = "/v1/predict"
_WAIT_SECONDS = 120.0

Series = tuple[str, ...]
"""What is counted, and its labels except the version."""


@dataclass(frozen=True)
class Question:
    """A request and the route that it is counted under; a body that is None is announced, but never sent."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = b""
    route: str = PREDICT


@dataclass
class Client:
    """Asks over a new connection each time, so that any worker may answer, and counts what it sees."""

    port: int
    saw: Counter[Series] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, question: Question) -> tuple[int, bytes]:
        """Send it, count the answer, and give its status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WAIT_SECONDS)
        try:
            headers = {"X-API-Key": KEY, **dict(question.headers)}
            connection.request(question.method, question.path, question.body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        self._note(question, response.status, content)
        return response.status, content

    def leave(self, question: Question, body: bytes) -> None:
        """Send the head and a part of the body, and close the connection."""
        head = [f"{question.method} {question.path} HTTP/1.1", "Host: 127.0.0.1", f"X-API-Key: {KEY}"]
        head += [f"{name}: {value}" for name, value in question.headers]
        with socket.create_connection(("127.0.0.1", self.port), timeout=_WAIT_SECONDS) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        problem = json.dumps({"type": f"/docs#{ClientGone.reason}"}).encode()
        self._note(question, ClientGone.status, problem)

    def send_nonsense(self) -> None:
        """Send bytes that are not HTTP, and count the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_WAIT_SECONDS) as connection:
            connection.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
            response = http.client.HTTPResponse(connection)
            response.begin()
            self._note(Question("other", "", route="unmatched"), response.status, response.read(), is_timed=False)

    def statuses(self) -> set[int]:
        """Every status that was seen."""
        return {int(series[1]) for series in self.saw if series[0] == "requests"}

    def _note(self, question: Question, status: int, content: bytes, *, is_timed: bool = True) -> None:
        with self._lock:
            self.saw[("requests", str(status), question.method, question.route)] += 1
            self.saw[("timed", question.route)] += is_timed
            if status >= http.HTTPStatus.BAD_REQUEST:
                self.saw[("rejected", json.loads(content)["type"].partition("#")[2])] += 1
            elif question.route == PREDICT:
                for prediction in json.loads(content)["predictions"]:
                    self.saw[("predictions", str(prediction["digit"]))] += 1
