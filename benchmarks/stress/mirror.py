"""`python -m benchmarks.stress.mirror VERSION FOLDER`: makes a network whose output for 9 - d is another's for d.

It can be served like the original, and a client can tell the answers of the two apart. It is made in a process of its
own, because that needs TensorFlow.
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
    """Write the network, golden images and manifest of `version`, mirrored, to `folder`; nothing is published."""
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
