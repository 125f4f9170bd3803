"""`--scale service=3` with deploy/scale.yml: three replicas of the service behind the proxy."""

import os
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.container.stack import Stack, poll, predicting, running

pytestmark = pytest.mark.container

_REPLICAS = 3
# Light in the upper half, dark in the lower; which digit it is read as does not matter here.
_REQUEST = {"pixels": [1.0] * 392 + [0.0] * 392}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running, with three replicas."""
    folder = tmp_path_factory.mktemp("scale")
    data = folder / "data"
    data.mkdir()
    project = f"digits-scale-test-{os.getpid()}"
    with running(project, folder, data, "--scale", f"service={_REPLICAS}", beside=("deploy/scale.yml",)) as stack:
        yield stack


def test_stopping_and_starting_a_replica_costs_no_request(stack: Stack) -> None:
    """A replica is stopped and started again while clients ask: no request fails, and in the end all three answer."""
    replica = stack.containers("service")[0]
    with predicting(stack.service, 8, 30, json=_REQUEST) as answers:
        stack.docker("stop", "--time", "30", replica)
        time.sleep(2)  # longer than the proxy takes to see that it is gone
        stack.docker("start", replica)
        poll(lambda: stack.docker("inspect", "--format", "{{.State.Health.Status}}", replica), _is_healthy, 120)
        poll(lambda: _answering(stack), lambda instances: len(instances) == _REPLICAS, 120)
    assert set(answers) == {200}
    assert answers[200] > 100


def test_prometheus_scrapes_every_replica(stack: Stack) -> None:
    """Prometheus has a target for each replica, and each is up."""
    poll(lambda: stack.query('up{job="digits"}'), lambda up: list(up.values()) == [1.0] * _REPLICAS, 120)


def test_answers_come_as_the_service_gave_them(stack: Stack) -> None:
    """The proxy passes on a valid request id and sets one otherwise; the answer is the service's own."""
    named = httpx.get(f"{stack.service}/v1/models/nothing", headers={"X-Request-ID": "mine"})
    assert (named.status_code, named.headers["X-Request-ID"], named.json()["request_id"]) == (404, "mine", "mine")
    assert named.headers["Content-Type"] == "application/problem+json"
    unnamed = httpx.post(f"{stack.service}/v1/predict", json=_REQUEST, headers={"X-Request-ID": "not one, but two"})
    assert unnamed.status_code == 200
    assert unnamed.headers["X-Request-ID"] == unnamed.json()["request_id"] != "not one, but two"


def test_without_a_replica_the_proxy_answers_with_a_problem(stack: Stack) -> None:
    """Without replicas the answer is a problem like every other error; once they are back, requests succeed."""
    replicas = stack.containers("service")
    stack.docker("kill", *replicas)
    try:
        answer = poll(lambda: httpx.get(f"{stack.service}/health/ready"), _is_unavailable, 60)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "1"
        problem = answer.json()
        assert (problem["type"], problem["instance"], problem["status"]) == ("/docs#not-ready", "/health/ready", 503)
        assert problem["request_id"] == answer.headers["X-Request-ID"]
    finally:
        stack.docker("start", *replicas)
    poll(lambda: httpx.get(f"{stack.service}/health/ready").status_code, lambda status: status == 200, 60)


def _answering(stack: Stack) -> dict[str, float]:
    """Return the replicas that have predicted within the last 15 seconds, according to Prometheus."""
    return stack.query('sum by (instance) (increase(digits_predictions_total{job="digits"}[15s])) > 0')


def _is_healthy(status: str) -> bool:
    return status == "healthy"


def _is_unavailable(answer: httpx.Response) -> bool:
    return answer.status_code == 503
