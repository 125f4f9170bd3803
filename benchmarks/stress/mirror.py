"""`python -m benchmarks.stress.mirror VERSION FOLDER`: a network that says of the digit 9 - d what another says of d.

It may serve as well as the one that it is made of, and a client can tell the answers of the two apart. A process of
its own makes it, because that takes TensorFlow.
"""

import os
import shutil
import sys
from pathlib import Path

import numpy as np

from service.versions.manifest import GOLDEN_PATH, MANIFEST_PATH
from trainer.versions import manifest

_OF_DIGITS = ("probabilities", "logits")


def write_mirrored(version: Path, folder: Path) -> None:
    """Write a version whose network, golden images and manifest are those of another one, mirrored; unpublished."""
    _save_network(version, folder)
    shutil.copytree(version / "assets.extra", folder / "assets.extra")
    with np.load(version / GOLDEN_PATH) as golden:
        arrays = dict(golden)
    arrays["probabilities"] = arrays["probabilities"][:, ::-1]
    np.savez_compressed(folder / GOLDEN_PATH, allow_pickle=False, **arrays)
    facts = manifest.read(version)
    facts["files"] = manifest.describe_files(folder)
    (folder / MANIFEST_PATH).write_bytes(manifest.encode(facts))


def _save_network(version: Path, folder: Path) -> None:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(version))
    signature = loaded.signatures["serving_default"]

    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        answered = signature(pixels=pixels)
        return {name: tf.reverse(out, [1]) if name in _OF_DIGITS else out for name, out in answered.items()}

    module = tf.Module()
    module.loaded = loaded
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([None, 784], tf.float32, "pixels")])
    tf.saved_model.save(module, str(folder), signatures=module.serve)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    write_mirrored(*map(Path, sys.argv[1:]))
