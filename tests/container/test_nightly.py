"""Profile `train-nightly`: training on a schedule, with nights of ten seconds and the test's own data."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.container.stack import Stack, poll, running
from tests.synthetic import draw_arrays, write_npz

pytestmark = pytest.mark.container

# A run takes some 15 seconds on 2 idle cores.
_RUN_SECONDS = 300


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder that stands in for ./data, with digits: without them a night fails, and so does `up --wait`."""
    folder = tmp_path / "data"
    folder.mkdir()
    _replace_data(folder, draw_arrays(training_images=6000, test_images=500))
    return folder


@pytest.fixture
def stack(tmp_path: Path, data: Path) -> Iterator[Stack]:
    """Everything running, with the profile, on a machine without a network."""
    schedule = {
        "COMPOSE_PROFILES": "train-nightly",
        "DIGITS_PROFILE": "tutorial",
        "DIGITS_TRAIN_EVERY_SECONDS": "10",
    }
    with running(f"digits-nightly-test-{os.getpid()}", tmp_path, data, environment=schedule) as stack:
        yield stack


def test_nights_publish_or_refuse_and_go_on(stack: Stack, data: Path) -> None:
    """A night publishes a good version, refuses a bad one, and trains nothing twice; without data it is unhealthy."""
    poll(lambda: _serving(stack), lambda version: version > 1, _RUN_SECONDS)  # the other trainer's, or a first night's

    before = _said(stack)
    _replace_data(data, draw_arrays(training_images=6500, test_images=500))
    said = poll(lambda: _said(stack)[len(before) :], _has_published, _RUN_SECONDS)
    published = _published(said)
    poll(lambda: _serving(stack), lambda version: version == published, _RUN_SECONDS)

    (data / "mnist.npz").unlink()
    poll(lambda: _said(stack), lambda said: "failed        with 1" in said, _RUN_SECONDS)
    poll(lambda: _health(stack), lambda health: health == "unhealthy", _RUN_SECONDS)

    arrays = draw_arrays(training_images=1000, test_images=500)
    arrays["y_test"] = np.roll(arrays["y_test"], 1)  # the labels have nothing to do with the images
    _replace_data(data, arrays)
    refused = "refused       by the quality gate"
    poll(lambda: _said(stack), lambda said: "next run" in said.partition(refused)[2], _RUN_SECONDS)
    assert _serving(stack) == published
    poll(lambda: _health(stack), lambda health: health == "healthy", _RUN_SECONDS)
    assert stack.inspect("nightly-trainer", "{{.State.Status}} {{.RestartCount}}") == "running 0"


def _replace_data(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Put mnist.npz there in one step: a night may begin at any moment."""
    unfinished = write_npz(folder / "unfinished.npz", **arrays)
    unfinished.chmod(0o644)
    unfinished.replace(folder / "mnist.npz")


def _said(stack: Stack) -> str:
    return stack.compose("logs", "--no-log-prefix", "nightly-trainer")


def _published(said: str) -> int:
    """The version that was published last; 0 if none was."""
    return max(map(int, re.findall(r"published     version (\d+)", said)), default=0)


def _has_published(said: str) -> bool:
    """Whether a night has published, and a later one found nothing new: a night may still be at the old data."""
    return f"up to date    version {_published(said)}" in said.rpartition("published")[2]


def _health(stack: Stack) -> str:
    return stack.inspect("nightly-trainer", "{{.State.Health.Status}}")


def _serving(stack: Stack) -> int:
    version: int = httpx.get(f"{stack.service}/health/ready").raise_for_status().json()["model"]["version"]
    return version
