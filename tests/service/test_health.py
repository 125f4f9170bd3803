from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.bodies.media_types import BYTES
from service.state import Drain
from tests.service.assertions import assert_problem
from tests.service.conftest import StartService
from tests.service.fakes import FakeLoader, write_version
from tests.service.raw_http import connect, everything_from, read_status, request_head
from tests.service.running import running_service, wait_until
from tests.service.test_predict import PATH, predict


@pytest.fixture
def drain() -> Drain:
    """The switch that SIGTERM turns."""
    return Drain()


@pytest.fixture
def drainable(tmp_path: Path, drain: Drain) -> Iterator[httpx.Client]:
    """A running service that `drain` can tell to stop."""
    with running_service(tmp_path, drain) as client:
        yield client


def test_a_service_with_a_version_is_ready(client: httpx.Client) -> None:
    """Summary and readiness name the version that serves."""
    summary = client.get("/health").json()

    assert summary["status"] == "ready"
    assert summary["reason"] is None
    assert summary["model"] == {"name": "digits", "version": 1}
    assert summary["loaded_at"]
    assert client.get("/health/ready").json() == summary


def test_a_service_without_a_version_waits(tmp_path: Path, start_service: StartService) -> None:
    """It is alive and says what it waits for; it becomes ready when a version appears."""
    client = start_service(ready=False)

    assert client.get("/health/live").status_code == 204
    assert client.get("/health").json()["status"] == "waiting"
    response = client.get("/health/ready")
    assert "python -m trainer" in assert_problem(response, 503, "not-ready")["detail"]
    assert int(response.headers["Retry-After"]) >= 1
    write_version(tmp_path / "store", 1)
    wait_until(lambda: client.get("/health/ready").status_code == 200)


def test_a_service_of_which_every_version_is_rejected_gives_the_reasons(
    store: Path, start_service: StartService
) -> None:
    """Readiness names each version that may not serve, and why."""
    write_version(store, 2)
    client = start_service(FakeLoader(rejected={1: "it is damaged", 2: "it is foreign"}), ready=False)

    wait_until(lambda: "1: it is damaged" in client.get("/health").json()["reason"])
    detail = assert_problem(client.get("/health/ready"), 503, "not-ready")["detail"]

    assert "2: it is foreign" in detail


def test_a_draining_service_is_alive_and_answers_but_is_not_ready(drainable: httpx.Client, drain: Drain) -> None:
    """Load balancers turn away as soon as a stop begins, while requests that still arrive are answered."""
    drain.draining = True

    assert_problem(drainable.get("/health/ready"), 503, "not-ready")
    assert drainable.get("/health").json()["status"] == "draining"
    assert drainable.get("/health/live").status_code == 204
    response = predict(drainable, bytes(784), BYTES)
    assert response.status_code == 200
    assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("headers", [[], ["X-Request-Timeout-Seconds: 9"]], ids=["shortcut", "route"])
def test_what_was_begun_before_a_stop_ends_its_connection(
    drainable: httpx.Client, drain: Drain, headers: list[str]
) -> None:
    """What counts is the state when the answer is sent: a slow request from before the stop ends its connection too."""
    headers = [f"Content-Type: {BYTES}", "Content-Length: 784", "Expect: 100-continue", *headers]
    with connect(drainable) as connection:
        connection.sendall(request_head("POST", PATH, headers))
        assert read_status(connection) == 100  # the service waits for the body
        drain.draining = True
        connection.sendall(bytes(784))
        answer = everything_from(connection)

    assert b"HTTP/1.1 200 OK\r\n" in answer
    assert b"\r\nconnection: close\r\n" in answer


def test_trouble_with_the_store_leaves_a_service_ready(store: Path, client: httpx.Client) -> None:
    """A policy that cannot be read is reported, and the current version goes on serving."""
    (store / "digits/policy.json").write_text("{")

    wait_until(lambda: bool(client.get("/health").json()["trouble"]))

    assert "policy.json" in client.get("/health").json()["trouble"]
    assert client.get("/health/ready").status_code == 200
