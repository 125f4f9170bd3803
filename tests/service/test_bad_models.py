"""SavedModels whose files are whole, and that must not serve all the same: really prepared, as the service does it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.loading import Loader
from service.manifest import VersionRejected
from service.model_store import ModelStore
from tests.service.networks import Network, outputs, write_model


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
