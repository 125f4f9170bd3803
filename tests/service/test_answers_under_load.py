import json
import random
import shutil
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.engines.tensorflow import TensorFlowEngine
from service.versions.golden import read_golden
from tests.service.networks import outputs, write_model
from tests.service.process import READY_SECONDS, Process
from tests.service.raw_http import connect, request_head
from tests.service.running import wait_until

BYTES = "application/octet-stream"
CLIENTS = 3
# Leaves the machine some time to prepare the new version in.
PAUSE_SECONDS = 0.02
# Probabilities are written with six decimals; the program itself is within 1e-5 of the SavedModel.
TOLERANCE = 2e-5


class Images:
    """Images to send, levels uint8 [n, 784], and the answers of each version's SavedModel to them, float32 [n, 10]."""

    def __init__(self, version: Path) -> None:
        digits = np.rint(read_golden(version).pixels * 255).astype(np.uint8)
        noise = np.random.default_rng(0).integers(1, 256, (64, 784), np.uint8)
        self.levels = np.concatenate([digits, noise])
        self.expected: dict[int, NDArray[np.float32]] = {}
        self.learn(1, version)

    def learn(self, number: int, version: Path) -> None:
        """Note the answers of a version's SavedModel, run in TensorFlow."""
        pixels = self.levels.astype(np.float32) / np.float32(255)
        self.expected[number] = TensorFlowEngine(version).run(pixels)[:, :10]


def body_of(levels: NDArray[np.uint8], chance: random.Random) -> tuple[bytes, str]:
    """A body with the images in a random accepted format, and its media type."""
    if len(levels) == 1 and chance.random() < 0.6:
        return body_of_one(levels[0], chance)
    form = chance.choice(["bytes", "rows", "grids", "fractions"])
    if form == "bytes":
        return levels.tobytes(), BYTES
    if form == "rows":
        return json.dumps({"instances": levels.tolist(), "max_value": 255}).encode(), "application/json"
    if form == "grids":
        grids = levels.reshape(-1, 28, 28).tolist()
        return json.dumps({"instances": grids, "max_value": 255}).encode(), "application/json"
    return json.dumps({"instances": (levels / 255).tolist()}).encode(), "application/json"


def body_of_one(levels: NDArray[np.uint8], chance: random.Random) -> tuple[bytes, str]:
    """One image as most clients send it: as numbers or, if it is a digit, as a picture of MNIST's size, unchanged."""
    is_noise = levels[0] > 0  # MNIST's digits have an empty frame; noise is refused as a picture
    if is_noise or chance.random() < 0.5:
        return json.dumps({"pixels": levels.tolist(), "max_value": 255}).encode(), "application/json"
    png = BytesIO()
    Image.fromarray(levels.reshape(28, 28)).save(png, "PNG")
    return png.getvalue(), "image/png"


def ask_until(stop: threading.Event, service: Process, images: Images, seed: int, versions: set[int]) -> None:
    """Send random images in random numbers and formats, leave early now and then, and compare each answer."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    with httpx.Client(base_url=service.client.base_url, timeout=30) as client:
        while not stop.wait(PAUSE_SECONDS):
            rows = [chance.randrange(len(images.levels)) for _ in range(chance.choice([1, 1, 1, 5, 17, 130]))]
            body, content_type = body_of(images.levels[rows], chance)
            if chance.random() < 0.1:
                leave_early(service, body, content_type)
                continue
            answer = client.post("/v1/predict", content=body, headers={"Content-Type": content_type})
            assert answer.status_code == 200, answer.text
            found = [prediction["probabilities"] for prediction in answer.json()["predictions"]]
            version = answer.json()["model"]["version"]
            np.testing.assert_allclose(found, images.expected[version][rows], atol=TOLERANCE)
            versions.add(version)


def leave_early(service: Process, body: bytes, content_type: str) -> None:
    """Send a request and close the connection without reading the answer."""
    with connect(service.client) as connection:
        headers = [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        connection.sendall(request_head("POST", "/v1/predict", headers) + body)


def publish_another_network(store: Path, images: Images, folder: Path) -> None:
    """Publish version 2, whose answers are unrelated to those of version 1."""
    weights = np.random.default_rng(2).normal(0, 0.1, (784, 10)).astype(np.float32)

    def network(pixels: Any) -> dict[str, Any]:
        import tensorflow as tf

        return outputs(tf.nn.softmax(pixels @ tf.constant(weights)))

    pixels = read_golden(store / "digits" / "1").pixels
    exponents = np.exp(pixels @ weights)
    golden = folder / "golden.npz"
    np.savez(golden, pixels=pixels, probabilities=exponents / exponents.sum(axis=1, keepdims=True))
    write_model(folder / "made", network, golden, 2)
    images.learn(2, folder / "made" / "digits" / "2")
    (folder / "made" / "digits" / "2").rename(store / "digits" / "2")


def test_answers_under_load_are_the_savedmodel_s(released_store: Path, program_cache: Path, tmp_path: Path) -> None:
    """Each row gets the SavedModel's answer to it, although requests mix, clients leave and a new version is loaded."""
    store = shutil.copytree(released_store, tmp_path / "store")
    images = Images(store / "digits" / "1")
    cache = shutil.copytree(program_cache, tmp_path / "cache")
    service = Process(store, cache, DIGITS_WORKERS="2")
    stop, versions, failures = threading.Event(), set[int](), list[BaseException]()

    def client(seed: int) -> None:
        try:
            ask_until(stop, service, images, seed, versions)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    try:
        wait_until(service.ready, READY_SECONDS)
        clients = [threading.Thread(target=client, args=(seed,)) for seed in range(CLIENTS)]
        for thread in clients:
            thread.start()
        publish_another_network(store, images, tmp_path)
        wait_until(lambda: 2 in versions or bool(failures), READY_SECONDS)
        time.sleep(1)
        stop.set()
        for thread in clients:
            thread.join(timeout=60)
    finally:
        stop.set()
        service.close()
    if failures:
        pytest.fail(repr(failures[0]))
    assert versions == {1, 2}
