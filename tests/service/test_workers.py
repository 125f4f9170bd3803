import contextlib
import functools
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.process import READY_SECONDS, Process
from tests.service.raw_http import connect, read_status, request_head
from tests.service.running import wait_until
from tests.service.scraping import scrape

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc for the workers")


@pytest.fixture
def service(released_store: Path, program_cache: Path) -> Iterator[Process]:
    """A service with two workers that serve."""
    process = Process(released_store, program_cache, DIGITS_WORKERS="2", DIGITS_DRAIN_SECONDS="0.2")
    wait_until(process.ready, READY_SECONDS)
    yield process
    process.close()


def answered_by_anyone(service: Process) -> bool:
    """Ask over a new connection, so that any worker may answer."""
    headers = {"Content-Type": "application/octet-stream"}
    address = f"{service.client.base_url}/v1/predict"
    return httpx.post(address, content=bytes(784), headers=headers, timeout=20).status_code == 200


def test_every_scrape_has_the_numbers_of_all_workers(service: Process) -> None:
    """Whichever worker a scrape reaches, it shows what all of them have answered."""
    assert all(answered_by_anyone(service) for _ in range(30))
    for _ in range(6):
        with httpx.Client(base_url=service.client.base_url) as client:
            seen = scrape(client)
        assert seen.total("digits_predictions_total") == 30
        assert seen.value("digits_http_requests_total", method="POST", route="/v1/predict", status="200") == 30


def test_every_scrape_has_the_exemplars_of_all_workers(service: Process) -> None:
    """OpenMetrics shows a slow request's id, whichever worker answered it and whichever is scraped."""
    address, accept = f"{service.client.base_url}", {"Accept": "application/openmetrics-text; version=1.0.0"}
    for number in range(12):
        httpx.get(f"{address}/v1/models", headers={"X-Request-ID": f"fast-{number}"}, timeout=20)
    with connect(service.client) as connection:
        headers = ["Content-Length: 784", "X-Request-Timeout-Seconds: 0.3", "X-Request-ID: slow"]
        connection.sendall(request_head("POST", "/v1/predict", ["Content-Type: application/octet-stream", *headers]))
        assert read_status(connection) == 504

    def has_both() -> bool:
        text = httpx.get(f"{address}/metrics", headers=accept, timeout=20).text
        lines = [line for line in text.splitlines() if "digits_http_request_duration_seconds_bucket" in line]
        slow = [line for line in lines if 'request_id="slow"' in line and 'route="/v1/predict"' in line]
        fast = [line for line in lines if 'request_id="fast-' in line and 'route="/v1/models"' in line]
        return bool(fast) and len(slow) == 1 and 'le="0.25"' not in slow[0]

    wait_until(has_both)
    assert all(has_both() for _ in range(6))


def test_killed_worker_is_replaced(service: Process) -> None:
    """Another worker takes the killed one's place, goes on with its numbers, and no new connection is refused."""
    assert all(answered_by_anyone(service) for _ in range(10))
    before = service.workers()
    os.kill(before[0], signal.SIGKILL)
    killed = time.monotonic()
    assert all(answered_by_anyone(service) for _ in range(20))
    wait_until(lambda: len(service.workers()) == 2 and before[0] not in service.workers())
    wait_until(lambda: scrape(service.client).value("digits_worker_restarts_total") == 1)
    assert time.monotonic() - killed < 20
    assert scrape(service.client).total("digits_predictions_total") == 30
    assert before[1] in service.workers()


def test_workers_find_what_they_need_in_memory(service: Process) -> None:
    """The process that forks workers imports the code that serves, so that a replacement need not."""
    assert "ai_edge_litert" in Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "ai_edge_litert" in Path(f"/proc/{service.workers()[0]}/maps").read_text()
    assert len([*Path(f"/proc/{service.process.pid}/task").iterdir()]) == 1  # only then is it safe to fork


def test_workers_that_are_killed_again_and_again_refuse_nobody(service: Process) -> None:
    """A worker that has served will serve again: connections wait for a replacement, also if it is killed, twice."""
    for _ in range(3):
        for worker in service.workers():
            os.kill(worker, signal.SIGKILL)
        assert all(answered_by_anyone(service) for _ in range(10))
        wait_until(lambda: len(service.workers()) == 2)


def listening_sockets(service: Process) -> int:
    """How many sockets listen on the service's port, as the kernel says."""
    port = f":{service.client.base_url.port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(address.endswith(port) and state == "0A" for _, address, _, state, *_ in lines)


def test_a_worker_that_cannot_start_is_reported_and_takes_no_connections(
    released_store: Path, program_cache: Path, tmp_path: Path
) -> None:
    """While a worker keeps ending, the others get every connection; it is retried ever more rarely, and comes back."""
    keys, log = tmp_path / "keys", tmp_path / "log"
    keys.write_text("secret")
    settings = {"DIGITS_WORKERS": "2", "DIGITS_API_KEYS_FILE": str(keys), "DIGITS_DRAIN_SECONDS": "0.2"}
    service = Process(released_store, program_cache, log, **settings)

    def restarts() -> float:
        return scrape(service.client).value("digits_worker_restarts_total")

    try:
        wait_until(service.ready, READY_SECONDS)
        assert listening_sockets(service) == 2
        keys.write_text("")  # as when a secret is being replaced
        os.kill(service.workers()[0], signal.SIGKILL)
        wait_until(lambda: "in a row" in log.read_text())
        wait_until(lambda: listening_sockets(service) == 1)
        with httpx.Client() as other:
            url = f"{service.client.base_url}/health/ready"
            for _ in range(30):
                assert other.get(url, headers={"Connection": "close"}, timeout=5).status_code == 200
        wait_until(lambda: restarts() >= 4)
        assert listening_sockets(service) == 1
        keys.write_text("secret")
        wait_until(lambda: listening_sockets(service) == 2)
        assert restarts() < 12
    finally:
        service.close()


def test_a_worker_that_never_gets_to_serve_keeps_nobody_from_being_ready(
    released_store: Path, program_cache: Path
) -> None:
    """Once the other workers get its connections, readiness does not wait for it."""
    service = Process(released_store, program_cache, DIGITS_WORKERS="2", DIGITS_DRAIN_SECONDS="0.2")

    def ready_without_the_second() -> bool:
        for pid in service.workers():
            with contextlib.suppress(FileNotFoundError):
                if Path(f"/proc/{pid}/comm").read_text() == "worker 1\n":
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(httpx.TransportError):  # a request that waited for the killed worker
            return httpx.get(f"{service.client.base_url}/health/ready", timeout=0.2).status_code == 200
        return False

    try:
        wait_until(ready_without_the_second, READY_SECONDS)
    finally:
        service.close()


def test_a_replacement_without_a_store_leaves_all_to_those_who_serve(
    released_store: Path, program_cache: Path, tmp_path: Path
) -> None:
    """The worker with the version in memory answers everything until the store, and so the other worker, is back."""
    store, log = tmp_path / "store", tmp_path / "log"
    shutil.copytree(released_store, store)
    service = Process(store, program_cache, log, DIGITS_WORKERS="2", DIGITS_DRAIN_SECONDS="0.2")
    try:
        wait_until(service.ready, READY_SECONDS)
        store.rename(tmp_path / "away")
        os.kill(service.workers()[0], signal.SIGKILL)
        wait_until(lambda: listening_sockets(service) == 1)
        assert "the other workers serve version 1 on from memory" in log.read_text()
        assert all(answered_by_anyone(service) for _ in range(30))
        (tmp_path / "away").rename(store)
        wait_until(lambda: listening_sockets(service) == 2)
        assert all(answered_by_anyone(service) for _ in range(30))
    finally:
        service.close()


def test_a_worker_that_keeps_crashing_takes_no_connections_while_nobody_accepts_them(
    released_store: Path, program_cache: Path, tmp_path: Path
) -> None:
    """A worker that served but soon ends is awaited three times; then others get all connections until it serves."""
    log = tmp_path / "log"
    service = Process(released_store, program_cache, log, DIGITS_WORKERS="2", DIGITS_DRAIN_SECONDS="0.2")

    def replaced_or_given_up(served: int) -> bool:
        return log.read_text().count("serving version") == served or "in a row" in log.read_text()

    try:
        wait_until(service.ready, READY_SECONDS)
        other = service.workers()[1]
        for crashes in range(1, 20):  # four in a row that end within ten seconds: on a busy machine not the first four
            assert listening_sockets(service) == 2
            (crashing,) = {*service.workers()} - {other}
            os.kill(crashing, signal.SIGKILL)
            wait_until(functools.partial(replaced_or_given_up, 2 + crashes))
            if "in a row" in log.read_text():
                break
        wait_until(lambda: listening_sockets(service) == 1)
        assert crashes >= 4
        assert "has failed 4 times in a row" in log.read_text()
        assert all(answered_by_anyone(service) for _ in range(10))
        wait_until(lambda: listening_sockets(service) == 2)
    finally:
        service.close()


# `python -m service` with two workers, which looks for hanging ones often enough for a test to wait for it.
IMPATIENT = """
import functools
import sys
from service.telemetry import logs
from service.connections.listeners import address, listen
from service.server import serve
from service.settings import Settings
from service.workers import Workers
logs.configure("text")
listeners = listen("127.0.0.1", 0, 2)
print(address(listeners[0]), flush=True)
sys.exit(Workers(listeners, functools.partial(serve, Settings()), stop_seconds=1.0, look_seconds=1.2).run())
"""


def test_a_worker_that_hangs_is_replaced(released_store: Path, program_cache: Path, tmp_path: Path) -> None:
    """A worker that hangs is logged, killed and replaced; a worker that is merely idle stays."""
    log = tmp_path / "log"
    service = Process(released_store, program_cache, log, program=IMPATIENT, DIGITS_DRAIN_SECONDS="0.2")
    try:
        wait_until(service.ready, READY_SECONDS)
        hanging, other = service.workers()
        os.kill(hanging, signal.SIGSTOP)
        wait_until(lambda: hanging not in service.workers() and len(service.workers()) == 2)
        assert other in service.workers()
        assert log.read_text().count("hangs") == 1
        assert "was ended by SIGKILL" in log.read_text()
        assert all(answered_by_anyone(service) for _ in range(10))
    finally:
        service.close()


def test_worker_that_is_asked_to_stop_is_replaced(service: Process) -> None:
    """SIGTERM to one worker lets it finish, and another takes its place."""
    before = service.workers()
    os.kill(before[1], signal.SIGTERM)
    wait_until(lambda: before[1] not in service.workers() and len(service.workers()) == 2)
    assert all(answered_by_anyone(service) for _ in range(10))


def test_workers_end_with_the_process_that_started_them(service: Process) -> None:
    """After kill -9 of the first process no worker is left behind."""
    workers = service.workers()
    service.process.kill()
    service.process.wait()
    wait_until(lambda: not any(Path(f"/proc/{worker}/cmdline").exists() and _alive(worker) for worker in workers))


def _alive(process: int) -> bool:
    """Whether the process still runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
