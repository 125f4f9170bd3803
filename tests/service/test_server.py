import os
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import httpx
import pytest

from tests.service.process import READY_SECONDS, Process
from tests.service.raw_http import connect
from tests.service.running import wait_until


@pytest.fixture(params=["1", "2"])
def process(released_store: Path, program_cache: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    """A server with one worker, and one with two."""
    process = Process(released_store, program_cache, DIGITS_DRAIN_SECONDS="0.5", DIGITS_WORKERS=request.param)
    yield process
    process.close()


def test_sigterm_drains_and_exits_with_0(process: Process) -> None:
    """After SIGTERM readiness is refused at once, predictions are still answered, and the process ends with 0."""
    wait_until(process.ready, READY_SECONDS)
    answers: Queue[int] = Queue()
    sending = threading.Event()

    def keep_asking() -> None:
        while True:
            try:
                answers.put(process.predict().status_code)
            except httpx.TransportError:  # the drain window is over and the listener closed
                return
            sending.set()

    asking = threading.Thread(target=keep_asking)
    asking.start()
    assert sending.wait(10)
    process.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not process.ready())
    refused = process.client.get("/health/ready")
    assert refused.status_code == 503
    assert refused.headers["connection"] == "close"
    assert process.process.wait(timeout=15) == 0
    asking.join(timeout=15)
    assert set(answers.queue) == {200}


def test_a_store_that_hangs_holds_up_no_exit(tmp_path: Path) -> None:
    """A process that waits for its store still answers, and ends with 0 when it is told to."""
    (tmp_path / "digits").mkdir()
    os.mkfifo(tmp_path / "digits" / "policy.json")  # reading it waits for a writer
    process = Process(tmp_path, tmp_path / "cache", DIGITS_DRAIN_SECONDS="0", DIGITS_WORKERS="1")
    try:
        assert process.client.get("/health/live").status_code == 204
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(timeout=15) == 0
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
    """A shell's usual limit of files, which connections are too, is raised in each process that serves."""
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
    """A server that is killed while it prepares a version leaves no process behind that goes on with it."""
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
