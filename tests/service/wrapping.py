"""Versions made from the released one, with or without the output `is_digit`, whether or not that one has it."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from service.versions.manifest import GOLDEN_PATH, MANIFEST_PATH

# Their score is the largest probability: above this for most golden images, below it for the hard ones.
THRESHOLD = 0.9


def write_wrapped(
    released: Path,
    folder: Path,
    *,
    has_output: bool = True,
    threshold: float | None = THRESHOLD,
    in_golden: bool = True,
) -> Path:
    """Write a version that wraps the network of `released`, numbered by the name of its own folder.

    Args:
        released: Folder of a version.
        folder: Where to write; its name is the version's number.
        has_output: Whether the SavedModel has the output `is_digit`.
        threshold: The manifest's `is_digit_threshold`.
        in_golden: Whether the golden images include their scores, if the SavedModel has the output.
    """
    loaded = tf.saved_model.load(str(released))
    signature = loaded.signatures["serving_default"]

    def serve(pixels: Any) -> dict[str, Any]:
        answered = signature(pixels=pixels)
        outputs = {name: answered[name] for name in ("probabilities", "logits")}
        return outputs | ({"is_digit": tf.reduce_max(outputs["probabilities"], axis=1)} if has_output else {})

    module = tf.Module()
    module.loaded = loaded
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, 784), tf.float32, name="pixels")])
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    shutil.copytree(released / "assets.extra", folder / "assets.extra")
    with np.load(released / GOLDEN_PATH) as golden:
        arrays = {name: golden[name] for name in ("pixels", "probabilities", "labels")}
    if has_output and in_golden:
        arrays["is_digit"] = arrays["probabilities"].max(axis=1)
    np.savez(folder / GOLDEN_PATH, allow_pickle=False, **arrays)
    _write_manifest(folder, threshold)
    return folder


def _write_manifest(folder: Path, threshold: float | None) -> None:
    manifest = json.loads((folder / MANIFEST_PATH).read_text())
    (folder / MANIFEST_PATH).unlink()
    manifest["version"] = int(folder.name)
    manifest["metrics"]["is_digit_threshold"] = threshold
    manifest["files"] = {
        str(file.relative_to(folder)): {
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in folder.rglob("*")
        if file.is_file()
    }
    (folder / MANIFEST_PATH).write_text(json.dumps(manifest))
