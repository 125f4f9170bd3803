"""SavedModels whose files are whole, and that must not serve all the same: really prepared, as the service does it."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.loading import Loader
from service.manifest import MANIFEST_PATH, VersionRejected
from service.model_store import ModelStore
from tests.service.fakes import manifest_document

Network = Callable[[Any], dict[str, Any]]


def write_model(store: Path, network: Network, golden: Path) -> None:
    """Write version 1 with this network and these golden images, and a manifest that matches."""
    import tensorflow as tf

    folder = store / "digits" / "1"
    module = tf.Module()
    module.network = tf.function(network, input_signature=[tf.TensorSpec([None, 784], tf.float32, "pixels")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.network})
    (folder / "assets.extra").mkdir()
    # These networks do not tell digits from other things, so the scores of the one that does are left out.
    with np.load(golden) as images:
        pixels, probabilities = images["pixels"], images["probabilities"]
    np.savez_compressed(folder / "assets.extra" / "golden.npz", pixels=pixels, probabilities=probabilities)
    files = {
        file.relative_to(folder).as_posix(): {
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in folder.rglob("*")
        if file.is_file()
    }
    (folder / MANIFEST_PATH).write_text(json.dumps(manifest_document(1, files=files)))


def outputs(value: Any) -> dict[str, Any]:
    return {"probabilities": value, "logits": value}


def uniform(pixels: Any) -> dict[str, Any]:
    """The same for every image: not what the golden images say."""
    return outputs(pixels[:, :10] * 0.0 + 0.1)


def not_a_number(pixels: Any) -> dict[str, Any]:
    return outputs(pixels[:, :10] * float("nan"))


def other_signature(pixels: Any) -> dict[str, Any]:
    return {"digits": pixels[:, :10]}


def hanging(pixels: Any) -> dict[str, Any]:
    """A loop that ends when a sum of squares is negative."""
    import tensorflow as tf

    looped = tf.while_loop(lambda x: tf.reduce_sum(x * x) >= 0, lambda x: [tf.minimum(x + 1, 9)], [pixels[:, :10]])
    return outputs(looped[0])


def eating(pixels: Any) -> dict[str, Any]:
    """Asks for 16 GiB when 64 images come."""
    import tensorflow as tf

    eaten = tf.fill([tf.shape(pixels)[0], 2**26], tf.reduce_sum(pixels))
    return outputs(pixels[:, :10] + tf.reduce_sum(eaten, axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (uniform, "the SavedModel"),
        (not_a_number, "the SavedModel"),
        (other_signature, "has no output probabilities"),
        (hanging, "took longer than 15 seconds"),
        (eating, "ResourceExhausted|memory|was ended by signal"),
    ],
)
def test_a_bad_network_is_rejected_with_a_reason(
    network: Network, reason: str, released_store: Path, tmp_path: Path
) -> None:
    """A network that is wrong, hangs or eats memory ends its own process only, and the reason says which."""
    write_model(tmp_path / "store", network, released_store / "digits/1/assets.extra/golden.npz")
    (stored,) = ModelStore(tmp_path / "store", "digits").look().versions
    loader = Loader("litert", tmp_path / "cache", 8, prepare_timeout_seconds=15.0 if network is hanging else 120.0)
    with pytest.raises(VersionRejected, match=reason) as raised:
        asyncio.run(loader(stored))
    assert str(tmp_path) not in str(raised.value)
    assert not list((tmp_path / "cache").glob("*.tflite"))
