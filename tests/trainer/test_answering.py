"""A stored version either answers or is damaged; a fault of the machine is neither."""

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.trainer.made_versions import damage, store_of
from trainer.answering import stored_probabilities, trouble_of
from trainer.data import Dataset, scale
from trainer.errors import MachineError
from trainer.evaluation import count_errors
from trainer.release import RELEASED_FOLDER
from trainer.versions.damage import DamagedVersionError
from trainer.versions.manifest import Metrics, read
from trainer.versions.store import ModelStore


def test_whole_version_answers(trained: tuple[Path, Metrics], dataset: Dataset) -> None:
    """A version answers as it did when it was measured."""
    folder, metrics = trained
    probabilities = stored_probabilities(folder, scale(dataset.x_test))
    assert count_errors(probabilities, dataset.y_test) == metrics["test_errors"]


def test_damaged_file_is_found_before_it_is_loaded(tmp_path: Path) -> None:
    """A file that differs from the manifest never reaches TensorFlow."""
    store = store_of(tmp_path, 1)
    damage(store, 1)
    with pytest.raises(DamagedVersionError, match=r"saved_model\.pb is not as its manifest states"):
        stored_probabilities(store.folder / "1", np.zeros((1, 784), np.float32))


def test_version_that_tensorflow_refuses_is_damaged(tmp_path: Path) -> None:
    """A file that is as it was published but holds no network is damage too."""
    store = store_of(tmp_path, 1)
    with pytest.raises(DamagedVersionError, match="can't be run"):
        stored_probabilities(store.folder / "1", np.zeros((1, 784), np.float32))


def running_out(error: Exception) -> Callable[[Path, NDArray[np.float32]], NDArray[np.float32]]:
    """Stands in for running a version, and fails with this error."""

    def run(*_: object) -> NDArray[np.float32]:
        raise error

    return run


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
    ],
    ids=str,
)
def test_fault_of_the_machine_is_no_damage(tmp_path: Path, error: Exception) -> None:
    """If memory or files run out or a disk fails, the version is not called damaged, so that no gate skips it."""
    store = store_of(tmp_path, 1)
    with pytest.raises(MachineError, match=r"version 1 can't be run on this machine now.* --resume"):
        stored_probabilities(store.folder / "1", np.zeros((1, 784), np.float32), running_out(error))


@pytest.mark.parametrize(
    "error", [tf.errors.DataLossError(None, None, "truncated"), OSError("SavedModel file does not exist"), ValueError()]
)
def test_fault_of_the_version_is_damage(tmp_path: Path, error: Exception) -> None:
    """Any other error in running a version is the version's own fault."""
    store = store_of(tmp_path, 1)
    with pytest.raises(DamagedVersionError, match="can't be run"):
        stored_probabilities(store.folder / "1", np.zeros((1, 784), np.float32), running_out(error))


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("too few", lambda pixels: pixels[:, :9]),
        ("not a number", lambda pixels: pixels[:, :10] / 0.0),
    ],
)
def test_answers_that_are_no_probabilities_are_damage(tmp_path: Path, name: str, outputs: object) -> None:
    """A network that does not answer with ten numbers for each image can't be compared with."""
    store = ModelStore(tmp_path, name.replace(" ", "-"))
    store.prepare()
    module = tf.Module()
    specification = tf.TensorSpec((None, 784), tf.float32, name="pixels")
    module.serve = tf.function(lambda pixels: {"probabilities": outputs(pixels)}, input_signature=[specification])  # type: ignore[operator]
    with store.publication() as folder:
        tf.saved_model.save(module, str(folder), signatures=module.serve)
        (folder / "assets.extra").mkdir()
        (folder / "assets.extra" / "golden.npz").touch()
        published = store.publish(folder, read(RELEASED_FOLDER))
    with pytest.raises(DamagedVersionError, match="ten probabilities"):
        stored_probabilities(published, np.zeros((1, 784), np.float32))


def test_golden_images_are_asked(trained: tuple[Path, Metrics]) -> None:
    """A version that answers them as it did is sound; one that answers differently, or in another form, is not."""
    folder, _ = trained
    assert trouble_of(folder) is None
    otherwise = trouble_of(folder, lambda _, pixels: np.full((len(pixels), 10), 0.1, np.float32))
    assert otherwise == "it does not answer its golden images as it did"
    assert "ten probabilities" in (trouble_of(folder, lambda _, pixels: pixels) or "")


def test_golden_images_that_are_none_are_trouble(tmp_path: Path) -> None:
    """A file of that name with other content is reported; other damage is reported first."""
    store = store_of(tmp_path, 2)
    assert trouble_of(store.folder / "1") == "its golden images can't be read"
    damage(store, 2)
    assert trouble_of(store.folder / "2") == "saved_model.pb is not as its manifest states"
