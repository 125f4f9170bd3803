"""Made-up figures, and servers of a few lines."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.figures import Conditions, Point, Run, ServerFigures

# Probabilities that a network might give for the picture of a seven.
SEVEN = [0.01] * 7 + [0.9, 0.02, 0.01]


def run(**changes: Any) -> Run:
    """A run of 1,000 requests in 2 seconds, with some members changed."""
    members: dict[str, Any] = {
        "requests": 1000,
        "seconds": 2.0,
        "p50_ms": 1.5,
        "p99_ms": 9.0,
        "status_errors": 0,
        "socket_errors": 0,
        "cpu_seconds": 0.5,
        "peak_bytes": 90_000_000,
    }
    return Run(**{**members, **changes})


def point(*runs: Run, load: str = "JSON, one image", rows: int = 1, connections: int = 32) -> Point:
    """A point of these runs, or of one made-up run."""
    return Point(load, rows, connections, runs or (run(),))


def server(name: str, *points: Point, failure: str | None = None) -> ServerFigures:
    """The figures of a server of that name."""
    return ServerFigures(name.lower(), name, "serve", {"python": "3.11"}, "one worker", points, (), failure)


def conditions() -> Conditions:
    """Conditions of a machine that does not exist."""
    return Conditions("Abacus", 2, 8 * 1024**3, "Linux 1", "3.11.0", "abc", "2026-01-01", 0.0, 3, 10.0, "measure")


def prediction(row: Sequence[float], version: int = 1) -> dict[str, Any]:
    """The service's answer to a single image for which the network gives these probabilities."""
    said = {"digit": row.index(max(row)), "confidence": max(row), "probabilities": row}
    return {"predictions": [said], "model": {"name": "digits", "version": version}, "request_id": "1"}


@contextlib.contextmanager
def answering(answer: Callable[[bytes], tuple[int, Any]]) -> Iterator[int]:
    """A server that is ready and answers each body with a status and a document; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, {})

        def do_POST(self) -> None:
            self._send(*answer(self.rfile.read(int(self.headers["Content-Length"]))))

        def _send(self, status: int, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running.server_address[1]
        finally:
            running.shutdown()
            thread.join()
