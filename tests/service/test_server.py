import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import httpx
import pytest

from tests.service.process import READY_SECONDS, Process
from tests.service.raw_http import connect, read_status, request_head
from tests.service.running import wait_until

DRAIN_SECONDS = 1.5
# The drain ends a moment late, and on a busy machine a while passes between a client's clock reading and its request.
MARGIN_SECONDS = 0.5
ROWS = 200


@pytest.fixture(params=["1", "2"])
def process(released_store: Path, program_cache: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    """A server with one worker, and one with two."""
    drain = {"DIGITS_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    process = Process(released_store, program_cache, DIGITS_WORKERS=request.param, **drain)
    yield process
    process.close()


def test_sigterm_drains_and_exits_with_0(process: Process) -> None:
    """After SIGTERM readiness is refused at once, each prediction of the drain is answered, and the exit code is 0."""
    wait_until(process.ready, READY_SECONDS)
    asked: Queue[tuple[float, str]] = Queue()

    def keep_asking() -> None:
        outcome = "200"
        while outcome == "200":
            began = time.monotonic()
            try:
                outcome = str(process.predict().status_code)
            except httpx.TransportError as error:  # how it must end, but not before the drain is over
                outcome = type(error).__name__
            asked.put((began, outcome))

    with ThreadPoolExecutor(4) as pool, contextlib.ExitStack() as ending:
        ending.callback(process.process.kill)  # ends the requests even if the process does not exit by itself
        for _ in range(4):
            pool.submit(keep_asking)
        wait_until(lambda: asked.qsize() >= 4)
        process.process.send_signal(signal.SIGTERM)
        over = time.monotonic() + DRAIN_SECONDS
        wait_until(lambda: not process.ready())
        refused = process.client.get("/health/ready")
        assert refused.status_code == 503
        assert refused.headers["connection"] == "close"
        assert process.process.wait(timeout=15) == 0
    assert {outcome for began, outcome in asked.queue if began < over - MARGIN_SECONDS} == {"200"}
    assert max(began for began, outcome in asked.queue if outcome == "200") > over - MARGIN_SECONDS


def test_what_is_under_way_at_sigterm_is_answered(process: Process) -> None:
    """A request whose body is still being sent gets its whole answer, during the drain and after the port is closed."""
    wait_until(process.ready, READY_SECONDS)
    headers = ["Content-Type: application/octet-stream", f"Content-Length: {784 * ROWS}"]
    head = request_head("POST", "/v1/predict", headers)
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(connect(process.client)) for _ in range(8)]
        for connection in connections:
            connection.sendall(head + bytes(784 * ROWS - 1))
        process.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not process.ready())
        assert [answered_rows(connection) for connection in connections[:4]] == [ROWS] * 4
        wait_until(lambda: lets_nobody_in(process))
        assert [answered_rows(connection) for connection in connections[4:]] == [ROWS] * 4
    assert process.process.wait(timeout=15) == 0


def test_who_still_sends_what_was_refused_has_the_answer_at_the_end_too(process: Process) -> None:
    """A kept-alive connection with an unfinished body is closed only once the body has been sent."""
    wait_until(process.ready, READY_SECONDS)
    body = bytes(8_000_000)
    headers = ["Content-Type: text/plain", f"Content-Length: {len(body)}"]
    with connect(process.client) as connection:
        connection.sendall(request_head("POST", "/v1/predict", headers))
        assert connection.recv(1, socket.MSG_PEEK)  # refused for its head
        process.process.send_signal(signal.SIGTERM)
        wait_until(lambda: lets_nobody_in(process))
        time.sleep(MARGIN_SECONDS)  # by then all open connections have been told
        connection.sendall(body)
        assert read_status(connection) == 415
    assert process.process.wait(timeout=15) == 0


def test_who_never_stops_sending_what_was_refused_holds_up_no_exit(process: Process) -> None:
    """The client sends byte by byte on a connection that the service has ended."""
    wait_until(process.ready, READY_SECONDS)
    headers = ["Content-Type: text/plain", f"Content-Length: {10**15}", "Connection: close"]
    with connect(process.client) as connection:
        process.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        wait_until(lambda: not process.ready())
        time.sleep(DRAIN_SECONDS / 2)
        connection.sendall(request_head("POST", "/v1/predict", headers))
        assert read_status(connection) == 415
        with contextlib.suppress(OSError):
            while time.monotonic() < started + 15:
                connection.sendall(b"a")
                time.sleep(0.05)
        assert process.process.wait(timeout=15) == 0
    # Sooner than a request's time after the drain, when uvicorn would have ended the connection.
    assert DRAIN_SECONDS * 2 < time.monotonic() - started < DRAIN_SECONDS + 8


def answered_rows(connection: socket.socket) -> int:
    """Send the last byte of a body; return how many predictions the answer has."""
    connection.sendall(bytes(1))
    with contextlib.closing(http.client.HTTPResponse(connection)) as response:
        response.begin()
        assert response.status == 200
        return len(json.loads(response.read())["predictions"])


def lets_nobody_in(process: Process) -> bool:
    """Whether the service refuses new connections."""
    try:
        connect(process.client).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_ends_preparing_too(released_store: Path, tmp_path: Path, workers: str) -> None:
    """A server that is stopped while it prepares a version exits in time with 0, and leaves nothing of it behind."""
    temporary, cache = tmp_path / "temporary", tmp_path / "cache"
    temporary.mkdir()
    settings = {"DIGITS_DRAIN_SECONDS": "0.1", "DIGITS_WORKERS": workers, "TMPDIR": str(temporary)}
    process = Process(released_store, cache, **settings)
    try:
        wait_until(lambda: bool(processes_naming(cache)))
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(timeout=15) == 0
        assert not processes_naming(cache)
        assert not list(temporary.iterdir())
        assert {file.suffix for file in cache.iterdir()} <= {".lock"}
    finally:
        process.close()


def test_a_store_that_hangs_holds_up_no_exit(tmp_path: Path) -> None:
    """A process that waits for its store still answers, and exits with 0 when told to."""
    (tmp_path / "digits").mkdir()
    os.mkfifo(tmp_path / "digits" / "policy.json")  # reading it waits for a writer
    process = Process(tmp_path, tmp_path / "cache", DIGITS_DRAIN_SECONDS="0", DIGITS_WORKERS="1")
    try:
        assert process.client.get("/health/live").status_code == 204
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(timeout=15) == 0
    finally:
        process.close()


def test_nothing_wakes_a_worker_that_nobody_asks_but_sigterm(released_store: Path, program_cache: Path) -> None:
    """Between two looks at the store an idle worker sleeps; it ends as soon as it is told to."""
    seldom = {"DIGITS_POLL_SECONDS": "600", "DIGITS_DRAIN_SECONDS": "0", "DIGITS_WORKERS": "2"}
    process = Process(released_store, program_cache, **seldom)
    try:
        wait_until(process.ready, READY_SECONDS)
        workers = process.workers()
        before = [times_asleep(pid) for pid in workers]
        time.sleep(1)  # in which uvicorn by itself would wake up ten times
        assert max(times_asleep(pid) - slept for pid, slept in zip(workers, before, strict=True)) < 5
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(timeout=15) == 0
    finally:
        process.close()


def times_asleep(pid: int) -> int:
    """How often a process' threads have begun to wait for something."""
    if not Path("/proc/self/task").exists():
        pytest.skip("this system does not show how often a process sleeps")
    lines = [line for file in Path(f"/proc/{pid}/task").glob("*/status") for line in file.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_during_the_start_ends_with_0(
    released_store: Path, program_cache: Path, tmp_path: Path, number: signal.Signals, workers: str
) -> None:
    """Once the address is printed, a signal ends the server with 0, even if nothing serves yet."""
    log = tmp_path / "log"
    process = Process(released_store, program_cache, log, DIGITS_WORKERS=workers, DIGITS_DRAIN_SECONDS="0")
    try:
        process.process.send_signal(number)
        assert process.process.wait(timeout=30) == 0
        assert "Traceback" not in log.read_text()
    finally:
        process.close()


def test_ctrl_c_ends_at_once_without_a_traceback(process: Process) -> None:
    """Ctrl-C ends the process with 0."""
    wait_until(process.ready, READY_SECONDS)
    process.process.send_signal(signal.SIGINT)
    assert process.process.wait(timeout=15) == 0


def test_serving_process_never_imports_tensorflow(process: Process) -> None:
    """TensorFlow stays out of the process that serves: none of its libraries is mapped there."""
    wait_until(process.ready, READY_SECONDS)
    assert process.predict().status_code == 200
    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not show a process's libraries")
    libraries = [Path(f"/proc/{pid}/maps").read_text() for pid in [process.process.pid, *process.workers()]]
    assert "ai_edge_litert" in libraries[-1]
    assert not any("libtensorflow" in mapped for mapped in libraries)


def test_as_many_files_may_be_open_as_the_system_allows(released_store: Path, program_cache: Path) -> None:
    """The shell's usual limit on open files, which includes connections, is raised in each process that serves."""
    if not Path("/proc/self/limits").exists():
        pytest.skip("this system does not show a process's limits")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        process = Process(released_store, program_cache, DIGITS_WORKERS="2")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        wait_until(lambda: [open_files_limit(pid) for pid in process.workers()] == [hard, hard])
    finally:
        process.close()


def open_files_limit(pid: int) -> int:
    """How many files a process may have open."""
    limits = Path(f"/proc/{pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    return int(line.split()[3])


def test_a_connection_that_asks_for_nothing_is_closed_after_a_request_s_time(
    released_store: Path, program_cache: Path
) -> None:
    """The time of a request is also how long its header may take."""
    process = Process(released_store, program_cache, DIGITS_REQUEST_TIMEOUT_SECONDS="1", DIGITS_WORKERS="1")
    try:
        with connect(process.client) as connection:
            assert connection.recv(1) == b""  # `connect` waits for ten seconds
    finally:
        process.close()


def test_killed_server_takes_its_preparing_process_along(released_store: Path, tmp_path: Path) -> None:
    """A server that is killed while it prepares a version leaves no process behind that goes on preparing."""
    cache = tmp_path / "cache"
    process = Process(released_store, cache, DIGITS_DRAIN_SECONDS="0.1")
    try:
        wait_until(lambda: bool(processes_naming(cache)))
    finally:
        process.close()
    wait_until(lambda: not processes_naming(cache))
    assert not list(cache.glob("*.tflite")), "it went on to the end"


def processes_naming(path: Path) -> list[int]:
    """The running processes that have `path` among their arguments."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("this system does not show other processes' arguments")
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = command.read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        if str(path).encode() in arguments:
            found.append(int(command.parent.name))
    return found
