"""SavedModels whose files are whole but that must not serve; they are really prepared, as in the service."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from service.versions.golden import read_golden
from service.versions.loading import Loader, PreparingFailed
from service.versions.manifest import GOLDEN_PATH, MANIFEST_PATH, VersionRejected
from service.versions.model_store import ModelStore
from tests.service.fakes import manifest_document
from tests.service.networks import Network, outputs, write_model


def uniform(pixels: Any) -> dict[str, Any]:
    """Answers the same for every image, which the golden images contradict."""
    return outputs(pixels[:, :10] * 0.0 + 0.1)


def not_a_number(pixels: Any) -> dict[str, Any]:
    return outputs(pixels[:, :10] * float("nan"))


def other_signature(pixels: Any) -> dict[str, Any]:
    return {"digits": pixels[:, :10]}


def hanging(pixels: Any) -> dict[str, Any]:
    """Loops until a sum of squares is negative, that is, for ever."""
    import tensorflow as tf

    looped = tf.while_loop(lambda x: tf.reduce_sum(x * x) >= 0, lambda x: [tf.minimum(x + 1, 9)], [pixels[:, :10]])
    return outputs(looped[0])


def eating(pixels: Any) -> dict[str, Any]:
    """Allocates 16 GiB for 64 images."""
    import tensorflow as tf

    eaten = tf.fill([tf.shape(pixels)[0], 2**26], tf.reduce_sum(pixels))
    return outputs(pixels[:, :10] + tf.reduce_sum(eaten, axis=1, keepdims=True))


def raising(pixels: Any) -> dict[str, Any]:
    """Accepts only images of 785 pixels, and fails when it runs."""
    import tensorflow as tf

    return outputs(tf.reshape(pixels, [-1, 785])[:, :10])


def unknown_to_litert(pixels: Any) -> dict[str, Any]:
    """Uses an operation that LiteRT does not have."""
    import tensorflow as tf

    return outputs(tf.math.betainc(1.0, 1.0, pixels[:, :10]))


# Here it is not known whether the version is to blame, so it is tried again, at growing intervals.
NOT_FINAL = ("hanging", "eating")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (uniform, "the SavedModel"),
        (not_a_number, "the SavedModel"),
        (other_signature, "has no output probabilities"),
        (raising, "TensorFlow cannot run the SavedModel: "),
        (hanging, "took longer than 15 seconds"),
        (eating, "ResourceExhausted|memory|was ended by signal"),
    ],
)
def test_a_bad_network_is_rejected_with_a_reason(
    network: Network, reason: str, released_store: Path, tmp_path: Path
) -> None:
    """A network that is wrong, hangs or eats memory ends only its own process, and the reason says which it was."""
    write_model(tmp_path / "store", network, released_store / "digits/1/assets.extra/golden.npz")
    (stored,) = ModelStore(tmp_path / "store", "digits").look().versions
    loader = Loader("litert", tmp_path / "cache", 8, prepare_timeout_seconds=15.0 if network is hanging else 120.0)
    with pytest.raises(VersionRejected, match=reason) as raised:
        asyncio.run(loader(stored))
    assert isinstance(raised.value, PreparingFailed) == (network.__name__ in NOT_FINAL)
    assert str(tmp_path) not in str(raised.value)
    assert not list((tmp_path / "cache").glob("*.tflite"))


@pytest.mark.parametrize("engine", ["litert", "tensorflow"])
def test_a_saved_model_that_does_not_parse_is_rejected(
    engine: Literal["litert", "tensorflow"], released_store: Path, tmp_path: Path
) -> None:
    """Clients without a key see the reason, so it hides the store's path, also as TensorFlow escapes it."""
    store = tmp_path / "entrepôt"
    write_unparsable(store, released_store / "digits/1/assets.extra/golden.npz")
    (stored,) = ModelStore(store, "digits").look().versions
    with pytest.raises(VersionRejected, match=r"TensorFlow cannot load .*<version>/saved_model") as raised:
        asyncio.run(Loader(engine, tmp_path / "cache", 8)(stored))
    assert not isinstance(raised.value, PreparingFailed)
    assert str(tmp_path) not in str(raised.value)


def write_unparsable(store: Path, golden: Path) -> None:
    """Write a version whose files match its manifest, but whose saved_model.pb is not a SavedModel."""
    contents = {"saved_model.pb": b"no SavedModel", GOLDEN_PATH: golden.read_bytes()}
    folder = store / "digits" / "1"
    (folder / "assets.extra").mkdir(parents=True)
    files = {}
    for path, content in contents.items():
        (folder / path).write_bytes(content)
        files[path] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    document = manifest_document(files=files)
    document["metrics"]["is_digit_threshold"] = 0.5
    (folder / MANIFEST_PATH).write_text(json.dumps(document))


def test_a_network_that_litert_cannot_run_is_rejected_with_the_engine_that_can(
    released_store: Path, tmp_path: Path
) -> None:
    """The network is sane, so the reason says what to do; the rejection is final until the version's files change."""
    golden = tmp_path / "golden.npz"
    pixels = read_golden(released_store / "digits/1").pixels
    np.savez_compressed(golden, pixels=pixels, probabilities=pixels[:, :10])  # as `betainc` with ones gives back
    write_model(tmp_path / "store", unknown_to_litert, golden)
    (stored,) = ModelStore(tmp_path / "store", "digits").look().versions
    with pytest.raises(VersionRejected, match=r"LiteRT cannot run this network.*; DIGITS_ENGINE=") as raised:
        asyncio.run(Loader("litert", tmp_path / "cache", 8)(stored))
    assert not isinstance(raised.value, PreparingFailed)
