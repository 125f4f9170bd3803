"""The download: whole or not at all, and bounded in size and time."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trainer.data import DataUnavailableError
from trainer.download import Origin, fetch

CONTENT = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@contextmanager
def served(content: bytes, *, promised: int | str | None = None, hang: bool = False) -> Iterator[Origin]:
    """Serves bytes on the loopback interface, perhaps with another length promised, or hanging after them."""
    finished = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) if promised is None else promised))
            self.end_headers()
            self.wfile.write(content)
            if hang:
                self.wfile.flush()
                finished.wait(30)

        def log_message(self, *_: object) -> None:
            """Keeps the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Origin(
            url=f"http://127.0.0.1:{server.server_port}/mnist.npz",
            sha256=DIGEST,
            max_bytes=len(CONTENT) + 1,
            silence_seconds=5.0,
            deadline_seconds=20.0,
        )
    finally:
        finished.set()
        server.shutdown()
        thread.join()
        server.server_close()


def ignore(done: int, total: int) -> None:
    """Takes progress and does nothing."""


def assert_unavailable(path: Path, origin: Origin, reason: str) -> None:
    """The download fails for this reason, says where to put the file, and leaves nothing behind."""
    with pytest.raises(DataUnavailableError, match=reason) as caught:
        fetch(path, origin, ignore)
    assert str(path) in str(caught.value)
    assert [file for file in path.parent.parent.rglob("*") if file.is_file()] == []


def test_whole_file_arrives(tmp_path: Path) -> None:
    """The file arrives whole, under its own name only, with progress up to the last byte."""
    path = tmp_path / "digits" / "mnist.npz"
    told: list[tuple[int, int]] = []
    with served(CONTENT) as origin:
        fetch(path, origin, lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    """A whole file in the cache needs no network."""
    path = tmp_path / "mnist.npz"
    path.write_bytes(CONTENT)
    fetch(path, Origin(url="http://127.0.0.1:9/", sha256=DIGEST), ignore)
    assert path.read_bytes() == CONTENT


def test_damaged_file_in_the_cache_is_replaced(tmp_path: Path) -> None:
    """The cache is Digits' own, so a damaged file in it is fetched again."""
    path = tmp_path / "mnist.npz"
    path.write_bytes(CONTENT[:-1])
    with served(CONTENT) as origin:
        fetch(path, origin, ignore)
    assert path.read_bytes() == CONTENT


def test_other_content_is_refused(tmp_path: Path) -> None:
    """Bytes with another hash never get the file's name."""
    with served(CONTENT[::-1]) as origin:
        assert_unavailable(tmp_path / "digits" / "mnist.npz", origin, "SHA-256")


def test_short_content_is_refused(tmp_path: Path) -> None:
    """A connection that closes too early leaves no partial file."""
    with served(CONTENT[:1000], promised=len(CONTENT)) as origin:
        assert_unavailable(tmp_path / "digits" / "mnist.npz", origin, "SHA-256|Incomplete")


@pytest.mark.parametrize("promised", ["", "many", "-3"])
def test_length_that_is_no_number_is_not_believed(tmp_path: Path, promised: str) -> None:
    """Whatever a proxy does to Content-Length, the whole file is taken or the user is told; nothing else is raised."""
    path = tmp_path / "digits" / "mnist.npz"
    told: list[int] = []
    with served(CONTENT, promised=promised) as origin:
        fetch(path, origin, lambda _, total: told.append(total))
    assert path.read_bytes() == CONTENT
    assert set(told) == {0}


@pytest.mark.parametrize("promised", [None, ""], ids=["said", "not said"])
def test_endless_content_is_refused(tmp_path: Path, promised: str | None) -> None:
    """More bytes than the limit are refused: at once if the header states them, else as they arrive."""
    with served(CONTENT * 3, promised=promised) as origin:
        assert_unavailable(tmp_path / "digits" / "mnist.npz", origin, "more than")


def test_silent_server_is_given_up(tmp_path: Path) -> None:
    """The wait for a server that falls silent midway is bounded."""
    with served(CONTENT[:1000], promised=len(CONTENT), hang=True) as origin:
        impatient = replace(origin, silence_seconds=0.2)
        assert_unavailable(tmp_path / "digits" / "mnist.npz", impatient, "timed out")


def test_slow_download_is_given_up(tmp_path: Path) -> None:
    """Even if bytes keep coming, the download ends at its deadline."""
    with served(CONTENT) as origin:
        impatient = replace(origin, deadline_seconds=0.0)
        assert_unavailable(tmp_path / "digits" / "mnist.npz", impatient, "longer than")


def test_no_network_is_unavailable(tmp_path: Path) -> None:
    """A port where nobody listens means that there is no data, not that something broke."""
    with served(CONTENT) as origin:
        closed = origin
    assert_unavailable(tmp_path / "digits" / "mnist.npz", closed, "refused")
