"""`docker compose up`, driven as a user drives it."""

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image, ImageDraw

from tests.container.stack import Stack, poll, predicting, running

pytestmark = pytest.mark.container

# Training the fast profile takes a minute on 2 idle cores, and was seen to take 10 on slow, busy ones.
_TRAINING_SECONDS = 1500
_FLOOR = 0.99  # the accuracy that profile promises; where there is a Docker Engine, .ci/run leaves it to this test
# It takes 2 on 2 busy cores; rebuilding TensorFlow's layer, or waiting for a training, would take far longer.
_SECOND_UP_SECONDS = 30
# Each compiled program with its inode number, which it would not keep if it was compiled again.
_PROGRAMS = "import pathlib; print(*sorted((str(f), f.stat().st_ino) for f in pathlib.Path('/cache').iterdir()))"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running on a machine without MNIST and without a network."""
    folder = tmp_path_factory.mktemp("stack")
    data = folder / "data"
    data.mkdir()
    with running(f"digits-test-{os.getpid()}", folder, data, environment={"REVISION": "a-commit"}) as stack:
        yield stack


@pytest.mark.parametrize("service", ["service", "trainer"])
def test_image_names_its_commit(stack: Stack, service: str) -> None:
    """The shell's REVISION becomes the image's label."""
    assert stack.inspect(service, '{{index .Config.Labels "org.opencontainers.image.revision"}}') == "a-commit"


def test_released_model_serves_when_up_returns(stack: Stack) -> None:
    """`up --wait` returns with the released model serving as version 1."""
    answer = httpx.get(f"{stack.service}/health/ready")
    assert answer.status_code == 200
    assert answer.json()["model"] == {"name": "digits", "version": 1}


def test_predicts_a_drawn_picture(stack: Stack) -> None:
    """A picture sent to the published port is recognised."""
    answer = httpx.post(
        f"{stack.service}/v1/predict", content=_picture_of_a_zero(), headers={"Content-Type": "image/png"}
    )
    assert answer.status_code == 200
    assert answer.headers["X-Model-Version"] == "1"
    assert answer.json()["predictions"][0]["digit"] == 0


def test_predicts_an_array(stack: Stack) -> None:
    """784 numbers sent to the published port are recognised."""
    answer = httpx.post(f"{stack.service}/v1/predict", json={"pixels": _array_of_a_one()})
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["digit"] == 1


def test_prometheus_finds_predictions(stack: Stack) -> None:
    """Prometheus scrapes the service: a prediction made now is found by a query."""
    httpx.post(f"{stack.service}/v1/predict", json={"pixels": _array_of_a_one()}).raise_for_status()

    found = 'sum(digits_predictions_total{job="digits", digit="1", version="1"}) > 0'
    poll(lambda: stack.query(found), bool, timeout_seconds=120)


def test_prometheus_has_loaded_the_rules(stack: Stack) -> None:
    """Every group of rules is there, and none of its rules fails."""

    def ask() -> set[str]:
        groups = httpx.get(f"{stack.prometheus}/api/v1/rules").raise_for_status().json()["data"]["groups"]
        return {rule["health"] for group in groups for rule in group["rules"]}

    poll(ask, lambda health: health == {"ok"}, timeout_seconds=120)


def test_prometheus_keeps_exemplars(stack: Stack) -> None:
    """A prediction's request id is found through the series of the durations that it was counted in."""
    asked: dict[str, str | float] = {"query": "digits_http_request_duration_seconds_bucket", "start": time.time() - 60}
    request_ids: list[str] = []

    def ask() -> str:
        # Repeated, because a bucket takes one exemplar a second, which may be the request of another test.
        answer = httpx.post(f"{stack.service}/v1/predict", json={"pixels": _array_of_a_one()})
        request_ids.append(answer.headers["X-Request-ID"])
        return httpx.get(f"{stack.prometheus}/api/v1/query_exemplars", params=asked | {"end": time.time()}).text

    poll(ask, lambda found: any(request_id in found for request_id in request_ids), timeout_seconds=120)


def test_keys_and_traces_reach_the_service(stack: Stack) -> None:
    """Variables that an operator sets for `up` reach the container, and the image has the packages that traces need."""
    told = replace(stack, environment={**stack.environment, "DIGITS_API_KEYS": "a-key"}).compose("config", "service")
    assert "DIGITS_API_KEYS: a-key" in told
    check = "import os, service.telemetry.tracing; print('DIGITS_API_KEYS' in os.environ)"
    assert stack.python("service", check) == "False"


@pytest.mark.parametrize("service", ["service", "prometheus", "trainer"])
def test_no_container_runs_as_root(stack: Stack, service: str) -> None:
    """Every container has a user other than root, no capabilities and a read-only root file system."""
    template = "{{.Config.User}} {{.HostConfig.CapDrop}} {{.HostConfig.ReadonlyRootfs}}"
    user, capabilities, read_only = stack.inspect(service, template).split()
    assert user.partition(":")[0] not in {"", "0", "root"}
    assert (capabilities, read_only) == ("[ALL]", "true")


def test_service_can_write_only_its_cache_and_tmp(stack: Stack) -> None:
    """From inside the service, neither the program nor the model store can be changed."""
    program = """
import os
for folder in ("/", "/opt/digits", "/models", "/cache", "/tmp"):
    try:
        open(folder + "/probe", "w").close()
        os.remove(folder + "/probe")
    except OSError:
        continue
    print(folder, end=" ")
print(os.getuid(), os.getgid())
"""
    assert stack.python("service", program) == "/cache /tmp 10001 10001"


def test_restart_finds_its_program(stack: Stack) -> None:
    """A restarted service serves the program that it had compiled before, and does not compile again."""
    before = stack.python("service", _PROGRAMS)
    stack.compose("restart", "service")
    poll(lambda: httpx.get(f"{stack.service}/health/ready").status_code, lambda code: code == 200, timeout_seconds=120)
    assert ".tflite" in before
    assert stack.python("service", _PROGRAMS) == before


def test_volumes_survive_down(stack: Stack) -> None:
    """After `down`, `up` serves the same version from the program compiled before; Prometheus still has its data."""
    poll(lambda: stack.query('up{job="digits"} == 1'), bool, timeout_seconds=120)
    programs, moment = stack.python("service", _PROGRAMS), time.time()
    stack.compose("down")
    stack.up()
    assert httpx.get(f"{stack.service}/health/ready").json()["model"]["version"] == 1
    assert stack.python("service", _PROGRAMS) == programs
    assert stack.query(f'up{{job="digits"}} @ {moment:.0f}')


@pytest.mark.parametrize("clients", [8, 64])
def test_memory_limit_holds_under_bulk(stack: Stack, clients: int) -> None:
    """Clients that send 10,000 images over and over kill no worker, and single images are still answered."""

    def restarts() -> str:
        metrics = httpx.get(f"{stack.service}/metrics").text.splitlines()
        return next(line for line in metrics if line.startswith("digits_worker_restarts_total"))

    before = restarts()
    bulk = bytes(784) * 10_000
    headers = {"Content-Type": "application/octet-stream"}
    with predicting(stack.service, clients, 60, content=bulk, headers=headers) as answers:
        for _ in range(10):
            answer = httpx.post(f"{stack.service}/v1/predict", json={"pixels": _array_of_a_one()}, timeout=60)
            assert answer.status_code == 200
            time.sleep(1)
    # A request that does not fit into the queue is refused; one that waits past its deadline is given up.
    assert answers.keys() <= {200, 429, 504}
    assert restarts() == before
    assert stack.inspect("service", "{{.State.OOMKilled}} {{.RestartCount}}") == "false 0"


def test_trainer_without_mnist_leaves_the_released_model(stack: Stack) -> None:
    """Without MNIST the trainer says so and exits with 0."""
    exit_code, said = stack.trainer_ends(timeout_seconds=300)
    assert exit_code == 0
    assert "not training" in said


def test_second_up_leaves_the_service_running(stack: Stack) -> None:
    """`up --build --wait` on a running stack takes seconds, and restarts neither service nor Prometheus."""
    before = [stack.inspect(name, "{{.Id}} {{.State.StartedAt}}") for name in ("service", "prometheus")]
    stack.trainer_ends(timeout_seconds=300)
    began = time.monotonic()
    stack.up()
    assert time.monotonic() - began < _SECOND_UP_SECONDS
    after = [stack.inspect(name, "{{.Id}} {{.State.StartedAt}}") for name in ("service", "prometheus")]
    assert after == before


@pytest.mark.skipif("DIGITS_MNIST" not in os.environ, reason="DIGITS_MNIST names no mnist.npz to train on")
def test_trained_version_takes_over_without_a_failed_request(tmp_path: Path) -> None:
    """Under load the service switches to the trained version, as good as promised; a second `up` trains nothing."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copyfile(os.environ["DIGITS_MNIST"], data / "mnist.npz")
    with running(f"digits-training-test-{os.getpid()}", tmp_path, data) as stack:
        with ThreadPoolExecutor(max_workers=4) as clients:
            asked = [clients.submit(_predict_until_version, stack, 2, _TRAINING_SECONDS) for _ in range(4)]
        assert all({1, 2} == set(client.result()) for client in asked)

        exit_code, _ = stack.trainer_ends(timeout_seconds=300)
        assert exit_code == 0
        stack.up()
        exit_code, said = stack.trainer_ends(timeout_seconds=300)
        assert exit_code == 0
        assert "up to date" in said
        assert httpx.get(f"{stack.service}/health/ready").json()["model"]["version"] == 2
        trained = httpx.get(f"{stack.service}/v1/models/digits/versions/2").json()["manifest"]
        assert (trained["recipe"]["profile"], trained["dataset"]["canonical"]) == ("fast", True)
        assert trained["metrics"]["test_accuracy"] >= _FLOOR


def _predict_until_version(stack: Stack, version: int, timeout_seconds: float) -> list[int]:
    """Ask twenty times a second until `version` answers; return the versions that did. No request may fail."""
    pixels = _array_of_a_one()
    versions: list[int] = []
    deadline = time.monotonic() + timeout_seconds
    with httpx.Client() as client:
        while version not in versions:
            assert time.monotonic() < deadline, f"version {version} did not serve within {timeout_seconds} s"
            answer = client.post(f"{stack.service}/v1/predict", json={"pixels": pixels})
            assert answer.status_code == 200, answer.text
            assert answer.json()["predictions"][0]["digit"] == 1
            versions.append(answer.json()["model"]["version"])
            time.sleep(0.05)
    return versions


def _picture_of_a_zero() -> bytes:
    """A PNG as a drawing program makes it: dark on white, larger than MNIST's, off centre."""
    picture = Image.new("L", (240, 200), color=255)
    ImageDraw.Draw(picture).ellipse((60, 20, 150, 170), outline=0, width=16)
    file = BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def _array_of_a_one() -> list[float]:
    """MNIST's form: 28x28, light on dark, in [0, 1]; an upright stroke, 3 wide and 20 high."""
    return [float(4 <= row < 24 and 13 <= column < 16) for row in range(28) for column in range(28)]
