"""Writes a network as a SavedModel with the project's signature, and reads one back from the disk.

Calibration is part of what is written: a server has nothing to add to the answers.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.data import DIGITS, IMAGE_SIDE

GOLDEN_PATH = Path("assets.extra") / "golden.npz"
_GOLDEN_IMAGES = 64
_EASY_IMAGES_PER_DIGIT = 3
_BATCH = 1_000  # rows at once when a whole data set is run


def save(network: keras.Model, temperature: float, folder: Path) -> None:
    """Writes a SavedModel into `folder`.

    Its signature `serving_default` takes `pixels` float32 [N, 784] and returns `probabilities`
    float32 [N, 10] (calibrated) and `logits` float32 [N, 10] (before calibration).
    """

    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = network(pixels, training=False)
        probabilities = tf.nn.softmax(logits / temperature)
        return {"probabilities": probabilities, "logits": logits}

    module = tf.Module()
    module.network = network
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, IMAGE_SIDE**2), tf.float32, name="pixels")])
    # Debug information would hold this machine's paths.
    options = tf.saved_model.SaveOptions(save_debug_info=False)
    tf.saved_model.save(module, str(folder), signatures=module.serve, options=options)
    (folder / "assets").rmdir()  # always written, and empty here: nothing that git could keep


def probabilities_of(folder: Path, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Loads the SavedModel in `folder` anew and asks it: float32 [N, 784] to float32 [N, 10]."""
    # The signature lives only as long as what it was loaded with.
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]
    batches = np.split(pixels, range(_BATCH, len(pixels), _BATCH))
    answers = [signature(pixels=tf.constant(batch))["probabilities"].numpy() for batch in batches]
    return np.concatenate(answers)


def save_golden(
    folder: Path,
    pixels: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    labels: NDArray[np.uint8],
) -> None:
    """Writes 64 test images, easy and hard and of every digit, with the SavedModel's answers."""
    chosen = _choose_golden(probabilities, labels)
    (folder / GOLDEN_PATH).parent.mkdir(exist_ok=True)
    np.savez_compressed(
        folder / GOLDEN_PATH,
        pixels=pixels[chosen],
        probabilities=probabilities[chosen],
        labels=labels[chosen],
    )


def _choose_golden(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Takes each digit's three most confident images, and the least confident of all the others."""
    least_confident_first = np.argsort(probabilities.max(axis=1), kind="stable")
    easy = [
        index
        for digit in range(DIGITS)
        for index in least_confident_first[labels[least_confident_first] == digit][-_EASY_IMAGES_PER_DIGIT:]
    ]
    others = [index for index in least_confident_first if index not in set(easy)]
    return np.array([*easy, *others][:_GOLDEN_IMAGES])
