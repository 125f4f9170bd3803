"""Each peer is complete: a program, pinned requirements, a body that its own server understands."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import PEERS, PROGRAMS, Peer

LOCK = (Path(__file__).parents[2] / "requirements.lock").read_text()
ROW = np.linspace(0, 1, 784, dtype=np.float32)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_requirements_are_pinned_and_share_tensorflow(peer: Peer) -> None:
    """Every package has one version, and TensorFlow is the version that wrote the SavedModel."""
    lines = (PROGRAMS / peer.name / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\w.]+", pin) for pin in pins)
    assert any(pin.startswith(peer.package) for pin in pins)
    locked = re.search(r"^tensorflow-cpu==([\w.]+)", LOCK, re.MULTILINE)
    assert locked
    assert f"tensorflow-cpu=={locked.group(1)}" in pins


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_body_holds_the_image_as_json(peer: Peer) -> None:
    """The 784 numbers are in it, in order."""
    request = peer.json_image(ROW)
    numbers = re.search(rb"\[([\d.,e-]{1000,})\]", request.body)
    assert json.loads(request.body)
    assert numbers
    np.testing.assert_allclose(json.loads(numbers.group(0)), ROW, atol=1e-6)


def test_the_binary_body_is_json_and_then_the_pixels() -> None:
    """The header says where the JSON ends; the JSON says how many bytes follow."""
    (peer,) = [peer for peer in PEERS if peer.binary]
    assert peer.binary
    request = peer.binary(ROW)
    length = int(dict(request.headers)["Inference-Header-Content-Length"])
    (described,) = json.loads(request.body[:length])["inputs"]
    assert described["parameters"]["binary_data_size"] == len(request.body) - length
    np.testing.assert_array_equal(np.frombuffer(request.body[length:], np.float32), ROW)
