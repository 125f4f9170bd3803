"""What is published: the signature, the golden images, and nothing of this machine."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.data import Dataset, scale
from trainer.export import GOLDEN_PATH, probabilities_of, save
from trainer.versions.manifest import Metrics


def test_signature(trained: tuple[Path, Metrics]) -> None:
    """`serving_default` has the names, types and shapes that servers rely on."""
    signature = tf.saved_model.load(str(trained[0])).signatures["serving_default"]
    assert signature.structured_input_signature == (
        (),
        {"pixels": tf.TensorSpec((None, 784), tf.float32, name="pixels")},
    )
    outputs = {name: (spec.dtype, spec.shape.as_list()) for name, spec in signature.structured_outputs.items()}
    assert outputs == {"probabilities": (tf.float32, [None, 10]), "logits": (tf.float32, [None, 10])}


def test_probabilities_are_calibrated_logits(trained: tuple[Path, Metrics], dataset: Dataset) -> None:
    """Rows sum to 1, and are the softmax of the logits over the manifest's temperature."""
    folder, metrics = trained
    loaded = tf.saved_model.load(str(folder))
    answer = loaded.signatures["serving_default"](pixels=tf.constant(scale(dataset.x_test)))
    probabilities = answer["probabilities"].numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    expected = tf.nn.softmax(answer["logits"] / metrics["temperature"]).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_golden_images_come_true(trained: tuple[Path, Metrics], dataset: Dataset) -> None:
    """The 64 golden images are test images, include every digit, and the SavedModel gives their stored answers."""
    folder, _ = trained
    with np.load(folder / GOLDEN_PATH) as golden:
        pixels, probabilities, labels = golden["pixels"], golden["probabilities"], golden["labels"]
    assert (pixels.shape, pixels.dtype) == ((64, 784), np.float32)
    assert (labels.shape, labels.dtype) == ((64,), np.uint8)
    assert set(labels.tolist()) == set(range(10))
    test_images = {row.tobytes() for row in scale(dataset.x_test)}
    assert {row.tobytes() for row in pixels} <= test_images
    assert len({row.tobytes() for row in pixels}) == 64
    np.testing.assert_allclose(probabilities_of(folder, pixels), probabilities, atol=1e-4)


def test_golden_images_hold_the_hardest(trained: tuple[Path, Metrics], dataset: Dataset) -> None:
    """The least confident test image is a golden one."""
    folder, _ = trained
    pixels = scale(dataset.x_test)
    hardest = pixels[probabilities_of(folder, pixels).max(axis=1).argmin()]
    with np.load(folder / GOLDEN_PATH) as golden:
        assert any(np.array_equal(row, hardest) for row in golden["pixels"])


def test_nothing_of_this_machine_is_published(trained: tuple[Path, Metrics]) -> None:
    """No file of a version holds the path of the sources or of the store that it was made in."""
    folder, _ = trained
    paths = [str(Path(__file__).parents[2]).encode(), str(folder.parent).encode()]
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [path for path in paths if path in content], file


def test_disk_that_takes_no_network_is_an_os_error(tmp_path: Path) -> None:
    """If TensorFlow can't write, the error is an OSError, as for any other failure of a disk."""
    (tmp_path / "file").touch()
    network = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
    with pytest.raises(OSError, match="can't be written to"):
        save(network, 1.0, tmp_path / "file")
