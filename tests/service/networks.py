"""Real SavedModels of networks that a test makes up, published as versions."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from service.versions.manifest import MANIFEST_PATH
from tests.service.fakes import manifest_document

Network = Callable[[Any], dict[str, Any]]


def write_model(store: Path, network: Network, golden: Path, number: int = 1) -> None:
    """Publish a version with this network, these golden images and a matching manifest, by one rename."""
    import tensorflow as tf

    folder = store / "digits" / ".publishing-test"
    module = tf.Module()
    module.network = tf.function(network, input_signature=[tf.TensorSpec([None, 784], tf.float32, "pixels")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.network})
    (folder / "assets.extra").mkdir()
    # These networks do not tell digits from other things, so the golden images' scores for that are left out.
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
    (folder / MANIFEST_PATH).write_text(json.dumps(manifest_document(number, files=files)))
    folder.rename(store / "digits" / str(number))


def outputs(value: Any) -> dict[str, Any]:
    """A network's answer: the same value for both outputs."""
    return {"probabilities": value, "logits": value}
