"""A real Prometheus scrapes a real service while something goes wrong, and after it is fixed."""

import json
import os
import shutil
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.telemetry.drift import MINIMUM_ROWS
from tests.prometheus.conftest import Start
from tests.prometheus.server import Prometheus
from tests.service.process import READY_SECONDS, Process
from tests.service.running import keep_doing, wait_until

pytestmark = pytest.mark.prometheus

_BYTES = {"Content-Type": "application/octet-stream"}


def test_killed_service(prometheus: Prometheus, start: Start) -> None:
    """A service that is killed is down; started again, it is up."""
    service = start()
    service.process.kill()
    prometheus.wait_for("DigitsTargetDown")
    start()


def test_killed_workers(prometheus: Prometheus, start: Start) -> None:
    """Workers that are killed again and again raise an alert, although the service keeps answering."""
    service = start()
    for _ in range(2):
        _kill_workers(service)
        wait_until(service.ready, READY_SECONDS)
    prometheus.wait_for("DigitsWorkerRestarts")
    prometheus.wait_for_silence()


def test_damaged_version(prometheus: Prometheus, start: Start, store: Path) -> None:
    """A damaged version is in quarantine until it is removed; the previous one keeps serving."""
    service = start()
    _publish_again(store, 2, damaged=True)
    prometheus.wait_for("DigitsVersionQuarantined", "DigitsReloadFailing")
    assert service.predict().headers["X-Model-Version"] == "1"
    shutil.rmtree(store / "digits" / "2")
    prometheus.wait_for_silence()


def test_cache_that_cannot_be_written_to(
    prometheus: Prometheus, start: Start, store: Path, program_cache: Path, tmp_path: Path
) -> None:
    """A version whose program cannot be written to the cache is postponed until it can be; then it serves."""
    cache = Path(shutil.copytree(program_cache, tmp_path / "cache"))
    service = start(DIGITS_CACHE=str(cache))
    cache.rename(tmp_path / "apart")
    cache.touch()  # a file in place of the folder, so that even root cannot write there
    _publish_again(store, 2)
    prometheus.wait_for("DigitsVersionPostponed")
    assert service.predict().headers["X-Model-Version"] == "1"
    cache.unlink()
    (tmp_path / "apart").rename(cache)
    wait_until(lambda: service.predict().headers["X-Model-Version"] == "2", READY_SECONDS)
    prometheus.wait_for_silence()


def test_policy_that_cannot_be_followed(prometheus: Prometheus, start: Start, store: Path) -> None:
    """A policy that pins a missing version raises an alert, which clears when the policy is removed."""
    start()
    (store / "digits/policy.json").write_text('{"serve": 99}')
    prometheus.wait_for("DigitsReloadFailing")
    (store / "digits/policy.json").unlink()
    prometheus.wait_for_silence()


def test_empty_store(prometheus: Prometheus, start: Start, store: Path) -> None:
    """Without a version the service is not ready; with one it is."""
    (store / "digits/1").rename(store / "apart")
    start(ready=False)
    prometheus.wait_for("DigitsNoReadyVersion", "DigitsNotReady")
    (store / "apart").rename(store / "digits/1")
    prometheus.wait_for_silence()


def test_drain_that_does_not_end(prometheus: Prometheus, start: Start) -> None:
    """A service that drains for too long is not ready; when it has ended it is down."""
    service = start(DIGITS_DRAIN_SECONDS="4")
    service.process.terminate()
    prometheus.wait_for("DigitsNotReady", "DigitsNoReadyVersion")
    prometheus.wait_for("DigitsTargetDown")
    assert service.process.wait(timeout=20) == 0
    start()


def test_overload(prometheus: Prometheus, start: Start, store: Path) -> None:
    """Bulk that a tiny queue has no room for is refused, which burns the error budget; alerts clear when it stops."""
    service = start(DIGITS_QUEUE_LIMIT="64", DIGITS_MAX_INSTANCES="64")
    rows = np.resize(_confident_rows(store), (64, 784))
    with keep_doing(lambda: _predict(service, rows), threads=12) as statuses:
        prometheus.wait_for("DigitsQueueNearFull", "DigitsFailuresBurnFast", "DigitsFailuresBurn")
    assert set(statuses) == {200, 429}
    prometheus.wait_for_silence()


def test_first_refusals(prometheus: Prometheus, start: Start, store: Path) -> None:
    """The first refusals of a service raise an alert, even if they are over before the next scrape."""
    service = start(DIGITS_QUEUE_LIMIT="64", DIGITS_MAX_INSTANCES="64")
    rows = np.resize(_confident_rows(store), (64, 784))
    with keep_doing(lambda: _predict(service, rows), threads=12) as statuses:
        wait_until(lambda: 429 in statuses)
    prometheus.wait_for("DigitsQueueNearFull")
    prometheus.wait_for_silence()


def test_slow_requests(prometheus: Prometheus, start: Start, store: Path) -> None:
    """Requests that take 0.1 s burn the budget for slow ones; quick ones afterwards do not."""
    service = start()
    with keep_doing(lambda: _predict_slowly(service), threads=4) as statuses:
        prometheus.wait_for("DigitsSlowBurnFast", "DigitsSlowBurn")
    assert set(statuses) == {200}
    with keep_doing(lambda: _predict(service, _confident_rows(store)), threads=1):
        prometheus.wait_for_silence()


def test_drift(prometheus: Prometheus, start: Start, store: Path) -> None:
    """The same picture again and again raises an alert; enough pictures that the version was tested on clear it."""
    service = start()
    rows = _confident_rows(store)
    for _ in range(MINIMUM_ROWS):
        assert _predict(service, rows[:1]) == 200
    prometheus.wait_for("DigitsDrift")
    for _ in range(4):
        assert _predict(service, np.resize(rows, (8000, 784))) == 200
    prometheus.wait_for_silence()


def test_two_versions_side_by_side(
    prometheus: Prometheus, start: Start, store: Path, program_cache: Path, tmp_path: Path, port: int
) -> None:
    """Two services that serve different versions raise an alert until one is gone."""
    start()
    other_store = Path(shutil.copytree(store, tmp_path / "other"))
    _publish_again(other_store, 2)
    other = Process(other_store, program_cache, DIGITS_WORKERS="1")
    try:
        wait_until(lambda: other.ready() and other.predict().headers["X-Model-Version"] == "2", READY_SECONDS)
        prometheus.scrape([port, other.client.base_url.port or 0])
        prometheus.wait_for("DigitsVersionsDiffer")
        prometheus.scrape([port])
        prometheus.wait_for_silence()
    finally:
        other.close()


def _kill_workers(service: Process) -> None:
    """Kill both workers, and wait until two others are there."""
    before = service.workers()
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(service.workers()) == 2 and not set(service.workers()) & set(before))


def _publish_again(store: Path, number: int, *, damaged: bool = False) -> None:
    """Publish version 1 once more under another number."""
    folder = store / "digits" / f".publishing-{number}"
    shutil.copytree(store / "digits/1", folder)
    manifest = folder / "assets.extra/manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": number}))
    if damaged:
        (folder / "saved_model.pb").write_bytes(b"not what the manifest says")
    folder.rename(store / "digits" / str(number))


def _confident_rows(store: Path) -> NDArray[np.uint8]:
    """The golden images that the version is sure of, the same number of each digit; uint8 [n, 784]."""
    with np.load(store / "digits/1/assets.extra/golden.npz") as golden:
        pixels, probabilities = golden["pixels"], golden["probabilities"]
    sure, digits = probabilities.max(axis=1) > 0.97, probabilities.argmax(axis=1)
    each = [np.flatnonzero(sure & (digits == digit)) for digit in range(10)]
    fewest = min(map(len, each))
    assert fewest
    chosen = np.concatenate([rows[:fewest] for rows in each])
    levels: NDArray[np.uint8] = np.rint(pixels[chosen] * 255).astype(np.uint8)
    return levels


def _predict(service: Process, rows: NDArray[np.uint8]) -> int:
    return service.client.post("/v1/predict", content=rows.tobytes(), headers=_BYTES).status_code


def _predict_slowly(service: Process) -> int:
    """Send a request whose body comes 0.1 s after its head."""
    head = b"POST /v1/predict HTTP/1.0\r\nContent-Type: application/octet-stream\r\nContent-Length: 784\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.client.base_url.port or 0), timeout=20) as connection:
        connection.sendall(head)
        time.sleep(0.1)
        connection.sendall(bytes(784))
        return int(connection.recv(65536).split()[1])
