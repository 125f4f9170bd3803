"""A contender is started, checked against the golden images, and ended with everything it started."""

import os
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from benchmarks import contenders, requests
from benchmarks.contenders import Contender, serving, take_turns
from benchmarks.processes import ServerError, descendants
from benchmarks.requests import Answer
from service.versions.golden import GoldenImages

GOLDEN = GoldenImages(np.zeros((2, 784), np.float32), np.full((2, 10), 0.1, np.float32))
SERVER = textwrap.dedent("""
    import itertools, json, subprocess, sys
    from http.server import BaseHTTPRequestHandler, HTTPServer

    statuses = itertools.chain(map(int, sys.argv[3:]), itertools.repeat(200))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status = next(statuses)
            answer = {"outputs": [{"data": [float(sys.argv[2])] * 10}]} if status == 200 else {}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    # A child that its parent does not wait for, in a session of its own: a daemon.
    subprocess.Popen(["sleep", "60"], start_new_session=True)
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
""")


def contender(*command: str) -> Contender:
    return Contender(
        name="made-up",
        title="Made up",
        command=(sys.executable, *command),
        builders=(requests.json_image,),
        probabilities_at=("outputs", 0, "data"),
        loads=(),
    )


def test_right_answers_are_served_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """Memory and CPU count the daemon too, and it ends with the server."""
    before = descendants(os.getpid())
    with serving(contender("-c", SERVER, "{port}", "0.1"), GOLDEN, tmp_path) as (server, port):
        assert port > 0
        assert len(descendants(os.getpid()) - before) == 2
        assert server.memory_bytes() > 1_000_000
        assert server.cpu_seconds() > 0
    assert descendants(os.getpid()) <= before


def test_a_server_of_which_one_process_is_not_ready_is_waited_for(tmp_path: Path) -> None:
    """An answer shows only that one process is ready; the next connection may reach another."""
    with serving(contender("-c", SERVER, "{port}", "0.1", "503", "200", "503"), GOLDEN, tmp_path) as (_, port):
        assert requests.send(port, requests.json_image(GOLDEN.pixels[0])).status == 200


def test_wrong_answers_are_not_timed(tmp_path: Path) -> None:
    """If its probabilities differ from the golden images', that is the reported reason."""
    with (
        pytest.raises(ServerError, match=r"differ from the golden images' by 0\.1"),
        serving(contender("-c", SERVER, "{port}", "0.2"), GOLDEN, tmp_path),
    ):
        pass


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    """The others go on, and the reason is kept."""
    broken = contender("-c", "raise SystemExit('no such model')")
    (figures,) = take_turns([broken], GOLDEN, tmp_path, repeats=2, seconds=1, say=lambda _: None)
    assert figures.failure == "it ended at once: no such model"
    assert figures.points == ()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting has a bound."""
    monkeypatch.setattr(contenders, "START_SECONDS", 0.3)
    with (
        pytest.raises(ServerError, match=r"not ready after 0\.3 seconds"),
        serving(contender("-c", "import time; time.sleep(60)"), GOLDEN, tmp_path),
    ):
        pass


@pytest.mark.parametrize("body", [b"no", b"{}", b'{"outputs": []}', b'{"outputs": [{"data": [1, 2]}]}'])
def test_an_answer_without_probabilities_is_an_error(body: bytes) -> None:
    """The error shows the answer."""
    with pytest.raises(ServerError, match="no probabilities in its answer"):
        contender().probabilities_in(Answer(200, body))
