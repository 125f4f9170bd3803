"""Writes a network as a SavedModel with the project's signature, and reads one back from the disk.

Calibration is part of the SavedModel: a server takes its answers as they are.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.data import DIGITS, IMAGE_SIDE
from trainer.evaluation import Answerer, Answers
from trainer.writing import written_to

GOLDEN_PATH = Path("assets.extra") / "golden.npz"
_GOLDEN_IMAGES = 64
_EASY_IMAGES_PER_DIGIT = 3
_BATCH = 1_000  # rows at once when a whole data set is run


def save(network: keras.Model, temperature: float, folder: Path) -> None:
    """Writes a SavedModel into `folder`.

    Its signature `serving_default` takes `pixels` float32 [N, 784] and returns `probabilities`
    float32 [N, 10] (calibrated), `logits` float32 [N, 10] (before calibration) and, for a network
    that learned from outliers, `is_digit` float32 [N] in 0 to 1.

    Raises:
        OSError: It can't be written.
    """

    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = network(pixels, training=False)
        logits = outputs[:, :DIGITS]
        answers = {"probabilities": tf.nn.softmax(logits / temperature), "logits": logits}
        if outputs.shape[1] > DIGITS:
            answers["is_digit"] = tf.sigmoid(outputs[:, DIGITS])
        return answers

    module = tf.Module()
    module.network = network
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, IMAGE_SIDE**2), tf.float32, name="pixels")])
    # Debug information would hold this machine's paths.
    options = tf.saved_model.SaveOptions(save_debug_info=False)
    with written_to(folder, tf.errors.OpError):
        tf.saved_model.save(module, str(folder), signatures=module.serve, options=options)
    (folder / "assets").rmdir()  # always written, and empty here: git can't keep an empty folder


def load(folder: Path) -> Answerer:
    """Loads the SavedModel in `folder` from disk; returns a function that runs it."""
    # The signature lives only as long as the object that it was loaded with.
    loaded: Any = tf.saved_model.load(str(folder))

    def answer(pixels: NDArray[np.float32]) -> Answers:
        signature = loaded.signatures["serving_default"]
        batches = np.split(pixels, range(_BATCH, len(pixels), _BATCH))
        answered: list[Any] = [signature(pixels=tf.constant(batch)) for batch in batches]
        probabilities = np.concatenate([part["probabilities"].numpy() for part in answered])
        if "is_digit" not in answered[0]:
            return Answers(probabilities, None)
        return Answers(probabilities, np.concatenate([part["is_digit"].numpy() for part in answered]))

    return answer


def probabilities_of(folder: Path, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Loads the SavedModel in `folder` from disk and runs it: float32 [N, 784] to float32 [N, 10]."""
    return load(folder)(pixels).probabilities


def save_golden(
    folder: Path,
    pixels: NDArray[np.float32],
    answers: Answers,
    labels: NDArray[np.uint8],
) -> None:
    """Writes 64 test images, easy and hard and of every digit, with the SavedModel's answers."""
    chosen = _choose_golden(answers.probabilities, labels)
    golden: dict[str, NDArray[Any]] = {"pixels": pixels, "probabilities": answers.probabilities, "labels": labels}
    if answers.is_digit is not None:
        golden["is_digit"] = answers.is_digit
    path = folder / GOLDEN_PATH
    path.parent.mkdir(exist_ok=True)
    with written_to(path):
        np.savez_compressed(path, allow_pickle=False, **{name: array[chosen] for name, array in golden.items()})


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
